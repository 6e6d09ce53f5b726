//! The servers by name: how each is started, and what it can.

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use crate::{
    dialect::Dialect,
    process::{Launch, free_address},
    workload::Workload,
};

/// A server to be measured.
#[derive(Clone, Copy, Debug)]
pub struct Server {
    /// Its name on the command line and in tables.
    pub name: &'static str,
    /// Tells how to start it.
    pub launch: fn(&Setting) -> io::Result<Launch>,
    /// What its clients and publishers speak.
    pub dialect: Dialect,
    /// Whether it serves long-polling clients.
    pub polling: bool,
    /// Whether it has the load's CPUs beside its own.
    pub everywhere: bool,
}

/// What a server is started with.
#[derive(Debug)]
pub struct Setting {
    programs: PathBuf,
    womack: PathBuf,
    womack_args: Vec<String>,
    redis: SocketAddr,
    shards: usize,
    /// For the files of those that need some.
    folder: TempDir,
}

/// Womack, as the setting has it.
pub const WOMACK: Server = Server {
    name: "womack",
    launch: |setting| Ok(setting.womack(&[]).into()),
    dialect: Dialect::SocketIo,
    polling: true,
    everywhere: false,
};

/// All servers.
pub const SERVERS: [Server; 13] = [
    WOMACK,
    Server {
        name: "womack-2",
        launch: |setting| Ok(setting.womack_with_shards(2).into()),
        everywhere: true,
        ..WOMACK
    },
    Server {
        name: "womack-10ms",
        launch: |setting| Ok(setting.womack(&["--coalesce-ms", "10"]).into()),
        ..WOMACK
    },
    Server {
        name: "womack-50ms",
        launch: |setting| Ok(setting.womack(&["--coalesce-ms", "50"]).into()),
        ..WOMACK
    },
    Server {
        name: "womack-mixed",
        dialect: Dialect::Mixed,
        polling: false,
        ..WOMACK
    },
    Server {
        name: "floor",
        launch: |setting| Ok(setting.floor(&[]).into()),
        polling: false,
        ..WOMACK
    },
    Server {
        name: "floor-batch",
        launch: |setting| Ok(setting.floor(&["--batch"]).into()),
        polling: false,
        ..WOMACK
    },
    Server {
        name: "uwebsockets",
        launch: |setting| Ok(setting.uwebsockets().into()),
        polling: false,
        ..WOMACK
    },
    Server {
        name: "socketioxide",
        launch: |setting| Ok(setting.socketioxide().into()),
        ..WOMACK
    },
    Server {
        name: "nats",
        launch: Setting::nats,
        dialect: Dialect::Nats,
        polling: false,
        everywhere: false,
    },
    Server {
        name: "nchan",
        launch: Setting::nchan,
        dialect: Dialect::Nchan,
        polling: false,
        everywhere: false,
    },
    Server {
        name: "socketio",
        launch: |setting| Ok(setting.socketio(&[]).into()),
        ..WOMACK
    },
    Server {
        name: "socketio-adapter",
        launch: |setting| Ok(setting.socketio(&["--adapter"]).into()),
        ..WOMACK
    },
];

impl Server {
    /// The server with this name.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        SERVERS.into_iter().find(|server| server.name == name)
    }

    /// Whether its clients can do what the workload asks of them.
    #[must_use]
    pub fn serves(&self, workload: &Workload) -> bool {
        let polling = self.polling || !workload.polling;
        // A client of nchan does not learn which of several channels a message came on.
        polling && (self.dialect != Dialect::Nchan || workload.held() == 1)
    }
}

impl Setting {
    /// Programs are taken from the folder `programs`; Womack has one shard.
    pub fn new(programs: PathBuf, redis: SocketAddr) -> io::Result<Self> {
        Ok(Self {
            womack: programs.join("womack"),
            womack_args: Vec::new(),
            programs,
            redis,
            shards: 1,
            folder: TempDir::new()?,
        })
    }

    /// Takes Womack from elsewhere.
    #[must_use]
    pub fn with_womack(mut self, program: Option<PathBuf>) -> Self {
        self.womack = program.unwrap_or(self.womack);
        self
    }

    /// Takes Womack from this program from now on.
    pub fn use_womack(&mut self, program: &Path) {
        program.clone_into(&mut self.womack);
    }

    /// Starts Womack with further arguments.
    #[must_use]
    pub fn with_womack_args(mut self, arguments: &[String]) -> Self {
        self.womack_args.extend_from_slice(arguments);
        self
    }

    /// Starts Womack with so many shards, and socketioxide with as many workers.
    #[must_use]
    pub fn with_shards(self, shards: usize) -> Self {
        Self { shards, ..self }
    }

    /// Womack on this port, 0 for a free one.
    pub(crate) fn womack_on(&self, port: u16, shards: usize) -> Command {
        let mut command = Command::new(&self.womack);
        command.args(["--host", "127.0.0.1", "--port", &port.to_string()]);
        command.args(["--shards", &shards.to_string()]);
        command.args(["--redis-url", &self.redis_url()]);
        // All clients come from one address.
        command.args(["--max-connections-per-address", "0"]);
        command.args(&self.womack_args);
        command
    }

    /// Womack with further arguments.
    pub(crate) fn womack(&self, arguments: &[&str]) -> Command {
        let mut command = self.womack_on(0, self.shards);
        command.args(arguments);
        command
    }

    fn womack_with_shards(&self, shards: usize) -> Command {
        self.womack_on(0, shards)
    }

    fn floor(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.programs.join("floor"));
        command.args(arguments).arg(self.redis.to_string());
        command
    }

    fn uwebsockets(&self) -> Command {
        let mut command = Command::new(self.programs.join("peer-uwebsockets"));
        command.arg(self.redis.ip().to_string());
        command.arg(self.redis.port().to_string());
        command
    }

    fn socketioxide(&self) -> Command {
        let mut command = Command::new(self.programs.join("peer-socketioxide"));
        command.args([self.redis_url(), self.shards.to_string()]);
        command
    }

    fn socketio(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("node");
        command.arg(peers().join("socketio/server.mjs"));
        command.args(arguments).arg(self.redis_url());
        command
    }

    fn nats(&self) -> io::Result<Launch> {
        let (clients, publisher) = (free_address()?, free_address()?);
        let ports = [("{clients}", clients), ("{publisher}", publisher)];
        let file = self.file("nats.conf", &ports)?;
        let mut command = Command::new("nats-server");
        command.arg("--config").arg(file);
        Ok(Launch {
            command,
            listens: Some(clients),
            publisher: Some(publisher),
        })
    }

    fn nchan(&self) -> io::Result<Launch> {
        let address = free_address()?;
        let file = self.file("nginx.conf", &[("{address}", address)])?;
        let mut command = Command::new("nginx");
        command
            .arg("-p")
            .arg(self.folder.path())
            .arg("-c")
            .arg(file);
        Ok(Launch {
            command,
            listens: Some(address),
            publisher: Some(address),
        })
    }

    /// A file of the folder `peers` with addresses filled in.
    fn file(&self, name: &str, addresses: &[(&str, SocketAddr)]) -> io::Result<PathBuf> {
        let mut text = fs::read_to_string(peers().join(name))?;
        for (place, address) in addresses {
            text = text.replace(place, &address.to_string());
        }
        let path = self.folder.path().join(name);
        fs::write(&path, text)?;
        Ok(path)
    }

    fn redis_url(&self) -> String {
        format!("redis://{}", self.redis)
    }
}

fn peers() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers")
}

//! The servers by name: how each is started, and what it can.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

/// A server to be measured.
#[derive(Clone, Copy, Debug)]
pub struct Server {
    /// Its name on the command line and in tables.
    pub name: &'static str,
    /// Builds the command that starts it. It is to write a JSON line with `"message":"listening"`
    /// and its `"address"` to stderr.
    pub command: fn(&Setting) -> Command,
    /// Whether it serves long-polling clients.
    pub polling: bool,
}

/// What a server is started with.
#[derive(Clone, Debug)]
pub struct Setting {
    programs: PathBuf,
    womack: PathBuf,
    redis: SocketAddr,
    shards: usize,
}

/// All servers.
pub const SERVERS: [Server; 6] = [
    Server {
        name: "womack",
        command: womack,
        polling: true,
    },
    Server {
        name: "floor",
        command: floor,
        polling: false,
    },
    Server {
        name: "floor-batch",
        command: floor_batch,
        polling: false,
    },
    Server {
        name: "socketio",
        command: socketio,
        polling: true,
    },
    Server {
        name: "socketio-adapter",
        command: socketio_adapter,
        polling: true,
    },
    Server {
        name: "socketioxide",
        command: socketioxide,
        polling: true,
    },
];

impl Server {
    /// The server with this name.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        SERVERS.into_iter().find(|server| server.name == name)
    }
}

impl Setting {
    /// Programs are taken from the folder `programs`, unless `womack` says where that one is.
    #[must_use]
    pub fn new(
        programs: PathBuf,
        womack: Option<PathBuf>,
        redis: SocketAddr,
        shards: usize,
    ) -> Self {
        Self {
            womack: womack.unwrap_or_else(|| programs.join("womack")),
            programs,
            redis,
            shards,
        }
    }
}

fn womack(setting: &Setting) -> Command {
    let mut command = Command::new(&setting.womack);
    command.args(["--host", "127.0.0.1", "--port", "0", "--shards"]);
    command.arg(setting.shards.to_string());
    command.args(["--redis-url", &format!("redis://{}", setting.redis)]);
    command
}

fn floor(setting: &Setting) -> Command {
    let mut command = Command::new(setting.programs.join("floor"));
    command.arg(setting.redis.to_string());
    command
}

fn floor_batch(setting: &Setting) -> Command {
    let mut command = floor(setting);
    command.arg("--batch");
    command
}

fn socketio(setting: &Setting) -> Command {
    let mut command = node();
    command.arg(format!("redis://{}", setting.redis));
    command
}

fn socketio_adapter(setting: &Setting) -> Command {
    let mut command = node();
    command.args(["--adapter", &format!("redis://{}", setting.redis)]);
    command
}

fn node() -> Command {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new("node");
    command.arg(package.join("peers/socketio/server.mjs"));
    command
}

fn socketioxide(setting: &Setting) -> Command {
    let mut command = Command::new(setting.programs.join("peer-socketioxide"));
    command.arg(format!("redis://{}", setting.redis));
    command.arg(setting.shards.to_string());
    command
}

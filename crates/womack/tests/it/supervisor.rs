//! What systemd is told, what it gives, and what SIGHUP changes.

use std::env;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::thread;

use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::UnixDatagram;
use tokio::process::Command;
use womack::{
    Client as Peer, Config, Event, Namespace, Redis as RedisSettings, RedisSource, Server,
};
use womack_test_support::{
    Client, Launch, Redis, Signal, eventually, free_address, http, metrics, repository, within,
};

/// The address of the child that has a handler which hangs.
const ADDRESS: &str = "SUPERVISOR_TEST_ADDRESS";

/// What stands for systemd: a socket that hears the server.
struct Supervisor {
    socket: UnixDatagram,
    folder: TempDir,
}

impl Supervisor {
    fn new() -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let socket = UnixDatagram::bind(folder.path().join("notify")).expect("a socket in it");
        Self { socket, folder }
    }

    fn path(&self) -> String {
        let path = self.folder.path().join("notify");
        path.to_str()
            .expect("a path of plain characters")
            .to_owned()
    }

    /// The next thing that the server says.
    async fn word(&self) -> String {
        let mut bytes = [0; 4096];
        let length = within("a word of the server", self.socket.recv(&mut bytes)).await;
        String::from_utf8_lossy(&bytes[..length.expect("a datagram")]).into_owned()
    }

    /// The next thing that is no sign of life.
    async fn news(&self) -> String {
        loop {
            let word = self.word().await;
            if word.trim_end() != "WATCHDOG=1" {
                return word;
            }
        }
    }

    /// What was said and not heard yet.
    fn unheard(&self) -> Vec<String> {
        let mut words = Vec::new();
        let mut bytes = [0; 4096];
        while let Ok(length) = self.socket.try_recv(&mut bytes) {
            words.push(String::from_utf8_lossy(&bytes[..length]).into_owned());
        }
        words
    }
}

/// A configuration file that is gone with its folder.
fn file(text: &str) -> (TempDir, PathBuf) {
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("womack.toml");
    fs::write(&path, text).expect("a file in it");
    (folder, path)
}

#[tokio::test]
async fn systemd_hears_of_start_reload_life_and_end() {
    let (redis, supervisor) = (Redis::start().await, Supervisor::new());
    let launch = Launch::new(&redis)
        .env("NOTIFY_SOCKET", &supervisor.path())
        .env("WATCHDOG_USEC", "400000");
    let mut server = launch.start().await;
    assert_eq!(supervisor.word().await.trim_end(), "READY=1");
    for _ in 0..3 {
        assert_eq!(supervisor.word().await.trim_end(), "WATCHDOG=1");
    }
    server.signal(Signal::HangUp).await;
    let reloading = supervisor.news().await;
    let (state, time) = reloading.trim_end().split_once('\n').unwrap();
    assert_eq!(state, "RELOADING=1");
    let micros = time.strip_prefix("MONOTONIC_USEC=").unwrap();
    assert!(micros.parse::<u64>().is_ok(), "{time}");
    assert_eq!(supervisor.news().await.trim_end(), "READY=1");
    server.stop().await;
    assert_eq!(supervisor.news().await.trim_end(), "STOPPING=1");
}

/// Hangs for good when a client asks for it.
struct Hangs;

impl Namespace for Hangs {
    fn on_event(&self, client: &mut Peer<'_>, event: &Event) {
        if event.name == "hang" {
            loop {
                thread::park();
            }
        }
        client.emit("pong", "");
    }
}

/// The program of the test below.
#[test]
#[ignore = "started by a_shard_that_hangs_stops_the_watchdog"]
fn a_server_whose_handler_hangs() {
    let Ok(address) = env::var(ADDRESS) else {
        return;
    };
    let address: SocketAddr = address.parse().unwrap();
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();
    let config = Config {
        host: address.ip().to_string(),
        port: address.port(),
        redis: RedisSettings {
            source: RedisSource::Embedded(0),
            ..RedisSettings::default()
        },
        shards: 2,
        ..Config::default()
    };
    Server::new(config).namespace("/", Hangs).run().unwrap();
}

#[tokio::test]
async fn a_shard_that_hangs_stops_the_watchdog() {
    let (supervisor, address) = (Supervisor::new(), free_address());
    let mut child = Command::new(env::current_exe().unwrap())
        .args([
            "--ignored",
            "--exact",
            "supervisor::a_server_whose_handler_hangs",
            "--nocapture",
        ])
        .env(ADDRESS, address.to_string())
        .env("NOTIFY_SOCKET", supervisor.path())
        .env("WATCHDOG_USEC", "400000")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
    assert_eq!(supervisor.word().await.trim_end(), "READY=1");
    assert_eq!(supervisor.word().await.trim_end(), "WATCHDOG=1");
    let mut client = Client::connect(address).await;
    client.emit("hang", &json!(1)).await;
    let mut stuck = async || {
        loop {
            let line = within("a line of the log", log.next_line()).await;
            if line.unwrap().unwrap().contains("a thread is stuck") {
                return;
            }
        }
    };
    stuck().await;
    supervisor.unheard();
    for _ in 0..3 {
        stuck().await;
    }
    assert_eq!(supervisor.unheard(), Vec::<String>::new());
}

#[tokio::test]
async fn a_port_that_systemd_holds_serves_all_shards() {
    let (redis, address) = (Redis::start().await, free_address());
    let launch = Launch::new(&redis)
        .flag("--port", "1")
        .listening_at(address);
    let server = launch.start().await;
    assert_eq!(server.address(), address);
    let mut clients = Vec::new();
    for _ in 0..16 {
        let mut client = Client::connect(address).await;
        client.subscribe("a").await;
        clients.push(client);
    }
    redis.publish("a", "1").await;
    for client in &mut clients {
        assert_eq!(client.message("a").await, "1");
    }
}

#[tokio::test]
async fn a_reload_changes_limits_level_and_key_and_drops_nobody() {
    let redis = Redis::start().await;
    let (_folder, path) = file("max-channels-per-client = 1\npublish-key = 'old'\n");
    let admin = free_address();
    let server = Launch::new(&redis)
        .flag("--config", path.to_str().unwrap())
        .flag("--admin-listen", &admin.to_string())
        .start_unready()
        .await;
    eventually("readiness", async || {
        http::get(admin, "/readyz").await.status == 200
    })
    .await;
    let mut client = Client::connect(server.address()).await;
    client.subscribe("a").await;
    let refused = client.call("subscribe", &json!("b")).await;
    assert_eq!(refused["error"], "too_many_channels");

    let text =
        "max-channels-per-client = 2\npublish-key = 'new'\ndebug = true\nport = 1\nkey = 'x'\n";
    fs::write(&path, text).unwrap();
    server.signal(Signal::HangUp).await;
    let line = server.logged("some need a restart").await;
    assert!(
        line.contains(r#""kept":"key""#),
        "the port is a flag: {line}"
    );
    client.subscribe("b").await;
    let publish = async |key: &str| {
        let authorization = format!("Bearer {key}");
        let headers = [("authorization", authorization.as_str())];
        let body = r#"{"channels":"b","data":1}"#;
        http::request(admin, http::Method::POST, "/publish", &headers, body)
            .await
            .status
    };
    assert_eq!((publish("old").await, publish("new").await), (401, 200));
    assert_eq!(client.message("b").await, r#"{"data":1}"#);
    let _other = Client::connect(server.address()).await;
    server.logged(r#""level":"DEBUG""#).await;

    // A mistake in the file changes nothing.
    fs::write(&path, "max-channels-per-client = 'none'\n").unwrap();
    server.signal(Signal::HangUp).await;
    server.logged("the settings are as they were").await;
    redis.publish("a", "2").await;
    assert_eq!(client.message("a").await, "2");
    let read = metrics::Metrics::of(admin).await;
    assert_eq!(read.sum("womack_connections_closed_total", ""), 0.0);
}

#[tokio::test]
async fn systemd_understands_the_units() {
    let Ok(version) = Command::new("systemd-analyze")
        .arg("--version")
        .output()
        .await
    else {
        return println!("skipped: there is no systemd-analyze");
    };
    assert!(version.status.success());
    let folder = TempDir::new().unwrap();
    for unit in ["womack.service", "womack.socket"] {
        let text = fs::read_to_string(repository().join("deploy").join(unit)).unwrap();
        // The program need not be installed for that.
        let text = text.replace("/usr/local/bin/womack", "/bin/true");
        fs::write(folder.path().join(unit), text).unwrap();
        let mut verify = Command::new("systemd-analyze");
        let verified = verify.arg("verify").arg(folder.path().join(unit)).output();
        let verified = within("systemd-analyze", verified).await.unwrap();
        let said = String::from_utf8_lossy(&verified.stderr).into_owned();
        assert!(verified.status.success() && !said.contains(unit), "{said}");
    }
}

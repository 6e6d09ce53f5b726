//! Servers to talk to, the broker and a real Redis, and a client that speaks bytes.

use std::env;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::runtime;
use tokio::sync::oneshot;
use womack_broker::{Limits, serve};

/// A test that waits so long has failed. No test depends on it otherwise.
const PATIENCE: Duration = Duration::from_secs(30);

/// The broker on a free port, in a thread of its own, until it is dropped.
pub(crate) struct Broker {
    pub(crate) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Broker {
    pub(crate) fn start() -> Self {
        Self::with_limits(Limits::default())
    }

    pub(crate) fn with_limits(limits: Limits) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn(move || {
            let runtime = runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                tokio::select! {
                    result = serve(listener, limits) => panic!("the broker ended: {result:?}"),
                    // Fails if the test dropped the sender in a panic, which is as good.
                    _ = stopped => {}
                }
            });
        });
        Self {
            address,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    pub(crate) fn client(&self) -> RawClient {
        RawClient::connect(self.address)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let result = thread.join();
            assert!(thread::panicking() || result.is_ok(), "the broker panicked");
        }
    }
}

/// A real Redis on a free port, until it is dropped.
pub(crate) struct RealRedis {
    pub(crate) address: SocketAddr,
    child: Child,
}

impl RealRedis {
    /// Starts `redis-server`, if it is installed and of the version the broker follows.
    ///
    /// Where it must not be missing, in continuous integration, its absence is a failure.
    pub(crate) fn start() -> Option<Self> {
        if !is_installed("redis-server", "v=7.0.") {
            return None;
        }
        // Another process may take the port before Redis does; then try the next.
        for _ in 0..10 {
            let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
                .unwrap()
                .local_addr()
                .unwrap();
            let mut child = Command::new("redis-server")
                .args(["--port", &port.port().to_string(), "--bind", "127.0.0.1"])
                .args(["--save", "", "--appendonly", "no"])
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let log = BufReader::new(child.stdout.take().unwrap());
            let mut lines = log.lines().map_while(Result::ok);
            if lines.any(|line| line.contains("Ready to accept connections")) {
                // Keep reading, so that Redis never writes into a closed pipe.
                thread::spawn(move || lines.for_each(drop));
                return Some(Self {
                    address: port,
                    child,
                });
            }
            child.wait().unwrap();
        }
        panic!("redis-server found no free port");
    }
}

impl Drop for RealRedis {
    fn drop(&mut self) {
        // Nothing is lost with it, and it may have ended by itself.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// Whether `program` can be run and says `version`. If not, the test is skipped, except where
/// `CI` is set: there it fails.
pub(crate) fn is_installed(program: &str, version: &str) -> bool {
    let output = Command::new(program).arg("--version").output();
    let found = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let installed = found.as_ref().is_ok_and(|found| found.contains(version));
    if !installed {
        assert!(
            env::var_os("CI").is_none(),
            "{program} {version} is needed, not {found:?}"
        );
        eprintln!("skipped: {program} {version} is needed, not {found:?}");
    }
    installed
}

/// Sends and receives literal bytes.
pub(crate) struct RawClient {
    stream: TcpStream,
}

impl RawClient {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self { stream }
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    /// Sends what a server that may have closed the connection need not receive.
    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// Reads exactly `expected`.
    #[track_caller]
    pub(crate) fn expect(&mut self, expected: impl AsRef<[u8]>) {
        let expected = expected.as_ref();
        let mut got = vec![0; expected.len()];
        let mut len = 0;
        while len < expected.len() && expected.starts_with(&got[..len]) {
            match self.stream.read(&mut got[len..]) {
                Ok(0) => break,
                Ok(read) => len += read,
                Err(error) => panic!("{error} after {}", got[..len].escape_ascii()),
            }
        }
        if got[..len] != *expected {
            let (got, expected) = (got[..len].escape_ascii(), expected.escape_ascii());
            panic!("\n got      {got}\n expected {expected}");
        }
    }

    /// Reads up to and with the next CRLF.
    pub(crate) fn line(&mut self) -> String {
        self.until("\r\n")
    }

    /// Reads up to and with the next `end`.
    pub(crate) fn until(&mut self, end: &str) -> String {
        let mut line = Vec::new();
        while !line.ends_with(end.as_bytes()) {
            let mut byte = [0];
            self.stream.read_exact(&mut byte).unwrap();
            line.push(byte[0]);
        }
        String::from_utf8(line).unwrap()
    }

    /// Reads until the server closes the connection.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        match self.stream.read_to_end(&mut rest) {
            Err(error) if error.kind() != io::ErrorKind::ConnectionReset => panic!("{error}"),
            _ => rest,
        }
    }

    /// Says that nothing more will be sent.
    pub(crate) fn finish(&self) {
        // The server may have closed the connection already.
        _ = self.stream.shutdown(Shutdown::Write);
    }

    /// A second handle of the same connection.
    pub(crate) fn split(&self) -> Self {
        Self {
            stream: self.stream.try_clone().unwrap(),
        }
    }
}

/// A command as clients send it.
pub(crate) fn command(arguments: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", arguments.len()).into_bytes();
    for argument in arguments {
        bytes.extend(format!("${}\r\n", argument.len()).into_bytes());
        bytes.extend_from_slice(argument);
        bytes.extend(b"\r\n");
    }
    bytes
}

use std::env;
use std::ffi::OsString;
use std::fs::File;
use std::mem;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};

use serde_json::Value;
use tokio::process::{Child, Command};

use crate::driver::clients;
use crate::log::Log;
use crate::{Broker, eventually, http, within};

/// How much of a failed server's log is shown.
const SHOWN_LINES: usize = 200;

/// The program under test: `WOMACK_BIN`, or the one that cargo has just built.
pub(crate) fn program() -> PathBuf {
    env::var_os("WOMACK_BIN")
        .or_else(|| env::var_os("CARGO_BIN_EXE_womack"))
        .expect("run by cargo test, or WOMACK_BIN names the program")
        .into()
}

/// A server about to be started: its flags and its environment.
#[derive(Clone)]
pub struct Launch {
    program: PathBuf,
    args: Vec<OsString>,
    env: Vec<(String, String)>,
}

impl Launch {
    /// The program without a single flag.
    pub fn bare() -> Self {
        Self::of(program())
    }

    /// Another program that speaks of its start as the server does.
    pub fn of(program: PathBuf) -> Self {
        Self {
            program,
            args: Vec::new(),
            env: Vec::new(),
        }
    }

    /// What tests want unless they say otherwise: a free port of this machine, two shards, no
    /// embedded broker, and a drain without delay.
    pub fn new(broker: &impl Broker) -> Self {
        Self::bare()
            .flag("--host", "127.0.0.1")
            .flag("--port", "0")
            .flag("--redis-url", &broker.url())
            .flag("--shards", "2")
            .flag("--drain-seconds", "0")
    }

    /// Gives a flag a value, in place of another one that it may have.
    pub fn flag(mut self, name: &str, value: &str) -> Self {
        match self.args.iter().position(|arg| arg == name) {
            Some(place) => self.args[place + 1] = value.into(),
            None => self.args.extend([name.into(), value.into()]),
        }
        self
    }

    /// Adds one argument as it is.
    pub fn arg(mut self, argument: &str) -> Self {
        self.args.push(argument.into());
        self
    }

    /// Sets a variable of the environment, which is otherwise free of `WOMACK_` variables.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Speaks to the same Redis as another.
    pub fn like(mut self, other: &Self) -> Self {
        let flags = other.args.chunks(2);
        let is_of_redis = |flag: &&[OsString]| flag[0].to_string_lossy().starts_with("--redis-");
        for flag in flags.filter(is_of_redis) {
            self.args.extend_from_slice(flag);
        }
        self
    }

    /// The same server, but on the port of one that has been there before.
    pub fn at(self, address: SocketAddr) -> Self {
        self.flag("--port", &address.port().to_string())
    }

    /// The same server, but another program, which understands the same flags.
    pub fn run_by(mut self, program: PathBuf) -> Self {
        self.program = program;
        self
    }

    /// Runs the program where the system refuses io_uring to it.
    pub fn without_io_uring(mut self) -> Self {
        let script = clients().join("no_io_uring.py");
        let program = mem::replace(&mut self.program, "python3".into());
        self.args.splice(0..0, [script.into(), program.into()]);
        self
    }

    /// Lets the program have so many files open.
    pub fn with_files(mut self, most: usize) -> Self {
        let program = mem::replace(&mut self.program, "prlimit".into());
        let limit = format!("--nofile={most}:{most}");
        self.args.splice(0..0, [limit.into(), program.into()]);
        self
    }

    /// Gives the program a listener at `address` that is open already, as systemd does.
    pub fn listening_at(mut self, address: SocketAddr) -> Self {
        let script = clients().join("listen_fds.py");
        let program = mem::replace(&mut self.program, "python3".into());
        let port = address.port().to_string();
        self.args
            .splice(0..0, [script.into(), port.into(), program.into()]);
        self
    }

    /// Starts the server and waits until it says that it is ready for clients.
    pub async fn start(self) -> Server {
        let server = self.start_unready().await;
        server.ready().await;
        server
    }

    /// Starts the server and waits until it listens, whatever it thinks of its Redis.
    pub async fn start_unready(self) -> Server {
        let (child, log) = self.spawn();
        let mut server = Server {
            child,
            log,
            address: SocketAddr::from(([0, 0, 0, 0], 0)),
            launch: self,
        };
        let address = within("the server to listen", server.log.find(listening_address)).await;
        server.address = address.expect("the server ends instead of listening");
        server
    }

    /// Starts a server that is expected not to start.
    pub async fn refused(self) -> Refusal {
        let (mut child, log) = self.spawn();
        let status = within("the program to give up", child.wait()).await;
        Refusal {
            code: status.expect("a child to wait for").code(),
            stderr: log.whole().await,
        }
    }

    /// Runs the program to its end and returns what it wrote to stdout, line by line.
    pub async fn output(self) -> (Option<i32>, Vec<String>) {
        let mut command = self.command();
        let output = within("the program to end", command.output()).await;
        let output = output.expect("the program runs");
        let stdout = String::from_utf8_lossy(&output.stdout);
        (
            output.status.code(),
            stdout.lines().map(str::to_owned).collect(),
        )
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        for (name, _) in env::vars_os() {
            if name.to_string_lossy().starts_with("WOMACK_") {
                command.env_remove(name);
            }
        }
        command
            .args(&self.args)
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    fn spawn(&self) -> (Child, Log) {
        let mut child = self
            .command()
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", self.program.display()));
        let stderr = child.stderr.take().expect("stderr is piped");
        let stderr = stderr.into_owned_fd().expect("the pipe is a descriptor");
        (child, Log::of(File::from(stderr)))
    }
}

/// A server that did not start: its exit status, and the lines on its stderr.
#[derive(Debug)]
pub struct Refusal {
    /// The exit status; `None` if a signal ended the program.
    pub code: Option<i32>,
    /// Everything it wrote to stderr.
    pub stderr: Vec<String>,
}

/// A signal that a server gets: those that ask it to go, and worse ones.
#[derive(Clone, Copy, Debug)]
pub enum Signal {
    /// What supervisors send.
    Terminate,
    /// Ctrl-C.
    Interrupt,
    /// What has settings read again.
    HangUp,
    /// The end, without a last word.
    Kill,
    /// A halt, as of a machine that is suspended.
    Halt,
    /// The end of a halt.
    GoOn,
}

/// A running server. It is killed when dropped; if a test fails, its log is shown.
pub struct Server {
    child: Child,
    log: Log,
    address: SocketAddr,
    launch: Launch,
}

impl Server {
    /// Starts a server with two shards on `broker`.
    pub async fn start(broker: &impl Broker) -> Self {
        Launch::new(broker).start().await
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it answers operators, if it has an address for them.
    pub async fn admin_address(&self) -> Option<SocketAddr> {
        let line = self.logged(r#""message":"listening""#).await;
        let line: Value = serde_json::from_str(&line).ok()?;
        line["fields"]["admin"].as_str()?.parse().ok()
    }

    /// Its URL, with a path that begins with `/`.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// How it was started, to start another one like it.
    pub fn launch(&self) -> Launch {
        self.launch.clone()
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id().expect("the server has not been waited for")
    }

    /// Waits until `/readyz` says yes.
    pub async fn ready(&self) {
        self.readiness(200).await;
    }

    /// Waits until `/readyz` says no.
    pub async fn unready(&self) {
        self.readiness(503).await;
    }

    /// Sends a signal.
    pub async fn signal(&self, signal: Signal) {
        let name = match signal {
            Signal::Terminate => "-TERM",
            Signal::Interrupt => "-INT",
            Signal::HangUp => "-HUP",
            Signal::Kill => "-KILL",
            Signal::Halt => "-STOP",
            Signal::GoOn => "-CONT",
        };
        let pid = self.pid().to_string();
        let status = Command::new("kill").args([name, &pid]).status().await;
        assert!(status.expect("kill runs").success(), "kill {name} {pid}");
    }

    /// Changes how many files it may have open, up to what the system allows.
    pub async fn allow_files(&self, most: usize) {
        let (pid, soft) = (self.pid().to_string(), format!("--nofile={most}:"));
        let status = Command::new("prlimit")
            .args(["--pid", &pid, &soft])
            .status()
            .await;
        assert!(status.expect("prlimit runs").success(), "{soft} for {pid}");
    }

    /// Waits for the end of the process.
    pub async fn exit(&mut self) -> ExitStatus {
        within("the server to exit", self.child.wait())
            .await
            .expect("a child to wait for")
    }

    /// Asks the server to go, and waits until it has gone, with status 0.
    pub async fn stop(&mut self) {
        self.signal(Signal::Terminate).await;
        let status = self.exit().await;
        assert!(status.success(), "the server ended with {status}");
    }

    /// True while the process lives.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for a line of the log that contains `text`, and returns it.
    pub async fn logged(&self, text: &str) -> String {
        let found = within(
            "a line of the log",
            self.log.find(|line| containing(line, text)),
        )
        .await;
        found.unwrap_or_else(|| panic!("the server ended without a word of {text:?}"))
    }

    /// The lines of the log up to now.
    pub fn log(&self) -> Vec<String> {
        self.log.lines()
    }

    async fn readiness(&self, status: u16) {
        eventually(&format!("/readyz to answer {status}"), async || {
            http::get(self.address, "/readyz").await.status == status
        })
        .await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let lines = self.log.lines();
        let skipped = lines.len().saturating_sub(SHOWN_LINES);
        eprintln!(
            "--- log of the server at {} ({skipped} lines skipped)",
            self.address
        );
        for line in &lines[skipped..] {
            eprintln!("{line}");
        }
    }
}

fn containing(line: &str, text: &str) -> Option<String> {
    line.contains(text).then(|| line.to_owned())
}

/// The address in the line with the message `listening`, as JSON or, from an example, as text.
fn listening_address(line: &str) -> Option<SocketAddr> {
    if let Some((_, address)) = line.split_once(": listening address=") {
        return address.trim().parse().ok();
    }
    let line: Value = serde_json::from_str(line).ok()?;
    let fields = &line["fields"];
    if fields["message"] != "listening" {
        return None;
    }
    fields["address"].as_str()?.parse().ok()
}

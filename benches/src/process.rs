//! The processes that take part: each on its own CPUs, each ended with its owner.

use std::{
    env,
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, ChildStderr, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use rustix::{
    process::{Resource, Rlimit, getrlimit, setrlimit},
    thread::{CpuSet, sched_setaffinity},
};

/// How long a process may take to listen.
const START: Duration = Duration::from_secs(20);
/// How often to look whether it does.
const LOOK: Duration = Duration::from_millis(10);

/// A child process, killed when dropped.
pub struct Process {
    child: Child,
}

impl Process {
    /// Starts a server on these CPUs and waits until it listens.
    pub fn start_server(mut launch: Launch, cpus: Cpus<'_>) -> io::Result<(Self, SocketAddr)> {
        let command = &mut launch.command;
        let mut process = Self::start(command.stderr(Stdio::piped()), cpus)?;
        let stderr = process.child.stderr.take();
        let stderr = stderr.ok_or_else(|| io::Error::other("a child without stderr"))?;
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || follow(stderr, &sender));
        let deadline = Instant::now() + START;
        loop {
            match receiver.recv_timeout(LOOK) {
                Ok(Ok(address)) => return Ok((process, address)),
                Ok(Err(log)) => return Err(io::Error::other(format!("{command:?} ended: {log}"))),
                Err(_) => {}
            }
            if let Some(address) = launch.listens
                && TcpStream::connect(address).is_ok()
            {
                return Ok((process, address));
            }
            if Instant::now() > deadline {
                return Err(io::Error::other(format!("{command:?} does not listen")));
            }
        }
    }

    /// Starts a program whose log nobody reads.
    pub fn start_silent(command: &mut Command, cpus: Cpus<'_>) -> io::Result<Self> {
        Self::start(command.stderr(Stdio::null()), cpus)
    }

    /// Starts a Redis on a free port, without files.
    pub fn start_redis(program: &str, cpus: Cpus<'_>) -> io::Result<(Self, SocketAddr)> {
        let address = free_address()?;
        let mut command = Command::new(program);
        command.args([
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
            "--port",
        ]);
        command
            .arg(address.port().to_string())
            .stdout(Stdio::null());
        let mut process = Self::start(&mut command, cpus)?;
        let deadline = Instant::now() + START;
        while !answers(address) {
            if let Some(status) = process.child.try_wait()? {
                return Err(io::Error::other(format!("{program} ended: {status}")));
            }
            if Instant::now() > deadline {
                return Err(io::Error::other(format!("{program} does not answer")));
            }
            thread::sleep(LOOK);
        }
        Ok((process, address))
    }

    /// The process's number.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    fn start(command: &mut Command, cpus: Cpus<'_>) -> io::Result<Self> {
        // A child inherits the affinity of the thread that starts it.
        pin(cpus.process)?;
        let child = command.stdin(Stdio::null()).spawn();
        pin(cpus.own)?;
        child
            .map(|child| Self { child })
            .map_err(|error| io::Error::new(error.kind(), format!("{command:?}: {error}")))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Either fails only if the process has ended already, which is what is wanted.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// How to start a server, and where it will listen.
pub struct Launch {
    /// The command.
    pub command: Command,
    /// Where clients connect; if `None`, it writes a JSON line with `"message":"listening"` and
    /// its `"address"` to stderr.
    pub listens: Option<SocketAddr>,
    /// Where to publish, if not to Redis.
    pub publisher: Option<SocketAddr>,
}

impl From<Command> for Launch {
    fn from(command: Command) -> Self {
        Self {
            command,
            listens: None,
            publisher: None,
        }
    }
}

/// Where a server and its publishers meet their peers.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// Where clients connect.
    pub clients: SocketAddr,
    /// Where to publish.
    pub publisher: SocketAddr,
}

/// Where a process is to run, and where the one that starts it goes on running.
#[derive(Clone, Copy, Debug)]
pub struct Cpus<'a> {
    /// The new process's CPUs.
    pub process: &'a [usize],
    /// The calling thread's.
    pub own: &'a [usize],
}

/// An address of this host that nobody listens on.
pub fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind(("127.0.0.1", 0))?.local_addr()
}

/// The folder of this program, where cargo puts the others too.
pub fn folder() -> io::Result<PathBuf> {
    let mut folder = env::current_exe()?;
    folder.pop();
    Ok(folder)
}

/// Keeps this thread, and what it starts, on these CPUs.
pub fn pin(cpus: &[usize]) -> io::Result<()> {
    let mut set = CpuSet::new();
    for &cpu in cpus {
        set.set(cpu);
    }
    Ok(sched_setaffinity(None, &set)?)
}

/// Allows as many open files as the system lets this user have, and tells how many.
pub fn raise_file_limit() -> io::Result<u64> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        },
    )?;
    Ok(limit.maximum.unwrap_or(u64::MAX))
}

/// Sends the address once it is known, or the log if it never is; then keeps the pipe empty.
fn follow(stderr: ChildStderr, sender: &mpsc::Sender<Result<SocketAddr, String>>) {
    let mut lines = BufReader::new(stderr);
    let mut log = String::new();
    loop {
        let start = log.len();
        match lines.read_line(&mut log) {
            Ok(length) if length > 0 => {}
            _ => break,
        }
        if let Some(address) = listening(&log[start..]) {
            // Nobody waits any more if it came too late.
            _ = sender.send(Ok(address));
            // A read error ends the log, and nobody reads it.
            _ = io::copy(&mut lines, &mut io::sink());
            return;
        }
    }
    _ = sender.send(Err(log));
}

/// The address in `{"message":"listening","address":"127.0.0.1:8111"}`, wherever the fields are.
fn listening(line: &str) -> Option<SocketAddr> {
    let event: serde_json::Value = serde_json::from_str(line).ok()?;
    let fields = event.get("fields").unwrap_or(&event);
    if fields["message"] != "listening" {
        return None;
    }
    fields["address"].as_str()?.parse().ok()
}

fn answers(redis: SocketAddr) -> bool {
    let ask = || {
        let mut stream = TcpStream::connect(redis)?;
        stream.write_all(b"PING\r\n")?;
        let mut answer = [0; 5];
        stream.read_exact(&mut answer)?;
        Ok::<_, io::Error>(answer == *b"+PONG")
    };
    ask().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_is_found_in_both_forms_of_a_log_line() {
        let address = Some(SocketAddr::from(([127, 0, 0, 1], 8111)));
        let flat = r#"{"message":"listening","address":"127.0.0.1:8111"}"#;
        assert_eq!(listening(flat), address);
        let nested =
            r#"{"level":"INFO","fields":{"message":"listening","address":"127.0.0.1:8111"}}"#;
        assert_eq!(listening(nested), address);
        assert_eq!(listening(r#"{"message":"draining"}"#), None);
        assert_eq!(listening("not JSON"), None);
    }
}

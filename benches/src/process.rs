//! The processes that take part: each on its own CPUs, each ended with its owner.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
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

/// A child process, killed when dropped.
pub struct Process {
    child: Child,
}

impl Process {
    /// Starts a server on these CPUs and waits until its log says where it listens.
    pub fn start_server(command: &mut Command, cpus: Cpus<'_>) -> io::Result<(Self, SocketAddr)> {
        let mut process = Self::start(command.stderr(Stdio::piped()), cpus)?;
        let stderr = process.child.stderr.take();
        let stderr = stderr.ok_or_else(|| io::Error::other("a child without stderr"))?;
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || follow(stderr, &sender));
        match receiver.recv_timeout(START) {
            Ok(Ok(address)) => Ok((process, address)),
            Ok(Err(log)) => Err(io::Error::other(format!("{command:?} ended: {log}"))),
            Err(_) => Err(io::Error::other(format!("{command:?} does not listen"))),
        }
    }

    /// Starts a Redis on a free port, without files.
    pub fn start_redis(program: &str, cpus: Cpus<'_>) -> io::Result<(Self, SocketAddr)> {
        let address = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
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
            thread::sleep(Duration::from_millis(10));
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

/// Where a process is to run, and where the one that starts it goes on running.
#[derive(Clone, Copy, Debug)]
pub struct Cpus<'a> {
    /// The new process's CPUs.
    pub process: &'a [usize],
    /// The calling thread's.
    pub own: &'a [usize],
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

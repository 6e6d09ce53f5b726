//! The memory of a server's process.

use std::{fs, io};

use womack_test_support::Server;

/// The most that the server's process has had in memory, in bytes.
pub(crate) fn peak(server: &Server) -> usize {
    field(server.pid(), "VmHWM:").expect("a process")
}

/// What a process has in memory, in bytes.
///
/// # Errors
/// There is no such process.
pub(crate) fn resident(pid: u32) -> io::Result<usize> {
    field(pid, "VmRSS:")
}

/// A field of `/proc/PID/status` in bytes (proc_pid_status(5)).
fn field(pid: u32, name: &str) -> io::Result<usize> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse().ok());
    // A process that has ended and was not waited for has no memory.
    let kibibytes: usize = kibibytes.ok_or(io::ErrorKind::NotFound)?;
    Ok(kibibytes * 1024)
}

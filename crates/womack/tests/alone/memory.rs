//! The memory of a server's process.

use std::fs;

use womack_test_support::Server;

/// The most that the server's process has had in memory, in bytes.
pub(crate) fn peak(server: &Server) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix("kB"));
    let kibibytes: usize = kibibytes.expect("VmHWM").trim().parse().expect("a number");
    kibibytes * 1024
}

//! What a process has used, read from `/proc`.

use std::{fs, io, time::Duration};

/// The kernel counts user and system time in hundredths of a second.
const TICK: Duration = Duration::from_millis(10);

/// CPU time that a process has had.
#[derive(Clone, Copy, Debug)]
pub struct Cpu {
    /// Run time of all living threads, to the nanosecond.
    run: Duration,
    user_ticks: u64,
    system_ticks: u64,
}

impl Cpu {
    /// What the process has used so far.
    pub fn of(pid: u32) -> io::Result<Self> {
        let mut run = Duration::ZERO;
        for task in fs::read_dir(format!("/proc/{pid}/task"))? {
            let schedstat = fs::read_to_string(task?.path().join("schedstat"))?;
            run += Duration::from_nanos(field(&schedstat, 0)?);
        }
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The program's name comes second, in brackets, and may hold spaces.
        let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        Ok(Self {
            run,
            user_ticks: field(after_name, 11)?,
            system_ticks: field(after_name, 12)?,
        })
    }

    /// What was used since `earlier`: all of it, and the part of it spent in the kernel.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> (Duration, f64) {
        let user = (self.user_ticks - earlier.user_ticks) as f64;
        let system = (self.system_ticks - earlier.system_ticks) as f64;
        let share = if user + system > 0.0 {
            system / (user + system)
        } else {
            0.0
        };
        (self.run.saturating_sub(earlier.run), share)
    }
}

/// How long these CPUs have been busy, for whomever.
pub fn busy(cpus: &[usize]) -> io::Result<Duration> {
    let stat = fs::read_to_string("/proc/stat")?;
    let mut ticks = 0;
    for cpu in cpus {
        let name = format!("cpu{cpu} ");
        let line = stat.lines().find_map(|line| line.strip_prefix(&name));
        let line = line.ok_or_else(malformed)?;
        // user, nice, system, then idle and waiting, then interrupts and what the host took.
        for index in [0, 1, 2, 5, 6, 7] {
            ticks += field(line, index)?;
        }
    }
    Ok(TICK * u32::try_from(ticks).map_err(io::Error::other)?)
}

/// Memory that is the process's own, in bytes: heap and stacks, not its program text.
pub fn anonymous_bytes(pid: u32) -> io::Result<u64> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let line = rollup
        .lines()
        .find_map(|line| line.strip_prefix("Anonymous:"));
    Ok(field(line.ok_or_else(malformed)?, 0)? * 1024)
}

fn field(line: &str, index: usize) -> io::Result<u64> {
    let value = line.split_ascii_whitespace().nth(index);
    value
        .and_then(|value| value.parse().ok())
        .ok_or_else(malformed)
}

fn malformed() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "a file in /proc has another form",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_process_has_used_something() {
        let pid = std::process::id();
        let earlier = Cpu::of(pid).unwrap();
        let mut spent = Duration::ZERO;
        while spent.is_zero() {
            (spent, _) = Cpu::of(pid).unwrap().since(&earlier);
        }
        assert!(anonymous_bytes(pid).unwrap() > 0);
        assert!(busy(&[0]).unwrap() > Duration::ZERO);
    }
}

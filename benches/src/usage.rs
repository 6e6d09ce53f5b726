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
    /// How often its living threads gave a CPU up to wait.
    wakes: u64,
}

impl Cpu {
    /// What the process has used so far.
    pub fn of(pid: u32) -> io::Result<Self> {
        let (mut run, mut wakes) = (Duration::ZERO, 0);
        for task in fs::read_dir(format!("/proc/{pid}/task"))? {
            let task = task?.path();
            let read = |name| fs::read_to_string(task.join(name));
            let (schedstat, status) = match (read("schedstat"), read("status")) {
                // The thread has ended since it was listed.
                (Err(error), _) | (_, Err(error)) if has_ended(&error) => continue,
                (schedstat, status) => (schedstat?, status?),
            };
            run += Duration::from_nanos(field(&schedstat, 0)?);
            wakes += named(&status, "voluntary_ctxt_switches:")?;
        }
        let times = after_name(pid)?;
        Ok(Self {
            run,
            user_ticks: field(&times, 11)?,
            system_ticks: field(&times, 12)?,
            wakes,
        })
    }

    /// The use since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Spent {
        let user = (self.user_ticks - earlier.user_ticks) as f64;
        let system = (self.system_ticks - earlier.system_ticks) as f64;
        Spent {
            run: self.run.saturating_sub(earlier.run),
            system_share: if user + system > 0.0 {
                system / (user + system)
            } else {
                0.0
            },
            // A thread that has ended took its count with it.
            wakes: self.wakes.saturating_sub(earlier.wakes),
        }
    }
}

/// The use of CPUs by a process between two moments.
#[derive(Clone, Copy, Debug)]
pub struct Spent {
    /// CPU time.
    pub run: Duration,
    /// The part of it in the kernel, from 0 to 1, to the hundredth of a second.
    pub system_share: f64,
    /// How often its threads waited and were woken.
    pub wakes: u64,
}

/// CPU time that a process has had, to the hundredth of a second.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// Its own, of threads that have ended as well.
    pub own: Duration,
    /// Of its children that have ended.
    pub ended_children: Duration,
}

impl Times {
    /// The process's times so far.
    pub fn of(pid: u32) -> io::Result<Self> {
        let times = after_name(pid)?;
        let ticks = |index| {
            let ticks = field(&times, index)? + field(&times, index + 1)?;
            Ok::<_, io::Error>(TICK * u32::try_from(ticks).map_err(io::Error::other)?)
        };
        Ok(Self {
            own: ticks(11)?,
            ended_children: ticks(13)?,
        })
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
    Ok(named(&rollup, "Anonymous:")? * 1024)
}

/// Whether an error says that a thread is not there any more: its files are gone, or cannot be read.
fn has_ended(error: &io::Error) -> bool {
    const NO_SUCH_PROCESS: i32 = 3;
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(NO_SUCH_PROCESS)
}

/// The fields of `/proc/PID/stat` after the program's name, which is the second, in brackets, and
/// may hold spaces.
fn after_name(pid: u32) -> io::Result<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = stat.rsplit_once(')').ok_or_else(malformed)?;
    Ok(fields.to_owned())
}

/// The number in the line that begins with this name.
fn named(text: &str, name: &str) -> io::Result<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    field(line.ok_or_else(malformed)?, 0)
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
            spent = Cpu::of(pid).unwrap().since(&earlier).run;
        }
        assert!(anonymous_bytes(pid).unwrap() > 0);
        assert!(busy(&[0]).unwrap() > Duration::ZERO);
    }

    #[test]
    fn a_thread_that_waits_is_woken_and_counted() {
        let pid = std::process::id();
        let earlier = Cpu::of(pid).unwrap();
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(move || receiver.iter().for_each(drop));
            while Cpu::of(pid).unwrap().since(&earlier).wakes == 0 {
                sender.send(()).unwrap();
            }
            drop(sender);
        });
    }

    #[test]
    fn time_of_a_child_is_counted_once_it_has_ended() {
        let pid = std::process::id();
        let earlier = Times::of(pid).unwrap();
        while Times::of(pid).unwrap().ended_children == earlier.ended_children {
            let mut command = std::process::Command::new("sh");
            let script = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done";
            assert!(command.args(["-c", script]).status().unwrap().success());
        }
        assert!(Times::of(pid).unwrap().own >= earlier.own);
    }
}

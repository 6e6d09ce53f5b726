//! Samples the resident memory of a server and its gauge `womack_memory_bytes`.

use std::{
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::memory;

/// Interval between samples.
const INTERVAL: Duration = Duration::from_millis(20);
/// Time-out of a reading of the gauge.
const ANSWER: Duration = Duration::from_secs(60);
const PAGE_BYTES: usize = 4096;

/// One moment of a server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) at: Instant,
    /// The resident memory just before `charge` was read and just after it: the less of both, and
    /// the more.
    pub(crate) least_rss: usize,
    pub(crate) most_rss: usize,
    /// `womack_memory_bytes`.
    pub(crate) charge: usize,
    /// TCP sockets of this machine, and their buffers.
    pub(crate) kernel: Kernel,
}

/// TCP sockets of this machine, clients' and servers', and their buffers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Kernel {
    pub(crate) sockets: usize,
    pub(crate) bytes: usize,
}

/// Samples a server until it is stopped. A thread of its own, so that attackers do not delay it.
pub(crate) struct Sampler {
    samples: Arc<Mutex<Vec<Sample>>>,
    stops: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Sampler {
    /// Samples the process `pid`, which answers operators at `admin`.
    pub(crate) fn start(pid: u32, admin: SocketAddr) -> Self {
        let samples = Arc::<Mutex<Vec<Sample>>>::default();
        let stops = Arc::new(AtomicBool::new(false));
        let (taken, ends) = (samples.clone(), stops.clone());
        let thread = thread::spawn(move || {
            let mut gauge = None;
            while !ends.load(Ordering::Relaxed) {
                match sample(pid, admin, &mut gauge) {
                    Ok(sample) => taken.lock().expect("no holder panics").push(sample),
                    Err(_) => gauge = None,
                }
                thread::sleep(INTERVAL);
            }
        });
        Self {
            samples,
            stops,
            thread,
        }
    }

    /// All samples until now.
    pub(crate) fn samples(&self) -> MutexGuard<'_, Vec<Sample>> {
        self.samples.lock().expect("no holder panics")
    }

    /// The latest charge.
    pub(crate) fn charge(&self) -> Option<usize> {
        Some(self.samples().last()?.charge)
    }

    /// Ends, and returns all samples.
    pub(crate) fn stop(self) -> Vec<Sample> {
        self.stops.store(true, Ordering::Relaxed);
        self.thread.join().expect("the sampler does not panic");
        let samples = &mut *self.samples.lock().expect("no holder panics");
        std::mem::take(samples)
    }
}

/// A connection over which the gauge is read.
type Gauge = BufReader<TcpStream>;

fn sample(pid: u32, admin: SocketAddr, gauge: &mut Option<Gauge>) -> io::Result<Sample> {
    let before = memory::resident(pid)?;
    let charge = read_charge(admin, gauge)?;
    let after = memory::resident(pid)?;
    Ok(Sample {
        at: Instant::now(),
        least_rss: before.min(after),
        most_rss: before.max(after),
        charge,
        kernel: kernel()?,
    })
}

fn read_charge(admin: SocketAddr, gauge: &mut Option<Gauge>) -> io::Result<usize> {
    let gauge = match gauge {
        Some(gauge) => gauge,
        None => {
            let stream = TcpStream::connect(admin)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(ANSWER))?;
            gauge.insert(BufReader::new(stream))
        }
    };
    gauge
        .get_mut()
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")?;
    let (mut length, mut line) = (0, String::new());
    loop {
        line.clear();
        if gauge.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match line.trim_end().to_ascii_lowercase().split_once(": ") {
            Some(("content-length", value)) => length = value.parse().map_err(io::Error::other)?,
            Some(_) => {}
            None if line.trim_end().is_empty() => break,
            None => {}
        }
    }
    let mut text = vec![0; length];
    gauge.read_exact(&mut text)?;
    let text = String::from_utf8(text).map_err(io::Error::other)?;
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix("womack_memory_bytes "));
    let value = value.ok_or(io::ErrorKind::InvalidData)?;
    value.parse().map_err(io::Error::other)
}

/// Reads the line `TCP:` of `/proc/net/sockstat`, which counts `mem` in pages.
fn kernel() -> io::Result<Kernel> {
    let text = fs::read_to_string("/proc/net/sockstat")?;
    let line = text.lines().find_map(|line| line.strip_prefix("TCP:"));
    let words: Vec<_> = line.unwrap_or_default().split_whitespace().collect();
    let field = |name| {
        let pair = words.chunks(2).find(|pair| pair[0] == name)?;
        pair.get(1)?.parse::<usize>().ok()
    };
    let (sockets, pages) = field("inuse")
        .zip(field("mem"))
        .ok_or(io::ErrorKind::InvalidData)?;
    Ok(Kernel {
        sockets,
        bytes: pages * PAGE_BYTES,
    })
}

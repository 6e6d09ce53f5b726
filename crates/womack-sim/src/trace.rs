//! What happened in a run: its hash, its last lines, and how often each thing came up.

use std::{
    collections::{BTreeMap, VecDeque},
    hash::{DefaultHasher, Hasher},
    time::Duration,
};

use tokio::time::Instant;

/// Lines that are kept to be read when a promise was broken.
const LINES: usize = 2000;

/// What happened in a run.
pub struct Trace {
    start: Instant,
    /// Whether every line is printed.
    prints: bool,
    hasher: DefaultHasher,
    lines: VecDeque<String>,
    counts: BTreeMap<String, u64>,
    steps: u64,
    violations: Vec<String>,
    /// The simulated time that the whole run took.
    simulated: Duration,
    /// When the first promise was broken.
    violated_at: Option<Duration>,
    /// The faults that came up, by their numbers.
    faults: Vec<(u64, u64)>,
    /// Steps until the first violation.
    first_violation: Option<u64>,
    /// The lines before the first violation.
    story: Vec<String>,
}

impl Trace {
    /// An empty trace that begins now.
    pub(crate) fn new(prints: bool) -> Self {
        Self {
            start: Instant::now(),
            prints,
            hasher: DefaultHasher::new(),
            lines: VecDeque::new(),
            counts: BTreeMap::new(),
            steps: 0,
            violations: Vec::new(),
            simulated: Duration::ZERO,
            violated_at: None,
            faults: Vec::new(),
            first_violation: None,
            story: Vec::new(),
        }
    }

    /// The time since the run began.
    pub(crate) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// The run is over.
    pub(crate) fn end(&mut self) {
        self.simulated = self.elapsed();
    }

    /// The simulated time that the whole run took.
    pub fn simulated(&self) -> Duration {
        self.simulated
    }

    /// Something happened that the next lines may follow from.
    pub(crate) fn note(&mut self, line: impl Into<String>) {
        let (line, elapsed) = (line.into(), self.elapsed());
        self.hasher.write_u128(elapsed.as_nanos());
        self.hasher.write(line.as_bytes());
        let line = format!("{:>12.6} {line}", elapsed.as_secs_f64());
        if self.prints {
            println!("{line}");
        }
        if self.lines.len() == LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }

    /// An operation of a client, a publication, a fault or a delivered wake-up of a kind.
    pub(crate) fn step(&mut self, kind: &str) {
        self.steps += 1;
        self.count(kind);
    }

    /// Something came up.
    pub(crate) fn count(&mut self, kind: &str) {
        match self.counts.get_mut(kind) {
            Some(count) => *count += 1,
            None => drop(self.counts.insert(kind.to_owned(), 1)),
        }
    }

    /// A promise is broken.
    pub(crate) fn violation(&mut self, text: impl Into<String>) {
        let text = text.into();
        self.note(format!("VIOLATION {text}"));
        if self.violations.is_empty() {
            self.first_violation = Some(self.steps);
            self.story = self.lines.drain(..).collect();
            self.violated_at = Some(self.elapsed());
        }
        self.violations.push(text);
    }

    /// A fault has come up.
    pub(crate) fn bring_fault(&mut self, number: (u64, u64)) {
        self.faults.push(number);
    }

    /// The faults that came up, by their numbers.
    pub(crate) fn faults(&self) -> &[(u64, u64)] {
        &self.faults
    }

    /// The simulated time until the first promise was broken; `None` if all were kept.
    pub fn violated_at(&self) -> Option<Duration> {
        self.violated_at
    }

    /// Steps so far.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The promises that were broken.
    pub fn violations(&self) -> &[String] {
        &self.violations
    }

    /// How many steps it took until the first promise was broken.
    pub fn first_violation(&self) -> Option<u64> {
        self.first_violation
    }

    /// How often each thing came up.
    pub fn counts(&self) -> &BTreeMap<String, u64> {
        &self.counts
    }

    /// The hash of all lines with their times.
    pub fn hash(&self) -> u64 {
        self.hasher.finish()
    }

    /// The last lines before the first promise was broken.
    pub fn story(&self) -> &[String] {
        &self.story
    }
}

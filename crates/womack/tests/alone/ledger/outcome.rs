//! The measurements of a load, and the checks on them.

use std::{
    env,
    fs::OpenOptions,
    io::Write,
    time::{Duration, Instant},
};

use super::{
    harness::BUDGET_BYTES,
    load::{State, Transport},
    mode::Mode,
    sampler::{Kernel, Sample},
    witness::ServiceReport,
};

pub(crate) const MIB: usize = 1 << 20;
/// Allowed difference between resident memory and charge, beside the factors.
const SLACK: usize = 8 * MIB;
/// Allowed resident memory beyond the budget.
const OVER_BUDGET: usize = 64 * MIB;
/// The longest a well-behaved client may go unserved.
const UNSERVED: Duration = Duration::from_secs(5);

/// The head of the table. Memory is in MiB, of each node where there are two.
const HEAD: &str = "\
| load | transport | state | write backend | clients | RSS growth | charge growth | peak RSS \
| released by deadlines after s | still charged | released after s | witness p99 ms | longest refusal s \
| kernel socket memory | kernel sockets | verdict |\n\
|---|---|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|";

/// The measurements of a load.
pub(crate) struct Outcome {
    pub(crate) name: &'static str,
    pub(crate) transport: Transport,
    pub(crate) state: State,
    pub(crate) egress: String,
    pub(crate) clients: usize,
    pub(crate) nodes: Vec<Node>,
    /// Whether deadlines must release everything although sockets stay open.
    pub(crate) has_deadline: bool,
    pub(crate) redis_answers: bool,
    /// Time until deadlines had released everything.
    pub(crate) released_by_deadline: Option<Duration>,
    /// Time until everything was released after the attackers had closed.
    pub(crate) released: Option<Duration>,
    pub(crate) service: ServiceReport,
}

/// Memory of one server in bytes, compared with before the attack.
#[derive(Debug)]
pub(crate) struct Node {
    /// Maxima of resident memory and of charge.
    rss: usize,
    charge: usize,
    /// The largest excess of resident memory over the highest charge until then, and of charge over
    /// resident memory.
    uncharged: Excess,
    overcharged: Excess,
    /// The process's peak.
    peak: usize,
    /// Sockets and buffers of the kernel: the maximum of each.
    kernel: Kernel,
    /// Charge growth just before the attackers close.
    still_held: usize,
}

/// Growth at the worst moment, and by how many bytes it exceeds what is allowed.
#[derive(Clone, Copy, Debug, Default)]
struct Excess {
    rss: usize,
    charge: usize,
    bytes: usize,
}

impl Excess {
    fn observe(&mut self, rss: usize, charge: usize, bytes: usize) {
        if bytes > self.bytes {
            *self = Self { rss, charge, bytes };
        }
    }
}

impl Node {
    /// `samples` begin before the attack, which `begins` then.
    pub(crate) fn new(samples: &[Sample], begins: Instant, peak: usize, still_held: usize) -> Self {
        let before = samples.iter().rfind(|sample| sample.at < begins);
        let before = *before.expect("a sample before the attack");
        let mut node = Self {
            rss: 0,
            charge: 0,
            uncharged: Excess::default(),
            overcharged: Excess::default(),
            peak,
            kernel: Kernel::default(),
            still_held,
        };
        for sample in samples.iter().filter(|sample| sample.at >= begins) {
            let charge = sample.charge.saturating_sub(before.charge);
            let least = sample.least_rss.saturating_sub(before.most_rss);
            let most = sample.most_rss.saturating_sub(before.least_rss);
            node.rss = node.rss.max(least);
            node.charge = node.charge.max(charge);
            let growth = |now: usize, before: usize| now.saturating_sub(before);
            let (kernel, now) = (node.kernel, sample.kernel);
            node.kernel = Kernel {
                sockets: kernel
                    .sockets
                    .max(growth(now.sockets, before.kernel.sockets)),
                bytes: kernel.bytes.max(growth(now.bytes, before.kernel.bytes)),
            };
            // An allocator keeps some released memory, so the highest charge until then counts.
            let allowed = node.charge + node.charge / 4 + SLACK;
            node.uncharged
                .observe(least, node.charge, least.saturating_sub(allowed));
            let allowed = most + most / 2 + SLACK;
            node.overcharged
                .observe(most, charge, charge.saturating_sub(allowed));
        }
        node
    }

    fn violations(&self) -> Vec<String> {
        let mut violations = Vec::new();
        let Excess { rss, charge, bytes } = self.uncharged;
        if bytes > 0 {
            violations.push(format!(
                "uncharged: RSS +{} MiB, charge +{} MiB at most until then",
                mib(rss),
                mib(charge)
            ));
        }
        let Excess { rss, charge, bytes } = self.overcharged;
        if bytes > 0 {
            violations.push(format!(
                "overcharged: charge +{} MiB, RSS +{} MiB",
                mib(charge),
                mib(rss)
            ));
        }
        if self.peak > BUDGET_BYTES + OVER_BUDGET {
            violations.push(format!("over budget: a peak of {} MiB", mib(self.peak)));
        }
        violations
    }
}

impl Outcome {
    /// The checks that failed, in words.
    pub(crate) fn violations(&self, mode: Mode) -> Vec<String> {
        let mut violations: Vec<_> = self.nodes.iter().flat_map(Node::violations).collect();
        if self.has_deadline && self.released_by_deadline.is_none() {
            violations.push(format!(
                "no deadline: {} is held while sockets stay open",
                self.each(|node| node.still_held)
            ));
        }
        if self.released.is_none() {
            violations.push("not released after the attacker's end".to_owned());
        }
        let ServiceReport {
            longest_silence,
            longest_refusal,
            ..
        } = self.service;
        if longest_refusal > UNSERVED {
            violations.push(format!("newcomers refused for {longest_refusal:?}"));
        }
        if self.redis_answers && longest_silence > UNSERVED {
            violations.push(format!("nothing delivered for {longest_silence:?}"));
        }
        if self.redis_answers && self.service.closed > 0 {
            violations.push("the witness was closed".to_owned());
        }
        if mode
            .delivery()
            .is_some_and(|most| self.service.p99() > most)
        {
            violations.push(format!("99 of 100 delivered in {:?}", self.service.p99()));
        }
        violations
    }

    /// Prints a row, and appends it to the table.
    pub(crate) fn print(&self) {
        let violations = self.violations(Mode::of_environment());
        let verdict = match violations.is_empty() {
            true => "ok".to_owned(),
            false => violations.join("; "),
        };
        let seconds = |time: Option<Duration>| match time {
            Some(time) => format!("{:.1}", time.as_secs_f64()),
            None => "–".to_owned(),
        };
        let kernel = self.nodes[0].kernel;
        let line = format!(
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {:.0} | {:.1} | {} | {} | {verdict} |",
            self.name.replace('_', " "),
            self.transport,
            self.state,
            self.egress,
            self.clients,
            self.each(|node| node.rss),
            self.each(|node| node.charge),
            self.each(|node| node.peak),
            seconds(self.released_by_deadline),
            self.each(|node| node.still_held),
            seconds(self.released),
            self.service.p99().as_secs_f64() * 1000.0,
            self.service.longest_refusal.as_secs_f64(),
            mib(kernel.bytes),
            kernel.sockets,
        );
        println!("{line}");
        append(&line);
    }

    /// A figure of each node in MiB.
    fn each(&self, figure: impl Fn(&Node) -> usize) -> String {
        let figures = self.nodes.iter().map(|node| mib(figure(node)));
        figures.collect::<Vec<_>>().join(" / ")
    }
}

/// Appends to the table that `WOMACK_ATTACK_TABLE` names, if it does.
fn append(line: &str) {
    let Some(path) = env::var_os("WOMACK_ATTACK_TABLE") else {
        return;
    };
    let file = OpenOptions::new().append(true).create(true).open(path);
    let mut file = file.expect("a table to write to");
    let is_new = file.metadata().is_ok_and(|metadata| metadata.len() == 0);
    let lines = match is_new {
        true => format!("{HEAD}\n{line}\n"),
        false => format!("{line}\n"),
    };
    file.write_all(lines.as_bytes()).expect("room for a line");
}

fn mib(bytes: usize) -> String {
    format!("{:.1}", bytes as f64 / MIB as f64)
}

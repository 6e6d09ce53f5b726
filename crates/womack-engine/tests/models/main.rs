//! Model checks of the queues between threads.
//!
//! `queue` and `dirty_channels` are the server's own sources, compiled over the models in `sync`.
//! loom runs each check again and again, with another order of the threads' steps and other stale
//! values for their loads each time, until it has tried all that differ and interrupt threads no
//! more often than the check says. When all threads of an execution wait, a wake-up was lost, and
//! loom panics.
//!
//! ```text
//! make models
//! make models MODEL=dirty_channels PREEMPTIONS=4
//! ```
//!
//! There is no libtest harness: it would run the unit tests of both sources, which know nothing of
//! loom, over models that work only within it.

#[expect(clippy::unwrap_used, reason = "a thread that panics fails its check")]
mod checks;
#[path = "../../src/dirty_channels.rs"]
#[expect(dead_code, unreachable_pub, reason = "the engine needs more of it")]
mod dirty_channels;
#[path = "../../src/queue.rs"]
#[expect(
    clippy::needless_pass_by_ref_mut,
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "the engine and its unit tests need more of it, and clippy knows its interface"
)]
mod queue;
mod sync;

use std::{
    any::type_name,
    env,
    io::{Write, stdout},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use loom::model::Builder;

/// A function that loom runs in every order of its threads' steps.
struct Check {
    name: &'static str,
    /// How often threads are interrupted in one execution, beside the places where they wait. Most
    /// errors need one or two interruptions, and each further one multiplies the executions by ten.
    preemptions: usize,
    run: Arc<dyn Fn() + Send + Sync>,
}

impl Check {
    fn new<F: Fn() + Send + Sync + 'static>(preemptions: usize, run: F) -> Self {
        let name = type_name::<F>();
        Self {
            name: name.strip_prefix("models::checks::").unwrap_or(name),
            preemptions,
            run: Arc::new(run),
        }
    }

    /// Runs it; returns how often. `LOOM_MAX_PREEMPTIONS` overrules its own number.
    fn explore(self) -> usize {
        let executions = Arc::new(AtomicUsize::new(0));
        let counter = executions.clone();
        let mut builder = Builder::new();
        builder.preemption_bound.get_or_insert(self.preemptions);
        builder.check(move || {
            counter.fetch_add(1, Ordering::Relaxed);
            (self.run)();
        });
        executions.load(Ordering::Relaxed)
    }
}

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (flags, words): (Vec<&str>, Vec<&str>) = arguments
        .iter()
        .map(String::as_str)
        .partition(|argument| argument.starts_with('-'));
    let is_chosen = |name: &str| words.is_empty() || words.iter().any(|word| name.contains(word));
    let checks = [checks::queue::all(), checks::dirty_channels::all()];
    for check in checks.into_iter().flatten() {
        if !is_chosen(check.name) {
            continue;
        }
        // `tests/stress.py` asks, in the words of libtest.
        if flags.contains(&"--list") {
            println!("{}: test", check.name);
            continue;
        }
        print!("model {} ... ", check.name);
        stdout().flush().expect("stdout is open");
        println!("ok, {} executions", check.explore());
    }
}

//! Measures two builds in pairs, in turns.

use std::{
    io,
    path::{Path, PathBuf},
    process,
    time::{Duration, Instant},
};

use super::{
    Criterion, Judged, Judgement, Metric,
    pair::{Pair, new_goes_first},
    revision,
    verdict::{self, PAIRS},
};
use crate::{
    cell::{Bench, Cell},
    run::Run,
    servers::{Server, WOMACK},
    usage,
    workload::Workload,
};

/// How long a build publishes until the other one's turn comes.
const TURN: Duration = Duration::from_millis(250);
/// How many clients it connects until then.
const CLIENTS_A_TURN: usize = 500;

/// The builds, the limits and the effort.
pub struct Trial {
    /// The build that is the measure.
    pub old: Build,
    /// The build to be judged.
    pub new: Build,
    /// The workloads with their limits.
    pub criteria: Vec<(Workload, Criterion)>,
    /// Pairs for each workload, at most.
    pub max_pairs: usize,
}

/// One of the two that are compared.
pub struct Build {
    /// Its name in what is printed: a revision or a path.
    pub label: String,
    /// How it is started.
    pub server: Server,
    /// Womack's program, if the server is womack.
    pub program: Option<PathBuf>,
}

impl Trial {
    /// Measures pairs, all workloads in turn, until each has a final verdict or as many pairs as
    /// allowed. The old build is measured on the first bench, the new one on the second, so that each
    /// has a Redis of its own. Every pair is also given to `progress` as soon as it is done.
    ///
    /// # Errors
    ///
    /// If a server or Redis cannot be started or ends.
    pub fn run(
        &self,
        benches: &mut [Bench; 2],
        progress: fn(&Criterion, &Pair),
    ) -> io::Result<Judged> {
        for (build, bench) in [&self.old, &self.new].into_iter().zip(benches.iter_mut()) {
            if let Some(program) = &build.program {
                bench.setting.use_womack(program);
            }
        }
        let judgement = |(_, criterion): &(Workload, Criterion)| Judgement {
            criterion: criterion.clone(),
            pairs: Vec::new(),
        };
        let mut judgements: Vec<_> = self.criteria.iter().map(judgement).collect();
        let mut undecided: Vec<_> = (0..judgements.len()).collect();
        for number in 1..=self.max_pairs {
            for &index in &undecided {
                let (workload, criterion) = &self.criteria[index];
                let pair = self.measure_pair(benches, workload, number)?;
                progress(criterion, &pair);
                judgements[index].pairs.push(pair);
            }
            // A look after every pair would find a moment at which chance looks like a result.
            if number % PAIRS == 0 {
                undecided.retain(|&index| !verdict::assess(&judgements[index]).verdict.is_final());
            }
            if undecided.is_empty() {
                break;
            }
        }
        Ok(Judged {
            old: self.old.label.clone(),
            new: self.new.label.clone(),
            judgements,
        })
    }

    /// The workloads with as many clients as there are at the same time: those of both builds where
    /// they take turns.
    #[must_use]
    pub fn workloads_at_once(&self) -> Vec<Workload> {
        let at_once = |(workload, criterion): &(Workload, Criterion)| {
            let builds = if criterion.metric.is_absolute() { 1 } else { 2 };
            Workload {
                clients: builds * workload.clients,
                ..*workload
            }
        };
        self.criteria.iter().map(at_once).collect()
    }

    fn measure_pair(
        &self,
        benches: &[Bench; 2],
        workload: &Workload,
        number: usize,
    ) -> io::Result<Pair> {
        let began = Instant::now();
        let earlier = Usage::now(benches)?;
        let [old_bench, new_bench] = benches;
        let mut places = [(old_bench, &self.old.server), (new_bench, &self.new.server)];
        if new_goes_first(number) {
            places.reverse();
        }
        let mut cells = if Metric::of(workload).is_absolute() {
            one_after_the_other(places, workload, number)?
        } else {
            in_turns(places, workload, number)?
        };
        if new_goes_first(number) {
            cells.reverse();
        }
        let elapsed = began.elapsed();
        let [old, new] = cells;
        Ok(Pair {
            number,
            old,
            new,
            seconds: elapsed.as_secs_f64(),
            background: Usage::now(benches)?.background_since(&earlier, elapsed),
        })
    }
}

/// Where a build is measured, and how it is started.
type Place<'a> = (&'a Bench, &'a Server);

/// Measures each build by itself.
fn one_after_the_other(
    [first, second]: [Place<'_>; 2],
    workload: &Workload,
    number: usize,
) -> io::Result<[Cell; 2]> {
    let measure = |(bench, server): Place<'_>| bench.measure(workload, server, number);
    Ok([measure(first)?, measure(second)?])
}

/// Measures both builds in turns of a fraction of a second: what else goes on in the machine changes
/// within seconds, and meets both alike then. The order within two turns alternates.
fn in_turns(
    [first, second]: [Place<'_>; 2],
    workload: &Workload,
    number: usize,
) -> io::Result<[Cell; 2]> {
    let start = |(bench, server): Place<'_>| Run::start(bench, workload, server);
    let mut runs = [start(first)?, start(second)?];
    let mut more = [true, true];
    for turn in 0.. {
        if more == [false, false] {
            break;
        }
        for at in turn_order(turn) {
            if more[at] {
                more[at] = runs[at].connect(CLIENTS_A_TURN)?;
            }
        }
    }
    runs.iter_mut().try_for_each(Run::settle)?;
    if runs.iter().all(Run::has_traffic) {
        runs.iter_mut().try_for_each(Run::warm_up)?;
        let turns = first.0.duration.div_duration_f64(TURN).ceil() as usize;
        for turn in 0..turns {
            for at in turn_order(turn) {
                runs[at].publish(TURN)?;
            }
        }
    }
    Ok(runs.map(|run| run.finish(number)))
}

/// Which of two has its turn first.
fn turn_order(turn: usize) -> [usize; 2] {
    if turn.is_multiple_of(2) {
        [0, 1]
    } else {
        [1, 0]
    }
}

impl Build {
    /// The build that `name` means: a program's path, the name of another server than womack, or a
    /// git revision of the repository, which is built.
    ///
    /// # Errors
    ///
    /// If it is none of these, or the revision does not build.
    pub fn find(name: &str, repository: &Path) -> io::Result<Self> {
        let path = Path::new(name);
        if path.is_file() {
            return Self::program(name.to_owned(), path);
        }
        let server = Server::find(name).filter(|it| !it.name.starts_with(WOMACK.name));
        if let Some(server) = server {
            return Ok(Self {
                label: name.to_owned(),
                server,
                program: None,
            });
        }
        let built = revision::build(repository, name)?;
        Self::program(built.label, &built.program)
    }

    /// A build of womack, by its program.
    ///
    /// # Errors
    ///
    /// If there is no such file.
    pub fn program(label: String, path: &Path) -> io::Result<Self> {
        // A bare name would be looked up in PATH.
        let program = path.canonicalize().map_err(|error| {
            io::Error::new(error.kind(), format!("program {}: {error}", path.display()))
        })?;
        Ok(Self {
            label,
            server: WOMACK,
            program: Some(program),
        })
    }
}

/// CPU time so far: of all that runs on the CPUs in use, and of what belongs to the measurement.
struct Usage {
    cpus: usize,
    busy: Duration,
    own: Duration,
}

impl Usage {
    fn now(benches: &[Bench; 2]) -> io::Result<Self> {
        let mut cpus: Vec<_> = benches.iter().flat_map(Bench::cpus).collect();
        cpus.sort_unstable();
        cpus.dedup();
        let load = usage::Times::of(process::id())?;
        // The servers are this process's children, and have ended.
        let mut own = load.own + load.ended_children;
        for bench in benches {
            own += usage::Times::of(bench.redis_process.pid())?.own;
        }
        Ok(Self {
            cpus: cpus.len(),
            busy: usage::busy(&cpus)?,
            own,
        })
    }

    fn background_since(&self, earlier: &Self, elapsed: Duration) -> f64 {
        let busy = self.busy.saturating_sub(earlier.busy);
        let own = self.own.saturating_sub(earlier.own);
        let background = busy.saturating_sub(own).as_secs_f64();
        background / (elapsed.as_secs_f64() * self.cpus as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_is_a_program_or_another_server() {
        let repository = tempfile::tempdir().unwrap();
        let program = repository.path().join("womack-before");
        std::fs::write(&program, "").unwrap();
        let name = program.to_str().unwrap();
        let build = Build::find(name, repository.path()).unwrap();
        assert_eq!((build.label.as_str(), build.server.name), (name, "womack"));
        assert_eq!(build.program, Some(program.canonicalize().unwrap()));

        let build = Build::find("floor", repository.path()).unwrap();
        assert_eq!((build.server.name, build.program), ("floor", None));
        assert!(Build::program("gone".to_owned(), &repository.path().join("gone")).is_err());
    }

    #[test]
    fn background_is_the_time_that_belongs_to_nobody_of_the_measurement() {
        let usage = |busy, own| Usage {
            cpus: 2,
            busy: Duration::from_secs(busy),
            own: Duration::from_secs(own),
        };
        let background = usage(130, 15).background_since(&usage(100, 5), Duration::from_secs(100));
        assert_eq!(background, 0.1);
    }
}

//! Measures two builds in alternating pairs.

use std::{
    io,
    path::{Path, PathBuf},
    process,
    time::{Duration, Instant},
};

use super::{
    Criterion, Judged, Judgement,
    pair::{Pair, new_goes_first},
    revision,
    verdict::{self, PAIRS},
};
use crate::{
    cell::{Bench, Cell},
    servers::{Server, WOMACK},
    usage,
    workload::Workload,
};

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
    /// allowed. Every pair is also given to `progress` as soon as it is done.
    ///
    /// # Errors
    ///
    /// If a server or Redis cannot be started or ends.
    pub fn run(&self, bench: &mut Bench, progress: fn(&Criterion, &Pair)) -> io::Result<Judged> {
        let judgement = |(_, criterion): &(Workload, Criterion)| Judgement {
            criterion: criterion.clone(),
            pairs: Vec::new(),
        };
        let mut judgements: Vec<_> = self.criteria.iter().map(judgement).collect();
        let mut undecided: Vec<_> = (0..judgements.len()).collect();
        for number in 1..=self.max_pairs {
            for &index in &undecided {
                let (workload, criterion) = &self.criteria[index];
                let pair = self.measure_pair(bench, workload, number)?;
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

    fn measure_pair(
        &self,
        bench: &mut Bench,
        workload: &Workload,
        number: usize,
    ) -> io::Result<Pair> {
        let began = Instant::now();
        let earlier = Usage::now(bench)?;
        let mut measure = |build: &Build| build.measure(bench, workload, number);
        let (old, new) = if new_goes_first(number) {
            let new = measure(&self.new)?;
            (measure(&self.old)?, new)
        } else {
            (measure(&self.old)?, measure(&self.new)?)
        };
        let elapsed = began.elapsed();
        Ok(Pair {
            number,
            old,
            new,
            seconds: elapsed.as_secs_f64(),
            background: Usage::now(bench)?.background_since(&earlier, elapsed),
        })
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

    fn measure(&self, bench: &mut Bench, workload: &Workload, round: usize) -> io::Result<Cell> {
        if let Some(program) = &self.program {
            bench.setting.use_womack(program);
        }
        bench.measure(workload, &self.server, round)
    }
}

/// CPU time so far: of all that runs on the CPUs in use, and of what belongs to the measurement.
struct Usage {
    cpus: usize,
    busy: Duration,
    own: Duration,
}

impl Usage {
    fn now(bench: &Bench) -> io::Result<Self> {
        let mut cpus = [&bench.server_cpus[..], &bench.load_cpus[..]].concat();
        cpus.sort_unstable();
        cpus.dedup();
        let redis = usage::Times::of(bench.redis_process.pid())?;
        let load = usage::Times::of(process::id())?;
        Ok(Self {
            cpus: cpus.len(),
            busy: usage::busy(&cpus)?,
            // The servers are this process's children, and have ended.
            own: redis.own + load.own + load.ended_children,
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

//! Judges a change: an old and a new build alternate in pairs until the figures decide.
//!
//! One measurement moves by 20 % from run to run, so none of them is a result. Both servers of a pair
//! are measured in turns of a fraction of a second, the order within pairs alternates, and the figure
//! is the median of the pairs' ratios with its interval (see [`statistics`]). `verdict` has the
//! rules, `report` the words; `README.md` tells how to use it.

pub mod pair;
pub mod report;
pub mod revision;
pub mod statistics;
pub mod trial;
pub mod verdict;

use serde::{Deserialize, Serialize};

use self::pair::Pair;
use crate::{
    cell::Cell,
    figures::traffic,
    workload::{Pace, Workload},
};

/// The workloads that a change is judged under if no others are named.
const USUAL: [&str; 5] = ["W1", "W2", "W4", "connect", "W8"];

/// The figure by which a workload is judged.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub enum Metric {
    /// The server's CPU for a delivery, in microseconds: the new build's divided by the old one's.
    DeliveryCpu,
    /// The server's CPU for a client to connect and subscribe, in microseconds, as well a ratio.
    ConnectCpu,
    /// The new server's own memory for an idle client, in bytes.
    IdleBytes,
}

/// A workload with its limit.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Criterion {
    /// The workload's name.
    pub workload: String,
    /// The figure that counts.
    pub metric: Metric,
    /// The most that it may be: a ratio, or bytes if the metric is absolute.
    pub limit: f64,
}

/// All pairs under one workload.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Judgement {
    /// The limit.
    pub criterion: Criterion,
    /// Every pair measured, none left out.
    pub pairs: Vec<Pair>,
}

/// Two builds with all that was measured of them; part of what `--json` writes.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Judged {
    /// The old build's label.
    pub old: String,
    /// The new build's label.
    pub new: String,
    /// One for each workload.
    pub judgements: Vec<Judgement>,
}

impl Metric {
    /// The figure by which this workload is judged.
    #[must_use]
    pub fn of(workload: &Workload) -> Self {
        match workload.pace {
            Pace::Flood(_) | Pace::Rate(_) => Self::DeliveryCpu,
            Pace::Idle if workload.name == "connect" => Self::ConnectCpu,
            Pace::Idle => Self::IdleBytes,
        }
    }

    /// The limit if none is given.
    fn usual_limit(self) -> f64 {
        match self {
            Self::DeliveryCpu => 1.03,
            Self::ConnectCpu => 1.05,
            Self::IdleBytes => 760.0,
        }
    }

    /// The figure of a run.
    #[must_use]
    pub fn value(self, cell: &Cell) -> Option<f64> {
        match self {
            Self::DeliveryCpu => traffic(cell, |it| it.cpu_micros),
            Self::ConnectCpu => Some(cell.connect_micros),
            Self::IdleBytes => Some(cell.idle_bytes),
        }
    }

    /// Whether the limit is one for the new build's own figure, and not for the ratio.
    #[must_use]
    pub fn is_absolute(self) -> bool {
        self == Self::IdleBytes
    }
}

/// The workloads to judge under, each with its limit: these workloads or the usual ones, and those
/// that `limits` names.
#[must_use]
pub fn criteria(workloads: &[Workload], limits: &[(Workload, f64)]) -> Vec<(Workload, Criterion)> {
    let mut all = workloads.to_vec();
    if all.is_empty() {
        all.extend(USUAL.into_iter().filter_map(Workload::find));
    }
    for (workload, _) in limits {
        if all.iter().all(|other| other.name != workload.name) {
            all.push(*workload);
        }
    }
    let with_limit = |workload: Workload| {
        let metric = Metric::of(&workload);
        let given = limits.iter().rfind(|(of, _)| of.name == workload.name);
        let criterion = Criterion {
            workload: workload.name.to_owned(),
            metric,
            limit: given.map_or_else(|| metric.usual_limit(), |(_, limit)| *limit),
        };
        (workload, criterion)
    };
    all.into_iter().map(with_limit).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::cell::{Delay, Traffic};

    /// A pair in which each message goes to one client and wakes the server once.
    pub(crate) fn pair(number: usize, ratio: f64) -> Pair {
        let cell = |cpu_micros| Cell {
            workload: "W4".to_owned(),
            value: None,
            server: "womack".to_owned(),
            round: number,
            clients: 1_000,
            failed: 0,
            connect_micros: 40.0,
            idle_bytes: 700.0,
            traffic: Some(Traffic {
                deliveries: 1_000,
                rate: 1_000.0,
                cpu_micros,
                system_share: 0.9,
                reads: 1.0,
                wakes: 1.0,
                delay: Delay {
                    p50: 1.0,
                    p99: 2.0,
                    p999: 3.0,
                    max: 4.0,
                },
                last: 1.0,
                lost: 0,
                wrong: 0,
                closed: 0,
                others: 0.0,
            }),
            failure: None,
        };
        Pair {
            number,
            old: cell(4.0),
            new: cell(4.0 * ratio),
            seconds: 16.0,
            background: 0.01,
        }
    }

    /// A judgement of the CPU per delivery with these ratios.
    pub(crate) fn judgement(limit: f64, ratios: &[f64]) -> Judgement {
        let pairs = ratios.iter().zip(1..);
        Judgement {
            criterion: Criterion {
                workload: "W4".to_owned(),
                metric: Metric::DeliveryCpu,
                limit,
            },
            pairs: pairs.map(|(&ratio, number)| pair(number, ratio)).collect(),
        }
    }

    #[test]
    fn usual_workloads_are_judged_by_the_figure_that_each_is_about() {
        let all = criteria(&[], &[]);
        let all: Vec<_> = all
            .iter()
            .map(|(_, it)| (it.workload.as_str(), it.metric, it.limit))
            .collect();
        let expected = [
            ("W1", Metric::DeliveryCpu, 1.03),
            ("W2", Metric::DeliveryCpu, 1.03),
            ("W4", Metric::DeliveryCpu, 1.03),
            ("connect", Metric::ConnectCpu, 1.05),
            ("W8", Metric::IdleBytes, 760.0),
        ];
        assert_eq!(all, expected);
    }

    #[test]
    fn a_workload_with_a_limit_of_its_own_is_judged_as_well() {
        let find = |name| Workload::find(name).unwrap();
        let all = criteria(&[find("W2")], &[(find("W2"), 1.1), (find("W3"), 1.2)]);
        let all: Vec<_> = all
            .iter()
            .map(|(workload, it)| (workload.name, it.limit))
            .collect();
        assert_eq!(all, [("W2", 1.1), ("W3", 1.2)]);
    }
}

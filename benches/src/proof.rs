//! The whole proof that a delivery costs what the kernel makes it cost: all series in one run.

use std::time::Duration;

use crate::{
    series::Series,
    servers::{SERVERS, Server},
    sweep::Axis,
    workload::{WORKLOADS, Workload},
};

/// Those whose figures are claimed.
const CLAIMED: [&str; 5] = [
    "womack",
    "floor",
    "floor-batch",
    "uwebsockets",
    "socketioxide",
];
const FURTHER: [&str; 4] = ["womack", "nats", "nchan", "socketio"];
const SHORT: Duration = Duration::from_secs(2);

/// Rounds of what is claimed. What is only shown has fewer.
const ROUNDS: usize = 5;

/// All series: less than twenty minutes.
#[must_use]
pub fn series() -> Vec<Series> {
    let claimed = |title, servers: &[&str], workloads: &[&str]| Series {
        rounds: ROUNDS,
        ..new(title, servers, workloads)
    };
    let mut all = vec![
        claimed("Servers", &CLAIMED, &["W1", "W2", "W3", "W4"]),
        claimed(
            "Idle and connecting clients",
            &["womack", "floor", "socketioxide"],
            &["W8", "connect"],
        ),
        new("Further servers", &FURTHER, &["W1", "W2", "W4"]),
        Series {
            rounds: 2,
            ..new(
                "Shards",
                &["womack", "womack-2", "floor"],
                &["W1", "W2", "W3"],
            )
        },
    ];
    let sweeps = Axis::ALL.into_iter().map(|axis| {
        let servers = match axis {
            Axis::Clients | Axis::Channels | Axis::Bytes => &CLAIMED[..2],
            Axis::Rate => &["womack", "womack-10ms", "womack-50ms"],
        };
        Series {
            workloads: axis.workloads(),
            ..new(axis.title(), servers, &[])
        }
    });
    all.extend(sweeps);
    all
}

fn new(title: &str, servers: &[&str], workloads: &[&str]) -> Series {
    let named_server = |name: &&str| SERVERS.iter().find(|server| server.name == *name).copied();
    let named = |name: &&str| {
        WORKLOADS
            .iter()
            .find(|workload| workload.name == *name)
            .copied()
    };
    Series {
        title: title.to_owned(),
        servers: servers
            .iter()
            .filter_map(named_server)
            .collect::<Vec<Server>>(),
        workloads: workloads
            .iter()
            .filter_map(named)
            .collect::<Vec<Workload>>(),
        rounds: 1,
        duration: SHORT,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_series_has_all_that_it_names() {
        let counts = series()
            .into_iter()
            .map(|it| (it.servers.len(), it.workloads.len()));
        assert_eq!(
            counts.collect::<Vec<_>>(),
            [
                (5, 4),
                (3, 2),
                (4, 3),
                (3, 3),
                (2, 6),
                (2, 6),
                (2, 5),
                (3, 3)
            ]
        );
    }
}

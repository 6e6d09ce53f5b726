//! The load generator and the floor prove one another: nothing is lost, and nothing is made up.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{path::Path, time::Duration};

use womack_benches::{
    cell::{Bench, Cell},
    judge::{
        self,
        trial::{Build, Trial},
        verdict::assess,
    },
    servers::Server,
    workload::{Holding, Pace, Workload},
};

const CPU: [usize; 1] = [0];

fn bench() -> Bench {
    let programs = Path::new(env!("CARGO_BIN_EXE_floor")).parent().unwrap();
    let duration = Duration::from_millis(200);
    Bench::open("redis-server", programs.to_owned(), (&CPU, &CPU), duration).unwrap()
}

fn measure(server: &str, workload: Workload) -> Cell {
    bench()
        .measure(&workload, &Server::find(server).unwrap(), 1)
        .unwrap()
}

fn assert_complete(cell: &Cell) {
    assert_eq!((cell.failed, &cell.failure), (0, &None));
    let traffic = cell.traffic.as_ref().unwrap();
    assert!(traffic.deliveries > 0, "{cell:?}");
    assert_eq!(
        (traffic.lost, traffic.wrong, traffic.closed),
        (0, 0, 0),
        "{cell:?}"
    );
}

#[test]
fn flood_arrives_whole_whether_merged_or_not() {
    let workload = Workload {
        clients: 50,
        ..Workload::find("W1").unwrap()
    };
    let floor = measure("floor", workload);
    assert_complete(&floor);
    assert_eq!(floor.clients, 50);
    assert_complete(&measure("floor-batch", workload));
}

#[test]
fn many_channels_arrive_whole_while_others_pass_by() {
    let workload = Workload {
        clients: 50,
        holding: Holding::Some {
            channels: 100,
            held: 10,
        },
        pace: Pace::Flood(64),
        passers_by: 200,
        ..Workload::find("W6").unwrap()
    };
    assert_complete(&measure("floor", workload));
    assert_complete(&measure("floor-batch", workload));
}

#[test]
fn a_judgement_measures_each_workload_in_pairs_and_one_pair_decides_nothing() {
    let workload = |name| Workload {
        clients: 50,
        ..Workload::find(name).unwrap()
    };
    let build = |name| Build::find(name, Path::new(".")).unwrap();
    let trial = Trial {
        old: build("floor"),
        new: build("floor-batch"),
        criteria: judge::criteria(&[workload("W1"), workload("W8")], &[]),
        max_pairs: 1,
    };
    let judged = trial.run(&mut [bench(), bench()], |_, _| {}).unwrap();
    assert_eq!(
        (judged.old.as_str(), judged.new.as_str()),
        ("floor", "floor-batch")
    );
    for judgement in &judged.judgements {
        let [pair] = &judgement.pairs[..] else {
            panic!("{judgement:?}");
        };
        assert_eq!((pair.old.clients, pair.new.clients), (50, 50));
        assert_eq!(
            (&*pair.old.server, &*pair.new.server),
            ("floor", "floor-batch")
        );
        let verdict = assess(judgement).verdict;
        assert!(!verdict.is_final(), "{verdict:?}");
    }
    assert_complete(&judged.judgements[0].pairs[0].old);
    assert_complete(&judged.judgements[0].pairs[0].new);
}

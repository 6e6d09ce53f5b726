//! Single steps of the delivery path, without sockets: from the router to a shard, and from a
//! shard's queue to what it writes.

use std::{hint::black_box, time::Duration};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use mimalloc::MiMalloc;
use tokio::runtime::Builder;
use womack::bench::{FanOut, HandOver};
use womack_proto::frame;

// As in the program.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Messages that come out of Redis together.
const BURSTS: [usize; 3] = [1, 16, 64];
const CLIENTS: usize = 1_000;

criterion_group! {
    name = benches;
    config = Criterion::default().measurement_time(Duration::from_secs(2));
    targets = hand_over, fan_out
}
criterion_main!(benches);

/// A burst of frames through the queue between two threads, used from one.
fn hand_over(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("hand over");
    let runtime = Builder::new_current_thread()
        .build()
        .expect("a runtime without drivers");
    let frame = frame::event(br#"42["hello","#, &[b'1'; 128]);
    for burst in BURSTS {
        let mut queue = HandOver::new(1_024);
        group.throughput(Throughput::Elements(burst as u64));
        group.bench_function(BenchmarkId::from_parameter(burst), |bencher| {
            bencher.iter(|| {
                let frames = (0..burst).map(|_| frame.clone());
                let taken = runtime.block_on(queue.burst(frames));
                assert_eq!(taken, burst);
            });
        });
    }
}

/// A burst appended for each of a thousand clients, and their spans taken again.
fn fan_out(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("fan out");
    let frame = frame::event(br#"42["hello","#, &[b'1'; 128]);
    for burst in BURSTS {
        let mut fan_out = FanOut::new(CLIENTS);
        group.throughput(Throughput::Elements((burst * CLIENTS) as u64));
        group.bench_function(BenchmarkId::from_parameter(burst), |bencher| {
            bencher.iter(|| {
                for _ in 0..burst {
                    fan_out.append(black_box(frame.as_bytes()));
                }
                assert_eq!(fan_out.finish(), CLIENTS, "neighbours merge");
            });
        });
    }
}

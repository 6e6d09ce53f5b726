//! Single steps of the protocol: what a client's packet and a published message cost in CPU.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use mimalloc::MiMalloc;
use womack_proto::{
    Layer, Limits, Namespaces, Output, Revision, Rules, Scratch, Session, Timing, envelope, frame,
};

// As in the program.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const SIZES: [usize; 3] = [128, 1 << 10, 16 << 10];
const SUBSCRIBE: &str = r#"420["subscribe",{"channel":"hello"}]"#;

criterion_group! {
    name = benches;
    config = Criterion::default().measurement_time(Duration::from_secs(2));
    targets = decode_subscribe, check_envelope, frame_envelope
}
criterion_main!(benches);

/// From the packet's text to the event that a namespace's handler is given.
fn decode_subscribe(criterion: &mut Criterion) {
    let rules = Rules {
        timing: Timing::default(),
        limits: Limits::default(),
        namespaces: Namespaces::new(["/"]),
    };
    let now = Instant::now();
    let joined = || {
        let mut outputs = Vec::new();
        let mut session = Session::open(Revision::V4, Layer::SocketIo, &rules, now);
        session.handle_text(now, "40", &rules, &mut outputs);
        if let Some(Output::Connect { namespace, .. }) = outputs.pop() {
            session.accept(namespace, "K19LcR3dwTTucqp-AAAA", &rules, &mut outputs);
        }
        outputs.clear();
        session.handle_text(now, SUBSCRIBE, &rules, &mut outputs);
        assert!(matches!(*outputs, [Output::Event { .. }]), "{outputs:?}");
        outputs.clear();
        (session, outputs)
    };
    criterion.bench_function("decode subscribe", |bencher| {
        bencher.iter_batched_ref(
            joined,
            |(session, outputs)| {
                session.handle_text(now, black_box(SUBSCRIBE), &rules, outputs);
                outputs.clear();
            },
            BatchSize::SmallInput,
        );
    });
}

/// Validates a published message and looks for its `except`.
fn check_envelope(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("check envelope");
    let mut scratch = Scratch::default();
    for (kind, make) in [
        ("text", text_envelope as fn(usize) -> Vec<u8>),
        ("records", records_envelope),
    ] {
        for size in SIZES {
            let payload = make(size);
            group.throughput(Throughput::Bytes(payload.len() as u64));
            group.bench_with_input(
                BenchmarkId::new(kind, size),
                &payload,
                |bencher, payload| {
                    bencher.iter(|| envelope::check(black_box(payload), &mut scratch));
                },
            );
        }
    }
}

/// Builds the frame that all subscribers of a topic share.
fn frame_envelope(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("frame envelope");
    let prefix = frame::event_prefix("/", "hello");
    for size in SIZES {
        let payload = text_envelope(size);
        group.throughput(Throughput::Bytes(payload.len() as u64));
        group.bench_with_input(
            BenchmarkId::from_parameter(size),
            &payload,
            |bencher, payload| {
                bencher.iter(|| frame::event(black_box(&prefix), black_box(payload)));
            },
        );
    }
}

/// An envelope with one long string: the quickest that JSON can be.
fn text_envelope(size: usize) -> Vec<u8> {
    let filling = size.saturating_sub(r#"{"data":""}"#.len());
    format!(r#"{{"data":"{}"}}"#, "x".repeat(filling)).into_bytes()
}

/// An envelope of small records, as an application would publish; about as long as asked.
fn records_envelope(size: usize) -> Vec<u8> {
    let mut records = String::new();
    for id in 10_000.. {
        let record = format!(
            r#"{{"id":{id},"name":"user {id}","score":{}.5,"on":true}}"#,
            id % 97
        );
        if !records.is_empty() {
            if records.len() + record.len() + 12 > size {
                break;
            }
            records.push(',');
        }
        records.push_str(&record);
    }
    format!(r#"{{"data":[{records}]}}"#).into_bytes()
}

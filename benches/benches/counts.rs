//! Instructions of single steps, which no other process can disturb.
//!
//! Valgrind runs this program once for some repetitions of a step and once for twice as many: the
//! difference is the steps' own. What a socket costs is the kernel's, and not among them.

use std::{
    env,
    error::Error,
    hint::black_box,
    io::ErrorKind,
    process::{Command, ExitCode},
    time::Instant,
};

use bytes::BytesMut;
use mimalloc::MiMalloc;
use tokio::runtime::Builder;
use womack::bench::{FanOut, HandOver};
use womack_benches::{
    dialect::{Dialect, KEY},
    message::{Stamp, Template},
};
use womack_proto::{
    Handshake, Layer, Limits, Namespaces, Output, Revision, Rules, Scratch, Session, Timing,
    envelope, frame, open_packet,
};
use womack_redis::resp::{Decoder, Reply};

// As in the program.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Clients of the fan-out, and messages of a burst.
const CLIENTS: usize = 1_000;
const BURST: usize = 64;
/// How often the quickest steps are repeated.
const OFTEN: u64 = 2_000;
const SID: &str = "K19LcR3dwTTucqp-AAAAAAAA";

/// Something to be counted.
struct Step {
    name: &'static str,
    /// Does it so many times.
    run: fn(u64),
    repetitions: u64,
}

const DECODE: Step = step("decode what Redis sends", decode, OFTEN);
const CHECK: Step = step("check the JSON", check, OFTEN);
const FRAME: Step = step("frame", frame_message, OFTEN);
const HAND: Step = step("hand over to a shard", hand_over, OFTEN);
const CONNECT: Step = step("connect and subscribe", connect_and_subscribe, OFTEN);
const ROUND: Step = step(
    "a round to 1,000 clients",
    |times| fan_out(CLIENTS, 1, times),
    20,
);
const WIDER: Step = step(
    "a round to 2,000",
    |times| fan_out(2 * CLIENTS, 1, times),
    20,
);
const LONGER: Step = step(
    "a burst to 1,000",
    |times| fan_out(CLIENTS, 1 + BURST, times),
    20,
);
const STEPS: [Step; 8] = [DECODE, CHECK, FRAME, HAND, CONNECT, ROUND, WIDER, LONGER];

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let result = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--step", name, repetitions] => run(name, repetitions),
        _ if arguments.iter().any(|it| it == "--bench") => report(),
        // Run as a test: it is enough that every step works.
        _ => {
            STEPS.iter().for_each(|step| (step.run)(1));
            Ok(())
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("counts: {error}");
            ExitCode::FAILURE
        }
    }
}

const fn step(name: &'static str, run: fn(u64), repetitions: u64) -> Step {
    Step {
        name,
        run,
        repetitions,
    }
}

fn run(name: &str, repetitions: &str) -> Result<(), Box<dyn Error>> {
    let step = STEPS.iter().find(|step| step.name == name);
    (step.ok_or("an unknown step")?.run)(repetitions.parse()?);
    Ok(())
}

fn report() -> Result<(), Box<dyn Error>> {
    let present = Command::new("valgrind").arg("--version").output();
    if present.is_err_and(|error| error.kind() == ErrorKind::NotFound) {
        eprintln!("counts: skipped, since valgrind is not installed");
        return Ok(());
    }
    let line = |name: &str, instructions: f64| println!("| {name} | {instructions:.0} |");
    println!("| step | instructions |\n|---|---:|");
    let mut message = 0.0;
    for step in [DECODE, CHECK, FRAME, HAND] {
        let instructions = count(&step)?;
        message += instructions;
        line(&format!("a message: {}", step.name), instructions);
    }
    let (round, wider, longer) = (count(&ROUND)?, count(&WIDER)?, count(&LONGER)?);
    let clients = CLIENTS as f64;
    let first = (wider - round) / clients;
    let once = first.mul_add(-clients, round);
    line("a message: append to the round, and end it", once);
    line("a message, whoever gets it", message + once);
    line(
        "a subscriber: its first message of a round, and its flush",
        first,
    );
    let further = (longer - round) / (clients * BURST as f64);
    line("a subscriber: each further message", further);
    line(
        "a client: connect and subscribe, as a session",
        count(&CONNECT)?,
    );
    Ok(())
}

/// Instructions of one repetition.
fn count(step: &Step) -> Result<f64, Box<dyn Error>> {
    let (few, many) = (step.repetitions, 2 * step.repetitions);
    let difference = collected(step.name, many)? - collected(step.name, few)?;
    Ok(difference / few as f64)
}

/// Instructions of the whole program, from `==1== Collected : 123`.
fn collected(name: &str, repetitions: u64) -> Result<f64, Box<dyn Error>> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(env::current_exe()?)
        .args(["--step", name, &repetitions.to_string()])
        .output()?;
    let log = String::from_utf8(output.stderr)?;
    let count = log
        .lines()
        .find_map(|line| line.split_once("Collected : "))
        .ok_or_else(|| format!("valgrind counted nothing: {log}"))?;
    Ok(count.1.trim().parse()?)
}

/// From the bytes of a push to the channel's name and the payload.
fn decode(times: u64) {
    let mut input = BytesMut::from(&*push().repeat(times as usize));
    let mut decoder = Decoder::default();
    for _ in 0..times {
        let decoded = decoder.decode(black_box(&mut input), usize::MAX);
        let Ok(Some(Reply::Message(message))) = decoded else {
            panic!("{decoded:?}");
        };
        assert_eq!(message.payload().len(), 128);
    }
}

fn check(times: u64) {
    let payload = payload();
    let mut scratch = Scratch::default();
    for _ in 0..times {
        let checked = envelope::check(black_box(&payload), &mut scratch);
        assert!(checked.is_ok());
    }
}

fn frame_message(times: u64) {
    let (prefix, payload) = (frame::event_prefix("/", "c00042"), payload());
    for _ in 0..times {
        black_box(frame::event(black_box(&prefix), black_box(&payload)));
    }
}

/// One message at a time: a burst shares the wake-up.
fn hand_over(times: u64) {
    let runtime = Builder::new_current_thread()
        .build()
        .expect("a runtime without drivers");
    let frame = frame::event(br#"42["c00042","#, &payload());
    let mut queue = HandOver::new(1_024);
    runtime.block_on(async {
        for _ in 0..times {
            assert_eq!(queue.burst([frame.clone()].into_iter()).await, 1);
        }
    });
}

fn fan_out(clients: usize, burst: usize, times: u64) {
    let frame = frame::event(br#"42["c00042","#, &payload());
    let mut fan_out = FanOut::new(clients);
    for _ in 0..times {
        for _ in 0..burst {
            fan_out.append(black_box(frame.as_bytes()));
        }
        assert_eq!(fan_out.finish(), clients, "neighbours merge");
    }
}

/// All that a client says from its first request on, and what it is answered.
fn connect_and_subscribe(times: u64) {
    let rules = Rules {
        timing: Timing::default(),
        limits: Limits::default(),
        namespaces: Namespaces::new(["/"]),
    };
    let now = Instant::now();
    let mut outputs = Vec::new();
    for _ in 0..times {
        let handshake = Handshake::parse(black_box("EIO=4&transport=websocket"));
        assert!(handshake.is_ok());
        black_box(open_packet(SID, false, &rules.timing, 1_000_000));
        let mut session = Session::open(Revision::V4, Layer::SocketIo, &rules, now);
        session.handle_text(now, black_box("40"), &rules, &mut outputs);
        let Some(Output::Connect { namespace, .. }) = outputs.pop() else {
            panic!("no connect");
        };
        session.accept(namespace, SID, &rules, &mut outputs);
        let subscribe = r#"420["subscribe",{"channel":"c00042"}]"#;
        session.handle_text(now, black_box(subscribe), &rules, &mut outputs);
        assert_eq!(outputs.len(), 2);
        outputs.clear();
    }
}

/// What Redis sends to a subscriber.
fn push() -> Vec<u8> {
    let mut command = Vec::new();
    let stamp = Stamp {
        channel: 42,
        number: 7,
        sequence: 3,
        nanos: 123_456_789,
    };
    Template::new(Dialect::SocketIo, 128).append(&stamp, &mut command);
    let head = b"*3\r\n$7\r\nPUBLISH".len();
    [b"*3\r\n$7\r\nmessage", &command[head..]].concat()
}

fn payload() -> Vec<u8> {
    let push = push();
    let at = push.len() - 130;
    assert!(
        push.windows(KEY.len())
            .any(|window| window == KEY.as_bytes())
    );
    push[at..at + 128].to_vec()
}

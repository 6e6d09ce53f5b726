//! The plan of a run: everything that is chosen follows from one seed.

use std::time::Duration;

use fastrand::Rng;

/// Channels that many clients share and that are published on without end.
pub(super) const SHARED: usize = 8;

/// Channels of its own that a client has at most. One that stays for long would come to the
/// server's `--max-channels-per-client` otherwise, and be refused for that.
const OWN: usize = 500;

const CLIENTS: u64 = 40;
const HOSTILE: u64 = 4;

/// The kinds of clients.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// Engine.IO 4 over a WebSocket.
    Socket4,
    /// Engine.IO 3 over a WebSocket.
    Socket3,
    /// Engine.IO 4 over polling.
    Polling4,
    /// Engine.IO 3 over polling.
    Polling3,
    /// Engine.IO 4 over polling, with an upgrade.
    Upgrade4,
    /// Engine.IO 3 over polling, with an upgrade.
    Upgrade3,
    /// Socket.IO 0.9 over a WebSocket.
    LegacySocket,
    /// Socket.IO 0.9 over xhr-polling.
    LegacyPolling,
    /// JSON lines.
    Lines,
    /// Server-sent events.
    Events,
}

impl Kind {
    pub(super) const ALL: [Self; 10] = [
        Self::Socket4,
        Self::Socket3,
        Self::Polling4,
        Self::Polling3,
        Self::Upgrade4,
        Self::Upgrade3,
        Self::LegacySocket,
        Self::LegacyPolling,
        Self::Lines,
        Self::Events,
    ];

    /// Whether its requests may be polls.
    pub(super) const fn polls(self) -> bool {
        matches!(
            self,
            Self::Polling4 | Self::Polling3 | Self::Upgrade4 | Self::Upgrade3 | Self::LegacyPolling
        )
    }
}

/// Settings of the server and the surroundings of a run.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) seed: u64,
    /// How long an unwanted channel stays subscribed at Redis.
    pub(super) grace: Duration,
    /// The server's `--egress`.
    pub(super) egress: String,
    /// The largest latency of the link, one way.
    pub(super) latency: Duration,
    /// Whether no poll is aborted or repeated.
    pub(super) keeps_polls: bool,
    pub(super) clients: u64,
    /// Clients that send what is malformed or too much.
    pub(super) hostile: u64,
    /// The server's `--memory-budget`; `None` for its default, which is never reached.
    pub(super) budget: Option<&'static str>,
}

impl Plan {
    /// The plan of `seed`; `egress` overrules it.
    pub(super) fn of(seed: u64, egress: Option<String>) -> Self {
        let mut rng = rng(seed, "plan", 0);
        let grace = *choose(&mut rng, &[0, 0, 10, 50, 300, 1000]);
        let chosen = *choose(&mut rng, &["auto", "write"]);
        let latency = *choose(&mut rng, &[1, 20, 50, 100]);
        Self {
            seed,
            grace: Duration::from_millis(grace),
            egress: egress.unwrap_or_else(|| chosen.to_owned()),
            latency: Duration::from_millis(latency),
            keeps_polls: false,
            clients: CLIENTS,
            hostile: HOSTILE,
            budget: None,
        }
    }
}

/// The random numbers of one actor.
pub(super) fn rng(seed: u64, actor: &str, number: u64) -> Rng {
    let salt = actor.bytes().fold(number, |salt, byte| {
        (salt ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    Rng::with_seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ salt)
}

/// One of some.
pub(super) fn choose<'a, T>(rng: &mut Rng, some: &'a [T]) -> &'a T {
    &some[rng.usize(..some.len())]
}

/// A time whose mean is `mean`, as between independent events, and at most six times that.
pub(super) fn pause(rng: &mut Rng, mean: Duration) -> Duration {
    mean.mul_f64((-(1.0 - rng.f64()).ln()).min(6.0))
}

/// An operation of a client.
#[derive(Clone, Debug)]
pub(super) enum Operation {
    Subscribe {
        channels: Vec<usize>,
        acked: bool,
    },
    Unsubscribe {
        channels: Vec<usize>,
        acked: bool,
    },
    /// Subscribes, leaves and subscribes again without waiting.
    Flicker {
        channel: usize,
        times: usize,
    },
    /// Subscribes to a channel that nobody ever had.
    Fresh {
        acked: bool,
    },
    /// Leaves such a channel.
    LeaveFresh,
    AbortPoll,
    RepeatPoll,
    /// Says goodbye and comes back.
    Disconnect,
    /// Goes without a word and comes back.
    Abort,
}

impl Operation {
    /// Whether it concerns a poll, which sessions over a WebSocket have not.
    pub(super) const fn is_of_polls(&self) -> bool {
        matches!(self, Self::AbortPoll | Self::RepeatPoll)
    }
}

/// How a client behaves.
pub(super) struct Temper {
    /// The mean time between two operations.
    pub(super) mean: Duration,
    rng: Rng,
    polls: bool,
    /// Whether it ever leaves.
    stays: bool,
}

impl Temper {
    /// The temper of client `number`, which aborts and repeats polls unless it `keeps` them.
    pub(super) fn of(seed: u64, number: u64, kind: Kind, keeps: bool) -> Self {
        let mut rng = rng(seed, "temper", number);
        let mean = *choose(&mut rng, &[15, 60, 150, 400, 1500]);
        Self {
            mean: Duration::from_millis(mean),
            stays: rng.f64() < 0.25,
            rng,
            polls: kind.polls() && !keeps,
        }
    }

    /// The time until the next operation.
    pub(super) fn pause(&mut self) -> Duration {
        pause(&mut self.rng, self.mean)
    }

    /// The next operation of a client that is in `own` channels which nobody else ever had.
    pub(super) fn next(&mut self, own: usize) -> Operation {
        let rng = &mut self.rng;
        let acked = rng.f64() < 0.85;
        let channels = |rng: &mut Rng| {
            let count = *choose(rng, &[1, 1, 1, 2, 3]);
            let mut channels: Vec<_> = (0..count).map(|_| rng.usize(..SHARED)).collect();
            channels.sort_unstable();
            channels.dedup();
            channels
        };
        match rng.u32(..100) {
            0..40 => Operation::Subscribe {
                channels: channels(rng),
                acked,
            },
            40..62 => Operation::Unsubscribe {
                channels: channels(rng),
                acked,
            },
            62..74 => Operation::Flicker {
                channel: rng.usize(..SHARED),
                times: rng.usize(1..3),
            },
            74..86 if own < OWN => Operation::Fresh { acked },
            74..92 => Operation::LeaveFresh,
            92..94 if self.polls => Operation::AbortPoll,
            94..96 if self.polls => Operation::RepeatPoll,
            96..98 if !self.stays => Operation::Disconnect,
            98..100 if !self.stays => Operation::Abort,
            _ => Operation::Subscribe {
                channels: channels(rng),
                acked,
            },
        }
    }

    /// The channels of an event stream.
    pub(super) fn stream(&mut self) -> Vec<usize> {
        let mut channels: Vec<_> = (0..self.rng.usize(1..4))
            .map(|_| self.rng.usize(..SHARED))
            .collect();
        channels.sort_unstable();
        channels.dedup();
        channels
    }

    /// How long an event stream is kept.
    pub(super) fn stay(&mut self) -> Duration {
        let mean = *choose(&mut self.rng, &[20, 200, 1000, 5000]);
        pause(&mut self.rng, Duration::from_millis(mean))
    }

    /// When a polling session tries to upgrade.
    pub(super) fn upgrade(&mut self) -> Duration {
        Duration::from_millis(*choose(&mut self.rng, &[0, 0, 30, 300, 2000]))
    }

    /// One of some.
    pub(super) fn choose<'a, T>(&mut self, some: &'a [T]) -> Option<&'a T> {
        (!some.is_empty()).then(|| choose(&mut self.rng, some))
    }
}

/// A fault of a link.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    Stall(Duration),
    Down(Duration),
    Cut,
    Hang,
}

/// The next thing that happens to the links.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trouble {
    /// The time before it.
    pub(super) pause: Duration,
    pub(super) fault: Fault,
    /// The latency from then on, one way.
    pub(super) latency: Duration,
    /// The link concerned; `None` for all of them.
    pub(super) link: Option<usize>,
}

/// The troubles of a run, one after the other.
pub(super) struct Troubles {
    rng: Rng,
    latency: Duration,
}

impl Troubles {
    pub(super) fn of(plan: &Plan) -> Self {
        Self {
            rng: rng(plan.seed, "troubles", 0),
            latency: plan.latency,
        }
    }

    /// The latency of a link at the beginning.
    pub(super) fn latency(&mut self) -> Duration {
        self.latency.mul_f64(self.rng.f64())
    }

    /// The next trouble of one of `links`, or of all.
    pub(super) fn next(&mut self, links: usize) -> Trouble {
        let latency = self.latency();
        let rng = &mut self.rng;
        // Stalls that follow one another closely would be one to the server.
        let calm = *choose(rng, &[50, 50, 100, 100, 200, 400, 800, 1600, 4000]);
        let pause = pause(rng, Duration::from_millis(calm)) + Duration::from_millis(250);
        let millis = |rng: &mut Rng, from, to| Duration::from_millis(rng.u64(from..to));
        let fault = match rng.u32(..100) {
            0..30 => Fault::Stall(millis(rng, 20, 2500)),
            30..35 => Fault::Stall(millis(rng, 7000, 9000)),
            35..60 => Fault::Down(millis(rng, 10, 4000)),
            60..95 => Fault::Cut,
            _ => Fault::Hang,
        };
        let link = (rng.f64() < 0.7).then(|| rng.usize(..links));
        Trouble {
            pause,
            fault,
            latency,
            link,
        }
    }
}

#[test]
fn a_client_that_stays_keeps_below_the_channels_that_it_may_have() {
    /// The server's default.
    const MOST: usize = 1000;
    let mut temper = Temper::of(1, 0, Kind::Socket4, false);
    let mut own = 0;
    for _ in 0..100_000 {
        match temper.next(own) {
            Operation::Fresh { .. } => own += 1,
            Operation::LeaveFresh => own = own.saturating_sub(1),
            _ => {}
        }
        assert!(own + SHARED <= MOST);
    }
}

//! The workloads by name. `README.md` tells why each is there.

use fastrand::Rng;

/// A fixed seed: every server gets the same subscriptions and the same order of channels.
const SEED: u64 = 0x776f_6d61_636b;

/// What clients hold and how fast is published.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    /// Its name on the command line and in tables.
    pub name: &'static str,
    /// What is varied, if it is one point of a sweep.
    pub value: Option<u64>,
    /// Clients that stay connected throughout.
    pub clients: usize,
    /// Which channels they hold.
    pub holding: Holding,
    /// Bytes of each published payload.
    pub payload_len: usize,
    /// How fast is published.
    pub pace: Pace,
    /// Clients a second that connect, subscribe and leave.
    pub passers_by: u32,
    /// Further clients of the first channel, who read nothing once they are subscribed.
    pub stalled: usize,
    /// Whether the clients use long-polling.
    pub polling: bool,
}

/// Which channels a client holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holding {
    /// All the same one.
    Shared,
    /// Each one of its own.
    Own,
    /// So many each one of their own, and all others one that is not published to.
    Idle {
        /// Who have something to read.
        busy: usize,
    },
    /// Dealt out in turn: as few as possible each, so that every channel has a client.
    Dealt(u32),
    /// All the same one but for `few`, who have another that is published to more often.
    Storm {
        /// Whose delay is measured.
        few: usize,
    },
    /// Each `held` of `channels`, any of which is as likely; some are published to more often.
    Some {
        /// How many channels there are.
        channels: u32,
        /// How many of them each client holds.
        held: usize,
    },
}

/// Of so many messages of a storm one goes to the many.
const STORM_PERIOD: u32 = 10;

/// How fast is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Nothing is published; connecting and staying connected is what is measured.
    Idle,
    /// As fast as the clients read, with so many messages under way.
    Flood(u64),
    /// So many messages a second.
    Rate(u32),
}

/// What most workloads have in common.
pub const BASE: Workload = Workload {
    name: "W2",
    value: None,
    clients: 1_000,
    holding: Holding::Shared,
    payload_len: 128,
    pace: Pace::Rate(50),
    passers_by: 0,
    stalled: 0,
    polling: false,
};

/// 50 MB in ten seconds, which is what five of those who get it are to miss.
const LARGE: Workload = Workload {
    name: "W10",
    clients: 200,
    payload_len: 50_000,
    pace: Pace::Rate(100),
    ..BASE
};

/// All workloads.
pub const WORKLOADS: [Workload; 14] = [
    Workload {
        name: "W1",
        pace: Pace::Flood(64),
        ..BASE
    },
    BASE,
    Workload {
        name: "W3",
        clients: 10_000,
        pace: Pace::Rate(2),
        ..BASE
    },
    Workload {
        name: "W4",
        holding: Holding::Own,
        pace: Pace::Flood(64),
        ..BASE
    },
    Workload {
        name: "W5",
        clients: 500,
        payload_len: 16 << 10,
        pace: Pace::Rate(20),
        ..BASE
    },
    Workload {
        name: "W6",
        clients: 2_000,
        holding: Holding::Some {
            channels: 10_000,
            held: 10,
        },
        pace: Pace::Rate(5_000),
        ..BASE
    },
    Workload {
        name: "W7",
        passers_by: 500,
        ..BASE
    },
    Workload {
        name: "W8",
        clients: 10_000,
        pace: Pace::Idle,
        ..BASE
    },
    Workload {
        name: "W8-19000",
        clients: 19_000,
        pace: Pace::Idle,
        ..BASE
    },
    Workload {
        name: "W9",
        clients: 500,
        pace: Pace::Rate(20),
        polling: true,
        ..BASE
    },
    LARGE,
    Workload {
        name: "W10-stalled",
        stalled: 5,
        ..LARGE
    },
    Workload {
        name: "storm",
        clients: 15_000,
        holding: Holding::Storm { few: 2 },
        pace: Pace::Rate(40),
        ..BASE
    },
    Workload {
        name: "connect",
        clients: 5_000,
        holding: Holding::Own,
        pace: Pace::Idle,
        ..BASE
    },
];

impl Workload {
    /// The workload with this name.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        WORKLOADS.into_iter().find(|workload| workload.name == name)
    }

    /// How many channels there are.
    #[must_use]
    pub fn channels(&self) -> u32 {
        match self.holding {
            Holding::Shared => 1,
            Holding::Own => self.clients as u32,
            Holding::Idle { busy } => busy as u32 + 1,
            Holding::Storm { .. } => 2,
            Holding::Dealt(channels) => channels,
            Holding::Some { channels, .. } => channels,
        }
    }

    /// How many channels a client holds, at most.
    #[must_use]
    pub fn held(&self) -> usize {
        match self.holding {
            Holding::Shared | Holding::Own | Holding::Idle { .. } | Holding::Storm { .. } => 1,
            Holding::Dealt(channels) => (channels as usize).div_ceil(self.clients),
            Holding::Some { held, .. } => held,
        }
    }

    /// The channels of each client, in order.
    pub fn subscriptions(&self) -> impl Iterator<Item = Vec<u32>> + use<> {
        let (holding, clients) = (self.holding, self.clients);
        let mut random = Rng::with_seed(SEED);
        (0..self.clients as u32).map(move |client| match holding {
            Holding::Shared => vec![0],
            Holding::Own => vec![client],
            Holding::Idle { busy } => vec![client.min(busy as u32)],
            Holding::Storm { few } => vec![u32::from((client as usize) < few)],
            Holding::Dealt(channels) if channels <= clients as u32 => vec![client % channels],
            Holding::Dealt(channels) => (client..channels).step_by(clients).collect(),
            Holding::Some { channels, held } => random.choose_multiple(0..channels, held),
        })
    }

    /// The only channel whose delays are of interest, if it is not all of them.
    #[must_use]
    pub fn watched(&self) -> Option<u32> {
        matches!(self.holding, Holding::Storm { .. }).then_some(1)
    }

    /// The channels to publish to, without end.
    #[must_use]
    pub fn picker(&self) -> Picker {
        let mut total = 0.0;
        let popularity = (1..=self.channels()).map(|rank| {
            total += 1.0 / f64::from(rank);
            total
        });
        let silent = matches!(self.holding, Holding::Idle { .. });
        Picker {
            channels: self.channels() - u32::from(silent),
            cumulated: match self.holding {
                Holding::Some { .. } => popularity.collect(),
                _ => Vec::new(),
            },
            random: Rng::with_seed(SEED),
            next: 0,
            storms: matches!(self.holding, Holding::Storm { .. }),
        }
    }
}

/// Chooses channels in turn, or the first ones more often than later ones (Zipf's law).
pub struct Picker {
    channels: u32,
    /// The sum of the weights up to each channel; empty if all have their turn.
    cumulated: Vec<f64>,
    random: Rng,
    next: u32,
    /// Whether only some go to the first channel, and all others to the second.
    storms: bool,
}

impl Picker {
    /// The channel of the next message.
    pub fn pick(&mut self) -> u32 {
        if self.storms {
            self.next = (self.next + 1) % STORM_PERIOD;
            return u32::from(self.next != 0);
        }
        let Some(total) = self.cumulated.last() else {
            let channel = self.next;
            self.next = (channel + 1) % self.channels;
            return channel;
        };
        let point = self.random.f64() * total;
        self.cumulated.partition_point(|&sum| sum < point) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        for workload in WORKLOADS {
            let same = WORKLOADS.iter().filter(|other| other.name == workload.name);
            assert_eq!(same.count(), 1, "{}", workload.name);
        }
    }

    #[test]
    fn clients_hold_distinct_channels_and_popular_ones_are_picked_more_often() {
        let workload = Workload::find("W6").unwrap();
        for mut channels in workload.subscriptions() {
            channels.sort_unstable();
            channels.dedup();
            assert_eq!(channels.len(), 10);
        }
        let mut picker = workload.picker();
        let picks: Vec<_> = (0..10_000).map(|_| picker.pick()).collect();
        assert!(picks.iter().all(|&channel| channel < workload.channels()));
        let count = |channel| picks.iter().filter(|&&pick| pick == channel).count();
        assert!(count(0) > count(9) && count(9) > count(999));
    }

    #[test]
    fn every_channel_is_dealt_to_a_client_and_every_client_has_one() {
        for channels in [1, 7, 1_000, 2_500] {
            let workload = Workload {
                holding: Holding::Dealt(channels),
                ..BASE
            };
            let mut dealt: Vec<_> = workload.subscriptions().collect();
            assert!(
                dealt
                    .iter()
                    .all(|held| (1..=workload.held()).contains(&held.len()))
            );
            let mut channels_held = dealt.drain(..).flatten().collect::<Vec<_>>();
            channels_held.sort_unstable();
            channels_held.dedup();
            assert_eq!(channels_held.len(), channels as usize);
        }
    }

    #[test]
    fn storms_are_few_and_hold_most_clients() {
        let workload = Workload::find("storm").unwrap();
        let small = workload.subscriptions().filter(|held| held == &[1]).count();
        assert_eq!((small, workload.watched()), (2, Some(1)));
        let mut picker = workload.picker();
        let storms = (0..100).filter(|_| picker.pick() == 0).count();
        assert_eq!(storms, 10);
    }

    #[test]
    fn idle_clients_share_a_channel_that_is_never_picked() {
        let workload = Workload {
            holding: Holding::Idle { busy: 10 },
            ..BASE
        };
        let idle = workload.subscriptions().filter(|held| held == &[10]);
        assert_eq!((idle.count(), workload.channels()), (990, 11));
        let mut picker = workload.picker();
        assert!((0..100).all(|_| picker.pick() < 10));
    }

    #[test]
    fn every_channel_has_its_turn() {
        let mut picker = Workload::find("W4").unwrap().picker();
        let picks: Vec<_> = (0..1_001).map(|_| picker.pick()).collect();
        assert_eq!((picks[0], picks[999], picks[1_000]), (0, 999, 0));
    }
}

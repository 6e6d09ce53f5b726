//! Sweeps: one thing is varied, the rest stays, and the cost of a delivery should stay too.

use serde::{Deserialize, Serialize};

use crate::workload::{BASE, Holding, Pace, Workload};

/// Deliveries a second while clients or channels are varied; the numbers of clients divide it.
const DELIVERIES: u32 = 30_000;

/// What is varied.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub enum Axis {
    /// Clients of the one channel, with the same deliveries a second.
    Clients,
    /// Channels, with the same clients and deliveries a second.
    Channels,
    /// Bytes of a payload.
    Bytes,
    /// Messages a second.
    Rate,
}

impl Axis {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Clients, Self::Channels, Self::Bytes, Self::Rate];

    /// The name on the command line and of the workloads.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Clients => "clients",
            Self::Channels => "channels",
            Self::Bytes => "bytes",
            Self::Rate => "rate",
        }
    }

    /// What the sweep is about.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Clients => "Clients of a channel",
            Self::Channels => "Channels",
            Self::Bytes => "Bytes of a message",
            Self::Rate => "Messages a second",
        }
    }

    /// What the values count, as one would write below a plot.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Clients => "clients on the channel",
            Self::Channels => "channels",
            Self::Bytes => "bytes of payload",
            Self::Rate => "messages a second",
        }
    }

    /// The axis with this name.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|axis| axis.name() == name)
    }

    /// The workloads of the sweep, in order.
    #[must_use]
    pub fn workloads(self) -> Vec<Workload> {
        let values: &[u32] = match self {
            Self::Clients => &[100, 300, 1_000, 3_000, 7_500, 15_000],
            Self::Channels => &[1, 10, 100, 1_000, 10_000, 100_000],
            Self::Bytes => &[64, 256, 1_024, 4_096, 16_384],
            Self::Rate => &[20, 50, 200],
        };
        let workloads = values.iter().map(|&value| {
            let base = Workload {
                name: self.name(),
                value: Some(value.into()),
                ..BASE
            };
            self.at(value, base)
        });
        workloads.collect()
    }

    fn at(self, value: u32, base: Workload) -> Workload {
        match self {
            Self::Clients => Workload {
                clients: value as usize,
                pace: Pace::Rate(DELIVERIES / value),
                ..base
            },
            Self::Channels => Workload {
                holding: Holding::Dealt(value),
                // A message reaches fewer clients the more channels there are.
                pace: Pace::Rate(DELIVERIES / base.clients as u32 * value.min(base.clients as u32)),
                ..base
            },
            Self::Bytes => Workload {
                clients: 500,
                payload_len: value as usize,
                pace: Pace::Rate(20),
                ..base
            },
            Self::Rate => Workload {
                pace: Pace::Rate(value),
                ..base
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deliveries_a_second_stay_the_same_while_clients_or_channels_vary() {
        let deliveries = |workload: &Workload| {
            let Pace::Rate(rate) = workload.pace else {
                panic!("{workload:?}");
            };
            let receivers: usize = workload.subscriptions().map(|held| held.len()).sum();
            rate * receivers as u32 / workload.channels()
        };
        for axis in [Axis::Clients, Axis::Channels] {
            for workload in axis.workloads() {
                assert_eq!(deliveries(&workload), DELIVERIES, "{workload:?}");
            }
        }
    }
}

//! How hard the loads press: as part of the suite, or as `make attack`.

use std::{env, time::Duration};

/// How many times the clients of the suite attack a whole budget.
pub(crate) const PRESSURE: usize = 4;

/// The settings of a run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Mode {
    /// Part of the suite: deadlines of a second, and pressure below the budget.
    Suite,
    /// `make attack`: default deadlines, both write backends, and pressure beyond the budget.
    Full,
}

impl Mode {
    /// The mode that `WOMACK_ATTACK` asks for.
    pub(crate) fn of_environment() -> Self {
        match env::var("WOMACK_ATTACK").as_deref() {
            Ok("full") => Self::Full,
            Ok(other) => panic!("WOMACK_ATTACK is full or not set, not {other}"),
            Err(_) => Self::Suite,
        }
    }

    /// The values of `--egress` that a load meets.
    pub(crate) fn egresses(self) -> Vec<String> {
        match (env::var("WOMACK_ATTACK_EGRESS"), self) {
            (Ok(egress), _) => vec![egress],
            (Err(_), Self::Suite) => vec!["auto".to_owned()],
            (Err(_), Self::Full) => vec!["io-uring".to_owned(), "write".to_owned()],
        }
    }

    /// The deadlines, as flags.
    pub(crate) fn deadlines(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Suite => &[
                ("--handshake-seconds", "1"),
                ("--keep-alive-seconds", "1"),
                ("--ping-interval", "1"),
                ("--ping-timeout", "2"),
                ("--max-client-queue-seconds", "1"),
                ("--subscribe-timeout-seconds", "1"),
                ("--unsubscribe-grace-seconds", "0.1"),
                ("--relay-timeout-seconds", "1"),
            ],
            Self::Full => &[],
        }
    }

    /// The longest that a deadline may take to end what it ends, with its connections still open.
    /// `None` where that takes longer than a run may.
    pub(crate) fn deadline(self) -> Option<Duration> {
        (self == Self::Suite).then_some(Duration::from_secs(6))
    }

    /// How long clients stay whom no deadline ends: long enough to see whether newcomers are refused
    /// for as long.
    pub(crate) fn stays(self, stays: Duration) -> Duration {
        match self {
            Self::Suite => stays,
            Self::Full => stays.max(Duration::from_secs(8)),
        }
    }

    /// The longest that charges may outlive their clients.
    pub(crate) fn release(self) -> Duration {
        match self {
            Self::Suite => Duration::from_secs(10),
            Self::Full => Duration::from_secs(60),
        }
    }

    /// Between two messages to the witness, and two newcomers.
    pub(crate) fn witness_interval(self) -> Duration {
        match self {
            Self::Suite => Duration::from_millis(50),
            Self::Full => Duration::from_millis(20),
        }
    }

    /// The longest of 99 of 100 deliveries, where that is judged.
    pub(crate) fn delivery(self) -> Option<Duration> {
        (self == Self::Full).then_some(Duration::from_millis(100))
    }

    /// Clients of a load.
    pub(crate) fn clients(self, clients: usize, most: usize) -> usize {
        match self {
            Self::Suite => clients,
            Self::Full => (clients * PRESSURE).min(most),
        }
    }
}

//! The two ways to run the loads: as part of the suite, and as `make attack`.

use std::{env, time::Duration};

/// Factor on the clients of a load in [`Mode::Full`], so that most loads exceed the budget.
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

    /// The flags that set deadlines.
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

    /// The longest until deadlines must have released everything although connections stay open;
    /// `None` where deadlines are too long to wait for.
    pub(crate) fn deadline(self) -> Option<Duration> {
        (self == Self::Suite).then_some(Duration::from_secs(6))
    }

    /// Time for which attackers stay that no deadline ends: long enough to see whether newcomers are
    /// refused meanwhile.
    pub(crate) fn hold_time(self, hold_time: Duration) -> Duration {
        match self {
            Self::Suite => hold_time,
            Self::Full => hold_time.max(Duration::from_secs(8)),
        }
    }

    /// The longest until charges are back at the baseline after the attackers have closed.
    pub(crate) fn release(self) -> Duration {
        match self {
            Self::Suite => Duration::from_secs(10),
            Self::Full => Duration::from_secs(60),
        }
    }

    /// Interval between messages to the witness, and between newcomers.
    pub(crate) fn witness_interval(self) -> Duration {
        match self {
            Self::Suite => Duration::from_millis(50),
            Self::Full => Duration::from_millis(20),
        }
    }

    /// Limit of the 99th percentile of delivery, where it is checked.
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

//! The kinds of values that settings have, each read alike from flag, environment and file.

use std::{str::FromStr, time::Duration};

/// A time in seconds, whole or not; the unit may be written, `250ms` or `2s`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Seconds(pub Duration);

impl FromStr for Seconds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (number, unit) = match text.strip_suffix("ms") {
            Some(number) => (number, 1e-3),
            None => (text.strip_suffix('s').unwrap_or(text), 1.0),
        };
        number
            .trim()
            .parse::<f64>()
            .ok()
            .and_then(|value| Duration::try_from_secs_f64(value * unit).ok())
            .filter(|time| *time <= MAX_TIME)
            .map(Self)
            .ok_or_else(|| "not a number of seconds between 0 and 86400".to_owned())
    }
}

const MAX_TIME: Duration = Duration::from_secs(86_400);

/// A namespace that the configuration adds: its path and, if not the shared one, its key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NamespaceSetting {
    /// The path that clients name, with its leading slash.
    pub path: String,
    /// Redis channel prefix; `None` means the server's.
    pub key: Option<String>,
}

impl FromStr for NamespaceSetting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (path, key) = match text.split_once('=') {
            Some((path, key)) => (path, Some(key)),
            None => (text, None),
        };
        if !path.starts_with('/') || path.contains([',', '?']) {
            return Err("a namespace begins with a slash and has no comma or question mark".into());
        }
        if key == Some("") {
            return Err("the key after the equals sign is empty".into());
        }
        Ok(Self {
            path: path.to_owned(),
            key: key.map(str::to_owned),
        })
    }
}

/// How a shard writes a round to its clients.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
pub enum Egress {
    /// Through io_uring where the system has it, otherwise with one system call for each client.
    #[default]
    Auto,
    /// With one system call for each client.
    Write,
    /// Through io_uring, or the server does not start.
    IoUring,
}

/// For how long messages are gathered into one write.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CoalesceSetting {
    /// The namespace, or all that have no setting of their own.
    pub path: Option<String>,
    /// How long.
    pub time: Duration,
}

/// The longest time for which messages may be gathered: beyond, a page seems broken.
const MAX_COALESCE_MILLIS: u64 = 10_000;

impl FromStr for CoalesceSetting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (path, millis) = match text.split_once('=') {
            Some((path, millis)) => (Some(path.to_owned()), millis),
            None => (None, text),
        };
        let millis = millis
            .parse()
            .ok()
            .filter(|millis| *millis <= MAX_COALESCE_MILLIS);
        let millis = millis.ok_or("not a number of milliseconds between 0 and 10000")?;
        Ok(Self {
            path,
            time: Duration::from_millis(millis),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_take_units() {
        for (text, millis) in [("25", 25_000), ("0.3", 300), ("250ms", 250), ("2s", 2000)] {
            assert_eq!(
                text.parse::<Seconds>().unwrap().0,
                Duration::from_millis(millis)
            );
        }
        for text in ["", "x", "-1", "inf", "nan", "1e9", "5m"] {
            assert!(text.parse::<Seconds>().is_err(), "{text}");
        }
    }
}

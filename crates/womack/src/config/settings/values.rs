//! The kinds of values that settings have, each read alike from flag, environment and file.

use std::{str::FromStr, time::Duration};

use serde::Serialize;
use womack_engine::SlowClient;
use womack_ledger::AddressShare;

use crate::config::ValueError;

/// A time in seconds, whole or not; the unit may be written, `250ms` or `2s`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Seconds(pub Duration);

impl FromStr for Seconds {
    type Err = ValueError;

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
            .filter(|time| *time <= Duration::from_secs(MAX_SECONDS))
            .map(Self)
            .ok_or(ValueError::Seconds { most: MAX_SECONDS })
    }
}

/// A day.
const MAX_SECONDS: u64 = 86_400;

/// A namespace that the configuration adds: its path and, if not the shared one, its key.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct NamespaceSetting {
    /// The path that clients name, with its leading slash.
    pub path: String,
    /// Redis channel prefix; `None` means the server's.
    pub key: Option<String>,
}

impl FromStr for NamespaceSetting {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (path, key) = match text.split_once('=') {
            Some((path, key)) => (path, Some(key)),
            None => (text, None),
        };
        if !path.starts_with('/') || path.contains([',', '?']) {
            return Err(ValueError::Namespace);
        }
        if key == Some("") {
            return Err(ValueError::EmptyKey);
        }
        Ok(Self {
            path: path.to_owned(),
            key: key.map(str::to_owned),
        })
    }
}

/// How a shard writes a round to its clients.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, clap::ValueEnum)]
pub enum Egress {
    /// Through io_uring where the system has it, otherwise with one system call for each client.
    #[default]
    Auto,
    /// With one system call for each client.
    Write,
    /// Through io_uring, or the server does not start.
    IoUring,
}

/// The value of a setting for one namespace, `/path=value`, or for all, `value`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NamespaceValue<V> {
    /// The namespace, or all that have no value of their own.
    pub path: Option<String>,
    /// Its value.
    pub value: V,
}

impl<V: FromStr<Err = ValueError>> FromStr for NamespaceValue<V> {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (path, value) = match text.split_once('=') {
            Some((path, value)) => (Some(path.to_owned()), value),
            None => (None, text),
        };
        Ok(Self {
            path,
            value: value.parse()?,
        })
    }
}

/// A time in whole milliseconds, of ten seconds at most.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Milliseconds(pub Duration);

/// The longest time for which messages may be gathered: beyond, a page seems broken.
const MAX_MILLISECONDS: u64 = 10_000;

impl FromStr for Milliseconds {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let millis = text.parse().ok().filter(|most| *most <= MAX_MILLISECONDS);
        let millis = millis.ok_or(ValueError::Milliseconds {
            most: MAX_MILLISECONDS,
        })?;
        Ok(Self(Duration::from_millis(millis)))
    }
}

impl From<Milliseconds> for Duration {
    fn from(Milliseconds(time): Milliseconds) -> Self {
        time
    }
}

/// A number of messages in a second.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MessageRate(pub u32);

/// More than a router passes on, and few enough to be counted one by one.
const MAX_MESSAGE_RATE: u32 = 1_000_000;

impl FromStr for MessageRate {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rate = text.parse().ok().filter(|rate| *rate <= MAX_MESSAGE_RATE);
        rate.map(Self).ok_or(ValueError::MessageRate {
            most: MAX_MESSAGE_RATE,
        })
    }
}

impl From<MessageRate> for u32 {
    fn from(MessageRate(rate): MessageRate) -> Self {
        rate
    }
}

/// A number of bytes; a unit may be written, `64k`, `1.5G` or `512MiB`, of 1,024 each.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ByteSize(pub usize);

impl FromStr for ByteSize {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unit_at = text.find(|c: char| c.is_ascii_alphabetic());
        let (number, unit) = text.split_at(unit_at.unwrap_or(text.len()));
        let unit = unit.to_ascii_lowercase();
        let unit = unit.strip_suffix('b').unwrap_or(&unit);
        let power = match unit.strip_suffix('i').unwrap_or(unit) {
            "" => Some(0),
            "k" => Some(1),
            "m" => Some(2),
            "g" => Some(3),
            "t" => Some(4),
            _ => None,
        };
        let number = number.trim().parse::<f64>().ok();
        number
            .zip(power)
            .map(|(number, power)| number * 1024_f64.powi(power))
            .filter(|bytes| (0.0..=MAX_BYTES).contains(bytes))
            .map(|bytes| Self(bytes as usize))
            .ok_or(ValueError::Bytes)
    }
}

/// More than any machine has.
const MAX_BYTES: f64 = 1e15;

/// The part of something that one address may have: `auto`, a number, or 0 for all of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AddressShareSetting(pub AddressShare);

impl FromStr for AddressShareSetting {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self(AddressShare::Auto)),
            number => number
                .parse::<usize>()
                .map(|most| Self(most.into()))
                .map_err(|_| ValueError::AddressShare),
        }
    }
}

/// The fate of messages for clients that read too slowly.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SlowClientPolicy(pub SlowClient);

impl FromStr for SlowClientPolicy {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "close" => Ok(Self(SlowClient::Close)),
            "drop-oldest" => Ok(Self(SlowClient::DropOldest)),
            "latest" => Ok(Self(SlowClient::Latest)),
            _ => Err(ValueError::SlowClient),
        }
    }
}

impl From<SlowClientPolicy> for SlowClient {
    fn from(SlowClientPolicy(policy): SlowClientPolicy) -> Self {
        policy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_take_units() {
        for (text, bytes) in [
            ("0", 0),
            ("1000", 1000),
            ("64k", 65_536),
            ("1.5KiB", 1536),
            ("2 MB", 2 << 20),
            ("1g", 1 << 30),
        ] {
            assert_eq!(text.parse::<ByteSize>().unwrap().0, bytes, "{text}");
        }
        for text in ["", "k", "-1", "1x", "inf", "nan", "1e30", "1kk"] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_share_of_an_address_is_a_number_or_follows_from_what_there_is() {
        for (text, share) in [
            ("auto", AddressShare::Auto),
            ("0", AddressShare::Unlimited),
            ("20", AddressShare::Most(20)),
        ] {
            assert_eq!(
                text.parse::<AddressShareSetting>().unwrap().0,
                share,
                "{text}"
            );
        }
        for text in ["", "-1", "all", "1.5"] {
            assert!(text.parse::<AddressShareSetting>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_rate_of_messages_may_be_of_one_namespace() {
        let rate: NamespaceValue<MessageRate> = "/a=1000000".parse().unwrap();
        assert_eq!(
            (rate.path.as_deref(), rate.value.0),
            (Some("/a"), 1_000_000)
        );
        for text in ["", "-1", "1.5", "1000001", "/a=", "/a=x"] {
            assert!(
                text.parse::<NamespaceValue<MessageRate>>().is_err(),
                "{text}"
            );
        }
    }

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

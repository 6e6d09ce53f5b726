//! The kinds of values that settings have, each read alike from flag, environment and file.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, de};

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

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Seconds;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a number of seconds")
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Seconds, E> {
                value.to_string().parse().map_err(E::custom)
            }

            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Seconds, E> {
                value.to_string().parse().map_err(E::custom)
            }

            fn visit_str<E: de::Error>(self, value: &str) -> Result<Seconds, E> {
                value.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

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

impl<'de> Deserialize<'de> for NamespaceSetting {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

/// How a shard writes a round to its clients.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
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

/// One value or a list of them, each a string or a number.
pub(super) fn one_or_many<'de, D, T>(deserializer: D) -> Result<Option<Vec<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: fmt::Display>,
{
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Value {
        Text(String),
        Number(u64),
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMany {
        One(Value),
        Many(Vec<Value>),
    }
    let values = match OneOrMany::deserialize(deserializer)? {
        OneOrMany::One(one) => vec![one],
        OneOrMany::Many(many) => many,
    };
    let parsed = values.into_iter().map(|value| match value {
        Value::Text(text) => text.parse(),
        Value::Number(number) => number.to_string().parse(),
    });
    parsed
        .collect::<Result<_, _>>()
        .map(Some)
        .map_err(de::Error::custom)
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

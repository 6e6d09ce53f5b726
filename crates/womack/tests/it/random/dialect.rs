//! Requests and answers in the words of each kind of client.

use serde_json::{Value, json};

use super::plan::Kind;
use super::world::Channel;

/// The meaning of a packet from the server.
#[derive(Debug, PartialEq)]
pub(super) enum Said {
    /// The transport's session, by its id.
    Opened(String),
    /// The client is in its namespace; its id there, if the packet has one.
    Joined(Option<String>),
    /// A request was answered with `ok`, or with an error's code.
    Answer(u64, Result<(), String>),
    /// A published number.
    Message(String, u64),
    /// A gap in some channels: from and to.
    Gap(Vec<String>, u64, u64),
    /// Wants this packet in return.
    Ping(&'static str),
    /// The server ends the session.
    Goodbye,
    /// Nothing of interest.
    Nothing,
    /// Nothing that a server should say.
    Unknown,
}

/// The packet of a request.
pub(super) fn request(
    kind: Kind,
    number: u64,
    subscribes: bool,
    acked: bool,
    channels: &[Channel],
) -> String {
    let verb = if subscribes {
        "subscribe"
    } else {
        "unsubscribe"
    };
    let names: Vec<&str> = channels.iter().map(|channel| &**channel).collect();
    let argument = json!({ "channels": names });
    match kind {
        Kind::Lines if acked => json!({ verb: names, "id": number }).to_string(),
        Kind::Lines => json!({ verb: names }).to_string(),
        Kind::LegacySocket | Kind::LegacyPolling => {
            let id = if acked {
                format!("{number}+")
            } else {
                String::new()
            };
            format!("5:{id}::{}", json!({ "name": verb, "args": [argument] }))
        }
        _ => {
            let id = if acked {
                number.to_string()
            } else {
                String::new()
            };
            format!("42{id}{}", json!([verb, argument]))
        }
    }
}

/// The last packets of a client that says goodbye.
pub(super) fn goodbye(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Lines | Kind::Events => &[],
        Kind::LegacySocket | Kind::LegacyPolling => &["0::"],
        Kind::Polling4 | Kind::Polling3 => &["41", "1"],
        _ => &["41"],
    }
}

/// Reads a packet.
pub(super) fn read(kind: Kind, packet: &str) -> Said {
    match kind {
        Kind::Lines => line(packet),
        Kind::LegacySocket | Kind::LegacyPolling => legacy(packet),
        _ => engine(packet),
    }
    .unwrap_or(Said::Unknown)
}

/// Reads an event of a stream.
pub(super) fn event(name: &str, data: &str) -> Said {
    let read = || {
        let data: Value = serde_json::from_str(data).ok()?;
        match name {
            "womack:session" => {
                let session = data["session"].as_str()?;
                Some(Said::Joined(Some(session.to_owned())))
            }
            _ => named(name, &data),
        }
    };
    read().unwrap_or(Said::Unknown)
}

fn engine(packet: &str) -> Option<Said> {
    let said = match packet {
        "1" | "41" => Said::Goodbye,
        "2" => Said::Ping("3"),
        "3" | "6" => Said::Nothing,
        "40" => Said::Joined(None),
        _ => match packet.get(..2)? {
            "0{" => Said::Opened(sid(&packet[1..])?),
            "40" => Said::Joined(Some(sid(&packet[2..])?)),
            "42" => {
                let event: Value = serde_json::from_str(&packet[2..]).ok()?;
                named(event[0].as_str()?, &event[1])?
            }
            "43" => {
                let start = packet.find('[')?;
                let number = packet[2..start].parse().ok()?;
                let answer: Value = serde_json::from_str(&packet[start..]).ok()?;
                Said::Answer(number, result(&answer[0])?)
            }
            _ => return None,
        },
    };
    Some(said)
}

fn legacy(packet: &str) -> Option<Said> {
    let said = match packet {
        "1::" => Said::Joined(None),
        "2::" => Said::Ping("2::"),
        "8::" | "" => Said::Nothing,
        "0::" => Said::Goodbye,
        _ if packet.starts_with("7::") => Said::Goodbye,
        _ if packet.starts_with("0{") => Said::Opened(sid(&packet[1..])?),
        _ => {
            if let Some(event) = packet.strip_prefix("5:::") {
                let event: Value = serde_json::from_str(event).ok()?;
                return named(event["name"].as_str()?, &event["args"][0]);
            }
            let (number, answer) = packet.strip_prefix("6:::")?.split_once('+')?;
            let answer: Value = serde_json::from_str(answer).ok()?;
            Said::Answer(number.parse().ok()?, result(&answer[0])?)
        }
    };
    Some(said)
}

fn line(line: &str) -> Option<Said> {
    let line: Value = serde_json::from_str(line).ok()?;
    let said = if let Some(session) = line["session"].as_str() {
        Said::Joined(Some(session.to_owned()))
    } else if let Some(channel) = line["channel"].as_str() {
        named(channel, &line["message"])?
    } else if line["gap"].is_object() {
        gap(&line["gap"])?
    } else {
        let result = result(&line)?;
        match line["id"].as_u64() {
            Some(number) => Said::Answer(number, result),
            // Lines are always answered.
            None => Said::Nothing,
        }
    };
    Some(said)
}

/// An event by its name.
fn named(name: &str, argument: &Value) -> Option<Said> {
    match name {
        "womack:gap" => gap(argument),
        _ => Some(Said::Message(name.to_owned(), argument["n"].as_u64()?)),
    }
}

fn gap(gap: &Value) -> Option<Said> {
    let names = gap["channels"].as_array()?.iter();
    let names = names.filter_map(|name| name.as_str().map(str::to_owned));
    let time = |name| gap[name].as_u64();
    Some(Said::Gap(names.collect(), time("from")?, time("to")?))
}

fn result(answer: &Value) -> Option<Result<(), String>> {
    match answer["ok"].as_bool()? {
        true => Some(Ok(())),
        false => Some(Err(answer["error"].as_str()?.to_owned())),
    }
}

fn sid(open: &str) -> Option<String> {
    let open: Value = serde_json::from_str(open).ok()?;
    Some(open["sid"].as_str()?.to_owned())
}

//! Words of a server about channels, in the protocol of each kind of client.

use serde_json::{Value, json};

/// Words of a server about channels.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Said {
    /// A request was answered with `ok`, or with the code of an error.
    Answer(u64, Result<(), String>),
    /// A number that was published.
    Message(String, u64),
    /// Messages of some channels may be missing; in milliseconds of the wall clock.
    Gap {
        channels: Vec<String>,
        from: u64,
        to: u64,
        /// Whether the node had more messages than it may.
        is_rate_limit: bool,
    },
    /// The client is in a channel no more, and did not ask for that.
    Unsubscribed(String),
}

/// A packet of Engine.IO and Socket.IO.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Packet {
    /// The session is open and has this id.
    Open(String),
    /// The client is in its namespace, with this id if it has one of its own there.
    Joined(Option<String>),
    /// The client lives as long as it answers.
    Ping,
    /// The server ends the session.
    Close,
    /// A WebSocket may become the transport.
    Probed,
    Said(Said),
    /// Nothing that matters here.
    Nothing,
}

/// The line of a request.
pub(crate) fn line_of(number: u64, subscribes: bool, channels: &[String]) -> String {
    json!({ verb(subscribes): channels, "id": number }).to_string()
}

/// The packet of a request.
pub(crate) fn packet_of(number: u64, subscribes: bool, channels: &[String]) -> String {
    let event = json!([verb(subscribes), { "channels": channels }]);
    format!("42{number}{event}")
}

/// A line of a server.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Line {
    /// The client is called so.
    Session(String),
    Said(Said),
}

/// Reads a line.
///
/// # Errors
/// Nothing that a server should say.
pub(crate) fn read_line(line: &str) -> Result<Line, ()> {
    let line: Value = serde_json::from_str(line).map_err(|_| ())?;
    if let Some(session) = line["session"].as_str() {
        return Ok(Line::Session(session.to_owned()));
    }
    let said = if line["event"] == "womack:unsubscribed" {
        unsubscribed(&line)
    } else if line["channel"].is_string() {
        let channel = line["channel"].as_str().unwrap_or_default();
        message(channel, &line["message"])
    } else if line["gap"].is_object() {
        gap(&line["gap"])
    } else {
        let number = line["id"].as_u64();
        number.and_then(|number| Some(Said::Answer(number, result(&line)?)))
    };
    said.map(Line::Said).ok_or(())
}

/// Reads a packet; `None` for one that no server should send.
pub(crate) fn read_packet(packet: &str) -> Option<Packet> {
    match packet {
        "1" | "41" => return Some(Packet::Close),
        "2" => return Some(Packet::Ping),
        "3probe" => return Some(Packet::Probed),
        "3" | "6" => return Some(Packet::Nothing),
        "40" => return Some(Packet::Joined(None)),
        _ => {}
    }
    let read = match packet.get(..2)? {
        "0{" => {
            let open: Value = serde_json::from_str(&packet[1..]).ok()?;
            Packet::Open(open["sid"].as_str()?.to_owned())
        }
        "40" => {
            let joined: Value = serde_json::from_str(&packet[2..]).ok()?;
            Packet::Joined(Some(joined["sid"].as_str()?.to_owned()))
        }
        "42" => {
            let event: Value = serde_json::from_str(&packet[2..]).ok()?;
            let argument = &event[1];
            Packet::Said(match event[0].as_str()? {
                "womack:gap" => gap(argument)?,
                "womack:unsubscribed" => unsubscribed(argument)?,
                channel => message(channel, argument)?,
            })
        }
        "43" => {
            let start = packet.find('[')?;
            let number = packet[2..start].parse().ok()?;
            let answer: Value = serde_json::from_str(&packet[start..]).ok()?;
            Packet::Said(Said::Answer(number, result(&answer[0])?))
        }
        _ => return None,
    };
    Some(read)
}

fn message(channel: &str, published: &Value) -> Option<Said> {
    Some(Said::Message(channel.to_owned(), published["n"].as_u64()?))
}

fn unsubscribed(argument: &Value) -> Option<Said> {
    Some(Said::Unsubscribed(argument["channel"].as_str()?.to_owned()))
}

fn gap(gap: &Value) -> Option<Said> {
    let names = gap["channels"].as_array()?.iter();
    let names = names.filter_map(|name| name.as_str().map(str::to_owned));
    Some(Said::Gap {
        channels: names.collect(),
        from: gap["from"].as_u64()?,
        to: gap["to"].as_u64()?,
        is_rate_limit: gap["reason"] == "rate_limit",
    })
}

fn result(answer: &Value) -> Option<Result<(), String>> {
    match answer["ok"].as_bool()? {
        true => Some(Ok(())),
        false => Some(Err(answer["error"].as_str()?.to_owned())),
    }
}

/// The packets in the body of an answer to a poll. `counted` tells whether each has its length
/// before it, as in Engine.IO 3, or a separator behind it.
pub(crate) fn split(body: &str, counted: bool) -> Option<Vec<&str>> {
    if !counted {
        return Some(body.split('\x1e').collect());
    }
    let (mut rest, mut packets) = (body, Vec::new());
    while !rest.is_empty() {
        let (length, behind) = rest.split_once(':')?;
        // Everything here is ASCII, of which a character is a byte.
        let (packet, behind) = behind.split_at_checked(length.parse().ok()?)?;
        packets.push(packet);
        rest = behind;
    }
    Some(packets)
}

/// The body of a POST with `packets`.
pub(crate) fn join(packets: &[String], counted: bool) -> String {
    if !counted {
        return packets.join("\x1e");
    }
    let counted = packets.iter();
    counted
        .map(|packet| format!("{}:{packet}", packet.len()))
        .collect()
}

/// The word for a request.
pub(crate) const fn verb(subscribes: bool) -> &'static str {
    match subscribes {
        true => "subscribe",
        false => "unsubscribe",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_split_as_they_were_joined() {
        let packets = ["2".to_owned(), packet_of(1, true, &["a".to_owned()])];
        for counted in [false, true] {
            let body = join(&packets, counted);
            let found = split(&body, counted).expect("it is a body");
            assert_eq!(found, packets);
        }
        assert_eq!(split("5:2", true), None);
    }

    #[test]
    fn lines_and_packets_say_the_same() {
        let gap = || Said::Gap {
            channels: vec!["a".to_owned()],
            from: 1,
            to: 2,
            is_rate_limit: true,
        };
        let (line, packet) = (
            r#"{"gap":{"channels":["a"],"from":1,"to":2,"reason":"rate_limit"}}"#,
            r#"42["womack:gap",{"channels":["a"],"from":1,"to":2,"reason":"rate_limit"}]"#,
        );
        assert_eq!(read_line(line), Ok(Line::Said(gap())));
        assert_eq!(read_packet(packet), Some(Packet::Said(gap())));
        let refused = || Said::Answer(7, Err("unavailable".to_owned()));
        let line = r#"{"id":7,"ok":false,"error":"unavailable"}"#;
        assert_eq!(read_line(line), Ok(Line::Said(refused())));
        let packet = r#"437[{"ok":false,"error":"unavailable"}]"#;
        assert_eq!(read_packet(packet), Some(Packet::Said(refused())));
        assert_eq!(read_line(r#"{"what":1}"#), Err(()));
        assert_eq!(read_packet("9"), None);
    }
}

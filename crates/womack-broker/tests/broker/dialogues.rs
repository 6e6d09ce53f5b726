//! Whole dialogues, held with the broker and with a real Redis: both must say the same, to the
//! byte.
//!
//! A file of `tests/dialogues` has one dialogue per paragraph, beginning with its title. `A> PING`
//! sends a line from client A, `A>> ` sends without a line end, and `A< +PONG\r\n` is all that A
//! then gets; `A< ` alone says that A is disconnected. At the end of a dialogue nobody may have
//! got anything else. Escapes are Rust's; `{id}` is the client's number and `{version}` the
//! server's version, as a string of RESP.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use crate::support::{Broker, RawClient, RealRedis};

#[test]
fn the_broker_answers_as_written() {
    let broker = Broker::start();
    hold_all(broker.address);
}

#[test]
fn a_real_redis_answers_as_written() {
    if let Some(redis) = RealRedis::start() {
        hold_all(redis.address);
    }
}

fn hold_all(address: SocketAddr) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dialogues");
    let mut held = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        for dialogue in fs::read_to_string(&path).unwrap().split("\n\n") {
            hold(address, dialogue.trim());
            held += 1;
        }
    }
    assert!(held > 50, "{held} dialogues");
}

fn hold(address: SocketAddr, dialogue: &str) {
    eprintln!("{dialogue}\n");
    let mut clients: BTreeMap<char, Participant> = BTreeMap::new();
    let (title, lines) = dialogue.split_once('\n').unwrap();
    assert!(
        title.starts_with('#'),
        "a dialogue without a title: {title}"
    );
    for line in lines.lines() {
        let name = line.chars().next().unwrap();
        let client = clients
            .entry(name)
            .or_insert_with(|| Participant::enter(address));
        match &line[1..] {
            "<" => assert_eq!(client.raw.rest().escape_ascii().to_string(), ""),
            rest => match rest.split_once(' ').unwrap() {
                (">", text) => client.send(unescape(text) + "\r\n"),
                (">>", text) => client.send(unescape(text)),
                ("<", text) => client.expect(text),
                (other, _) => panic!("{other} in {line}"),
            },
        }
    }
    for client in clients.values_mut() {
        client.raw.finish();
        assert_eq!(client.raw.rest().escape_ascii().to_string(), "");
    }
}

struct Participant {
    raw: RawClient,
    id: String,
    version: String,
}

impl Participant {
    fn enter(address: SocketAddr) -> Self {
        let mut raw = RawClient::connect(address);
        raw.send("CLIENT ID\r\n");
        let id = raw.line()[1..].trim_end().to_owned();
        raw.send("HELLO 2\r\n");
        let hello: Vec<_> = (0..26).map(|_| raw.line()).collect();
        let version = hello[7..9].concat();
        Self { raw, id, version }
    }

    /// Characters up to U+00FF stand for bytes.
    fn send(&mut self, text: String) {
        let bytes: Vec<u8> = text.chars().map(|c| u8::try_from(c).unwrap()).collect();
        // A server that has closed the connection may not take it.
        _ = self.raw.try_send(bytes);
    }

    fn expect(&mut self, text: &str) {
        let text = text.replace("{id}", &self.id);
        let text = unescape(&text.replace("{version}", &self.version.escape_default().to_string()));
        let bytes: Vec<u8> = text.chars().map(|c| u8::try_from(c).unwrap()).collect();
        self.raw.expect(bytes);
    }
}

fn unescape(text: &str) -> String {
    let mut unescaped = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        unescaped.push(match c {
            '\\' => match chars.next().unwrap() {
                'r' => '\r',
                'n' => '\n',
                't' => '\t',
                'x' => {
                    let digits: String = chars.by_ref().take(2).collect();
                    u8::from_str_radix(&digits, 16).unwrap().into()
                }
                '\\' => '\\',
                other => panic!("\\{other} in {text}"),
            },
            c => c,
        });
    }
    unescaped
}

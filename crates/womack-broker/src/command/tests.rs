use std::io::Cursor;
use std::net::{Ipv4Addr, SocketAddr};

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, prop_assert, proptest};
use proptest::sample::select;
use redis::Parser;

use super::*;
use crate::Limits;

/// Words that mean something to some command.
const WORDS: [&str; 22] = [
    "",
    "a",
    "*",
    "0",
    "1",
    "2",
    "3",
    "-1",
    "99999999999999999999",
    "on",
    "off",
    "skip",
    "type",
    "pubsub",
    "id",
    "addr",
    "skipme",
    "no",
    "setname",
    "auth",
    "default",
    "lib-name",
];

proptest! {
    /// A panic would take the whole server with it.
    #[test]
    fn no_command_panics_and_every_reply_is_resp(commands in vec(any_command(), 1..20)) {
        let mut broker = Broker::new(Limits::default());
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let me = broker.connect(address, address).unwrap();
        broker.connect(address, address).unwrap();
        for arguments in commands {
            execute(&mut broker, me, &arguments);
            let sent = drain(&mut broker, me);
            let len = sent.len() as u64;
            let mut sent = Cursor::new(sent);
            while sent.position() < len {
                let value = Parser::new().parse_value(&mut sent);
                prop_assert!(value.is_ok(), "{arguments:?}: {value:?}");
            }
        }
    }
}

#[test]
fn names_are_lower_case_and_none_is_there_twice() {
    let names: Vec<_> = every_command().map(|command| command.name).collect();
    for name in &names {
        assert_eq!(*name, name.to_ascii_lowercase());
        assert_eq!(
            names.iter().filter(|other| *other == name).count(),
            1,
            "{name}"
        );
    }
}

fn any_command() -> impl Strategy<Value = Vec<Bytes>> {
    select(every_command().collect::<Vec<_>>())
        .prop_flat_map(|command| {
            let more = vec(select(&WORDS[..]), 0..6);
            (Just(command.name), more)
        })
        .prop_map(|(name, more)| name.split('|').chain(more).map(Bytes::from).collect())
}

fn every_command() -> impl Iterator<Item = &'static Command> {
    all().flat_map(|command| [command].into_iter().chain(command.subcommands))
}

fn drain(broker: &mut Broker, me: ClientKey) -> Vec<u8> {
    let outbox = &mut broker.client_mut(me).outbox;
    let mut sent = Vec::new();
    while !outbox.is_empty() {
        let mut slices = [std::io::IoSlice::new(&[])];
        outbox.fill(&mut slices);
        sent.extend_from_slice(&slices[0]);
        let len = slices[0].len();
        outbox.consume(len);
    }
    sent
}

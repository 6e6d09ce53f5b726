//! `CLIENT`: what is known about connections.

use std::fmt::Write;
use std::time::Instant;

use bytes::Bytes;

use super::{Command, Turn, needs_subcommand, quote};
use crate::client::{Client, Ending, Identity, ReplyMode};
use crate::resp::parse_integer;
use crate::subscriptions::Kind;

pub(super) const COMMAND: Command = Command::of_connection(
    "client",
    -2,
    "Asks about and changes connections",
    needs_subcommand,
)
.with(&[
    Command::of_connection(
        "client|getname",
        2,
        "Returns this connection's name",
        get_name,
    ),
    Command::of_connection("client|id", 2, "Returns this connection's number", |turn| {
        turn.reply.integer(turn.client().id);
    }),
    Command::of_connection("client|info", 2, "Describes this connection", |turn| {
        turn.reply.verbatim(&describe(turn.client()));
    }),
    Command::of_connection("client|kill", -3, "Closes connections", kill),
    Command::of_connection("client|list", -2, "Describes connections", list),
    Command::of_connection(
        "client|no-evict",
        3,
        "Does nothing: no one is evicted",
        |turn| {
            if let Some(on) = turn.switch(2) {
                turn.client_mut().no_evict = on;
                turn.reply.ok();
            }
        },
    ),
    Command::of_connection(
        "client|no-touch",
        3,
        "Does nothing: there are no keys",
        |turn| {
            if let Some(on) = turn.switch(2) {
                turn.client_mut().no_touch = on;
                turn.reply.ok();
            }
        },
    ),
    Command::of_connection("client|reply", 3, "Turns replies on and off", reply),
    Command::of_connection("client|setinfo", 4, "Names the client's library", set_info),
    Command::of_connection("client|setname", 3, "Names this connection", |turn| {
        if set_name(turn, &turn.arguments[2]) {
            turn.reply.ok();
        }
    }),
]);

/// Names the connection, or answers with an error why not.
pub(super) fn set_name(turn: &mut Turn<'_>, name: &[u8]) -> bool {
    let valid = is_plain(name);
    if valid {
        turn.client_mut().identity.name = Bytes::copy_from_slice(name);
    } else {
        turn.reply
            .error("Client names cannot contain spaces, newlines or special characters.");
    }
    valid
}

fn get_name(turn: &mut Turn<'_>) {
    match turn.client().identity.name.clone() {
        name if name.is_empty() => turn.reply.null(),
        name => turn.reply.bulk(name),
    }
}

fn set_info(turn: &mut Turn<'_>) {
    let attribute = &turn.arguments[2];
    let value = &turn.arguments[3];
    let (field, name): (fn(&mut Identity) -> &mut Bytes, _) = if turn.argument_is(2, "lib-name") {
        (|identity| &mut identity.library_name, "lib-name")
    } else if turn.argument_is(2, "lib-ver") {
        (|identity| &mut identity.library_version, "lib-ver")
    } else {
        let attribute = quote(attribute, attribute.len());
        return turn
            .reply
            .error([b"Unrecognized option '", attribute, b"'"].concat());
    };
    if is_plain(value) {
        *field(&mut turn.client_mut().identity) = Bytes::copy_from_slice(value);
        turn.reply.ok();
    } else {
        let text = "cannot contain spaces, newlines or special characters.";
        turn.reply.error(format!("{name} {text}"));
    }
}

/// Whether `text` fits into a line of `CLIENT LIST`.
fn is_plain(text: &[u8]) -> bool {
    text.iter().all(u8::is_ascii_graphic)
}

fn reply(turn: &mut Turn<'_>) {
    if turn.argument_is(2, "on") {
        turn.client_mut().replies = ReplyMode::On;
        turn.reply.muted = false;
        turn.reply.ok();
    } else if turn.argument_is(2, "off") {
        turn.client_mut().replies = ReplyMode::Off;
        turn.reply.muted = true;
    } else if turn.argument_is(2, "skip") {
        turn.client_mut().replies.skip_next();
    } else {
        turn.reply.error("syntax error");
    }
}

/// `CLIENT LIST [TYPE type | ID id...]`
fn list(turn: &mut Turn<'_>) {
    let mut filter = Filter::default();
    match &turn.arguments[2..] {
        [] => {}
        [option, kind] if option.eq_ignore_ascii_case(b"type") => {
            let Some(kind) = ClientType::parse(kind) else {
                return turn.reply.error(unknown_type(kind));
            };
            filter.kind = Some(kind);
        }
        [option, ids @ ..] if option.eq_ignore_ascii_case(b"id") && !ids.is_empty() => {
            let ids = ids.iter().map(|id| parse_integer(id)?.try_into().ok());
            let Some(ids) = ids.collect() else {
                return turn.reply.error("Invalid client ID");
            };
            filter.ids = Some(ids);
        }
        _ => return turn.reply.error("syntax error"),
    }
    let mut text = String::new();
    for client in turn.broker.clients() {
        if filter.accepts(client) {
            text.push_str(&describe(client));
        }
    }
    turn.reply.verbatim(&text);
}

/// `CLIENT KILL address` or `CLIENT KILL option value ...`
fn kill(turn: &mut Turn<'_>) {
    let mut filter = Filter::default();
    let mut skip_me = true;
    let options = &turn.arguments[2..];
    if let [address] = options {
        filter.address = Some(address.clone());
        skip_me = false;
    } else {
        for pair in options.chunks(2) {
            let [option, value] = pair else {
                return turn.reply.error("syntax error");
            };
            match option.to_ascii_lowercase().as_slice() {
                b"id" => match parse_integer(value).and_then(|id| id.try_into().ok()) {
                    Some(id @ 1..) => filter.ids = Some(vec![id]),
                    _ => return turn.reply.error("client-id should be greater than 0"),
                },
                b"type" => match ClientType::parse(value) {
                    Some(kind) => filter.kind = Some(kind),
                    None => return turn.reply.error(unknown_type(value)),
                },
                b"addr" => filter.address = Some(value.clone()),
                b"skipme" if value.eq_ignore_ascii_case(b"yes") => skip_me = true,
                b"skipme" if value.eq_ignore_ascii_case(b"no") => skip_me = false,
                _ => return turn.reply.error("syntax error"),
            }
        }
    }
    let me = turn.client().id;
    let mut killed = 0;
    for client in turn.broker.clients_mut() {
        if !filter.accepts(client) || (skip_me && client.id == me) {
            continue;
        }
        killed += 1;
        match client.id == me {
            true => client.ending = Some(Ending::Flush),
            false => client.kill(),
        }
    }
    match options {
        [_address] if killed == 0 => turn.reply.error("No such client"),
        [_address] => turn.reply.ok(),
        _ => turn.reply.integer(killed),
    }
}

/// Which clients `LIST` and `KILL` mean: those that fit everything that is set.
#[derive(Default)]
struct Filter {
    ids: Option<Vec<u64>>,
    kind: Option<ClientType>,
    address: Option<Bytes>,
}

impl Filter {
    fn accepts(&self, client: &Client) -> bool {
        self.ids.as_ref().is_none_or(|ids| ids.contains(&client.id))
            && self.kind.is_none_or(|kind| kind == ClientType::of(client))
            && self
                .address
                .as_ref()
                .is_none_or(|peer| client.peer.to_string() == *peer)
    }
}

#[derive(Clone, Copy, PartialEq)]
enum ClientType {
    Normal,
    Pubsub,
    /// Masters and replicas, of which there are none.
    Replication,
}

impl ClientType {
    fn parse(name: &[u8]) -> Option<Self> {
        match name.to_ascii_lowercase().as_slice() {
            b"normal" => Some(Self::Normal),
            b"pubsub" => Some(Self::Pubsub),
            b"master" | b"slave" | b"replica" => Some(Self::Replication),
            _ => None,
        }
    }

    fn of(client: &Client) -> Self {
        match client.is_subscriber() {
            true => Self::Pubsub,
            false => Self::Normal,
        }
    }
}

fn unknown_type(name: &[u8]) -> Vec<u8> {
    [b"Unknown client type '", quote(name, name.len()), b"'"].concat()
}

/// One line of `CLIENT LIST`, with the fields of Redis that mean something here.
fn describe(client: &Client) -> String {
    let now = Instant::now();
    let mut flags = String::new();
    for (set, flag) in [
        (client.is_subscriber(), 'P'),
        (client.transaction.is_some(), 'x'),
        (client.no_evict, 'e'),
        (client.no_touch, 'T'),
    ] {
        flags.extend(set.then_some(flag));
    }
    if flags.is_empty() {
        flags.push('N');
    }
    let queued = client.transaction.as_ref();
    let mut line = String::new();
    let mut field = |name: &str, value: &dyn std::fmt::Display| {
        let separator = if line.is_empty() { "" } else { " " };
        // Writing to a string cannot fail.
        _ = write!(line, "{separator}{name}={value}");
    };
    field("id", &client.id);
    field("addr", &client.peer);
    field("laddr", &client.local);
    field("name", &String::from_utf8_lossy(&client.identity.name));
    field("age", &client.activity.age(now).as_secs());
    field("idle", &client.activity.idle(now).as_secs());
    field("flags", &flags);
    field("db", &client.database);
    field("sub", &client.subscriptions.of(Kind::Channel).len());
    field("psub", &client.subscriptions.of(Kind::Pattern).len());
    field("ssub", &client.subscriptions.of(Kind::Shard).len());
    match queued {
        Some(transaction) => field("multi", &transaction.len()),
        None => field("multi", &-1),
    }
    field(
        "multi-mem",
        &queued.map_or(0, |transaction| transaction.bytes()),
    );
    field("oll", &client.outbox.chunks());
    field("omem", &client.outbox.bytes());
    field("events", &"r");
    field("cmd", &client.activity.last_command_name());
    field("user", &"default");
    field("redir", &-1);
    field("resp", &(client.protocol as u8));
    field(
        "lib-name",
        &String::from_utf8_lossy(&client.identity.library_name),
    );
    field(
        "lib-ver",
        &String::from_utf8_lossy(&client.identity.library_version),
    );
    line.push('\n');
    line
}

//! What a client says about itself and the connection when it opens, tests or closes one.

use bytes::Bytes;

use super::{Command, REDIS_VERSION, Turn, client, quote};
use crate::client::{Ending, ReplyMode};
use crate::reply::Protocol;
use crate::resp::parse_integer;

/// Databases that `SELECT` knows. Channels belong to none of them.
pub(super) const DATABASES: i64 = 16;

pub(super) const COMMANDS: &[Command] = &[
    Command::of_connection(
        "ping",
        -1,
        "Answers, to show that the connection works",
        ping,
    ),
    Command::of_connection("hello", -1, "Chooses the protocol version", hello),
    client::COMMAND,
    Command::of_connection(
        "auth",
        -2,
        "Accepts the default user, who has no password",
        auth,
    ),
    Command::of_connection(
        "select",
        2,
        "Chooses a database, which makes no difference",
        select,
    ),
    Command::of_connection("echo", 2, "Returns its argument", |turn| {
        turn.reply.bulk(&turn.arguments[1])
    }),
    Command::of_connection("quit", -1, "Closes the connection", |turn| {
        turn.client_mut().ending = Some(Ending::Flush);
        turn.reply.ok();
    }),
    Command::of_connection("reset", 1, "Makes the connection as good as new", reset),
];

fn ping(turn: &mut Turn<'_>) {
    let text = match turn.arguments {
        [_] => None,
        [_, text] => Some(text),
        _ => {
            return turn
                .reply
                .error("wrong number of arguments for 'ping' command");
        }
    };
    let client = turn.client();
    if client.protocol == Protocol::Resp2 && client.is_subscriber() {
        turn.reply.array(2);
        turn.reply.bulk("pong");
        return turn.reply.bulk(text.map_or(&b""[..], |text| text));
    }
    match text {
        Some(text) => turn.reply.bulk(text),
        None => turn.reply.simple("PONG"),
    }
}

/// `HELLO [version [AUTH user password] [SETNAME name]]`
fn hello(turn: &mut Turn<'_>) {
    let version = match turn.arguments.get(1).map(|version| parse_integer(version)) {
        None => None,
        Some(Some(2)) => Some(Protocol::Resp2),
        Some(Some(3)) => Some(Protocol::Resp3),
        Some(Some(_)) => {
            return turn
                .reply
                .error_with_code("NOPROTO", "unsupported protocol version");
        }
        Some(None) => {
            return turn
                .reply
                .error("Protocol version is not an integer or out of range");
        }
    };
    let mut options = turn.arguments.get(2..).unwrap_or_default();
    while let [option, rest @ ..] = options {
        options = match rest {
            [user, _password, rest @ ..] if option.eq_ignore_ascii_case(b"auth") => {
                if !user_exists(turn, user) {
                    return;
                }
                rest
            }
            [name, rest @ ..] if option.eq_ignore_ascii_case(b"setname") => {
                if !client::set_name(turn, name) {
                    return;
                }
                rest
            }
            _ => {
                let option = quote(option, option.len());
                let text = [b"Syntax error in HELLO option '", option, b"'"].concat();
                return turn.reply.error(text);
            }
        };
    }
    if let Some(version) = version {
        turn.client_mut().protocol = version;
        turn.reply.protocol = version;
    }

    let (protocol, id) = (turn.client().protocol, turn.client().id);
    let reply = &mut *turn.reply;
    reply.map(7);
    reply.bulk("server");
    reply.bulk("redis");
    reply.bulk("version");
    reply.bulk(REDIS_VERSION);
    reply.bulk("proto");
    reply.integer(protocol as i64);
    reply.bulk("id");
    reply.integer(id);
    reply.bulk("mode");
    reply.bulk("standalone");
    reply.bulk("role");
    reply.bulk("master");
    reply.bulk("modules");
    reply.array(0);
}

/// As a Redis without a password answers: the default user may do anything with any password,
/// but a password without a user is a sign that somebody expected protection.
fn auth(turn: &mut Turn<'_>) {
    match turn.arguments {
        [_, _password] => turn.reply.error(
            "AUTH <password> called without any password configured for the default user. \
             Are you sure your configuration is correct?",
        ),
        [_, user, _password] => {
            if user_exists(turn, user) {
                turn.reply.ok();
            }
        }
        _ => turn.reply.error("syntax error"),
    }
}

fn user_exists(turn: &mut Turn<'_>, user: &Bytes) -> bool {
    let exists = user == "default";
    if !exists {
        let text = "invalid username-password pair or user is disabled.";
        turn.reply.error_with_code("WRONGPASS", text);
    }
    exists
}

fn select(turn: &mut Turn<'_>) {
    match parse_integer(&turn.arguments[1]) {
        Some(database @ 0..DATABASES) => {
            turn.client_mut().database = database;
            turn.reply.ok();
        }
        Some(_) => turn.reply.error("DB index is out of range"),
        None => turn.reply.error("value is not an integer or out of range"),
    }
}

fn reset(turn: &mut Turn<'_>) {
    turn.broker.unsubscribe_all(turn.me);
    let client = turn.client_mut();
    client.transaction = None;
    client.identity.name = Bytes::new();
    client.database = 0;
    client.protocol = Protocol::Resp2;
    client.replies = ReplyMode::On;
    client.no_evict = false;
    client.no_touch = false;
    turn.reply.protocol = Protocol::Resp2;
    turn.reply.muted = false;
    turn.reply.simple("RESET");
}

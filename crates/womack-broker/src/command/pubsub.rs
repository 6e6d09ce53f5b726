//! `SUBSCRIBE`, `PUBLISH` and their kin.

use std::rc::Rc;

use super::{Command, Turn, needs_subcommand};
use crate::glob;
use crate::subscriptions::Kind;

pub(super) const COMMANDS: &[Command] = &[
    pubsub("publish", 3, "Sends a message to a channel", publish),
    pubsub("subscribe", -2, "Subscribes to channels", |turn| {
        subscribe(turn, Kind::Channel, "subscribe");
    }),
    pubsub(
        "unsubscribe",
        -1,
        "Ends subscriptions to channels",
        |turn| {
            unsubscribe(turn, Kind::Channel, "unsubscribe");
        },
    ),
    pubsub("psubscribe", -2, "Subscribes to patterns", |turn| {
        subscribe(turn, Kind::Pattern, "psubscribe");
    }),
    pubsub(
        "punsubscribe",
        -1,
        "Ends subscriptions to patterns",
        |turn| {
            unsubscribe(turn, Kind::Pattern, "punsubscribe");
        },
    ),
    pubsub(
        "spublish",
        3,
        "Sends a message to a shard channel",
        |turn| {
            let [_, channel, payload] = turn.arguments else {
                return;
            };
            turn.reply
                .integer(turn.broker.publish_to_shard(channel, payload));
        },
    ),
    pubsub("ssubscribe", -2, "Subscribes to shard channels", |turn| {
        if turn.in_transaction {
            let text = "SSUBSCRIBE isn't allowed for a DENY BLOCKING client";
            return turn.reply.error(text);
        }
        subscribe(turn, Kind::Shard, "ssubscribe");
    }),
    pubsub(
        "sunsubscribe",
        -1,
        "Ends subscriptions to shard channels",
        |turn| {
            unsubscribe(turn, Kind::Shard, "sunsubscribe");
        },
    ),
    pubsub(
        "pubsub",
        -2,
        "Tells who has subscribed to what",
        needs_subcommand,
    )
    .with(&[
        pubsub(
            "pubsub|channels",
            -2,
            "Lists channels with subscribers",
            |turn| {
                names(turn, Kind::Channel);
            },
        ),
        pubsub(
            "pubsub|numpat",
            2,
            "Counts patterns with subscribers",
            |turn| {
                turn.reply.integer(turn.broker.names(Kind::Pattern).len());
            },
        ),
        pubsub(
            "pubsub|numsub",
            -2,
            "Counts the subscribers of channels",
            |turn| {
                subscriber_counts(turn, Kind::Channel);
            },
        ),
        pubsub(
            "pubsub|shardchannels",
            -2,
            "Lists shard channels with subscribers",
            |turn| {
                names(turn, Kind::Shard);
            },
        ),
        pubsub(
            "pubsub|shardnumsub",
            -2,
            "Counts the subscribers of shard channels",
            |turn| {
                subscriber_counts(turn, Kind::Shard);
            },
        ),
    ]),
];

const fn pubsub(
    name: &'static str,
    arity: i64,
    summary: &'static str,
    run: fn(&mut Turn<'_>),
) -> Command {
    Command::new(name, arity, "pubsub", summary, run)
}

fn publish(turn: &mut Turn<'_>) {
    let [_, channel, payload] = turn.arguments else {
        return;
    };
    turn.reply.integer(turn.broker.publish(channel, payload));
}

fn subscribe(turn: &mut Turn<'_>, kind: Kind, confirmation: &str) {
    for name in &turn.arguments[1..] {
        if turn.broker.subscribe(turn.me, kind, name) {
            confirm(turn, kind, confirmation, Some(name));
        } else {
            turn.reply
                .error("this client's subscriptions are over their limit");
        }
    }
}

fn unsubscribe(turn: &mut Turn<'_>, kind: Kind, confirmation: &str) {
    if turn.arguments.len() > 1 {
        for name in &turn.arguments[1..] {
            turn.broker.unsubscribe(turn.me, kind, name);
            confirm(turn, kind, confirmation, Some(name));
        }
        return;
    }
    let names: Vec<Rc<[u8]>> = turn
        .client()
        .subscriptions
        .of(kind)
        .iter()
        .cloned()
        .collect();
    for name in &names {
        turn.broker.unsubscribe(turn.me, kind, name);
        confirm(turn, kind, confirmation, Some(name));
    }
    if names.is_empty() {
        confirm(turn, kind, confirmation, None);
    }
}

fn confirm(turn: &mut Turn<'_>, kind: Kind, confirmation: &str, name: Option<&[u8]>) {
    let count = turn.client().subscriptions.count(kind);
    turn.reply.unmuted(|reply| {
        reply.push(3);
        reply.bulk(confirmation);
        match name {
            Some(name) => reply.bulk(name),
            None => reply.null(),
        }
        reply.integer(count);
    });
}

/// `PUBSUB CHANNELS [pattern]` and its twin for shards.
fn names(turn: &mut Turn<'_>, kind: Kind) {
    let pattern = match turn.arguments {
        [_, _] => None,
        [_, _, pattern] => Some(pattern),
        [_, subcommand, ..] => {
            let text = [
                b"unknown subcommand or wrong number of arguments for '",
                super::quote(subcommand, super::QUOTED_BYTES),
                b"'. Try PUBSUB HELP.",
            ];
            return turn.reply.error(text.concat());
        }
        _ => return,
    };
    let wanted = |name: &&[u8]| pattern.is_none_or(|pattern| glob::matches(pattern, name));
    let names: Vec<_> = turn.broker.names(kind).filter(wanted).collect();
    turn.reply.array(names.len());
    for name in names {
        turn.reply.bulk(name);
    }
}

fn subscriber_counts(turn: &mut Turn<'_>, kind: Kind) {
    let names = &turn.arguments[2..];
    turn.reply.array(names.len() * 2);
    for name in names {
        turn.reply.bulk(name);
        turn.reply.integer(turn.broker.subscriber_count(kind, name));
    }
}

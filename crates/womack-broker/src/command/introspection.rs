//! `COMMAND`: the commands, described from their own table.

use std::slice;

use bytes::Bytes;

use super::server::server;
use super::{Command, Turn, all, find};
use crate::glob;
use crate::reply::Reply;

pub(super) const COMMANDS: &[Command] =
    &[server("command", -1, "Describes the commands", |turn| {
        let commands: Vec<_> = all().collect();
        turn.reply.array(commands.len());
        for command in commands {
            describe(turn.reply, command);
        }
    })
    .with(&[
        server("command|count", 2, "Counts the commands", |turn| {
            turn.reply.integer(all().count());
        }),
        server("command|docs", -2, "Explains commands", docs),
        server("command|info", -2, "Describes commands", info),
        server("command|list", -2, "Lists the commands' names", list),
    ])];

/// The last four of the ten parts are left empty: categories of access, hints and key positions
/// are about keys.
fn describe(reply: &mut Reply, command: &Command) {
    reply.array(10);
    reply.bulk(command.name);
    reply.integer(command.arity);
    let flags: &[_] = match command.group {
        "pubsub" => &["pubsub", "loading", "stale"],
        _ => &["loading", "stale"],
    };
    reply.set(flags.len());
    for flag in flags {
        reply.simple(flag);
    }
    // First key, last key, step.
    for _ in 0..3 {
        reply.integer(0);
    }
    for _ in 0..3 {
        reply.set(0);
    }
    reply.array(command.subcommands.len());
    for subcommand in command.subcommands {
        describe(reply, subcommand);
    }
}

/// `COMMAND INFO [name...]`, all without a name.
fn info(turn: &mut Turn<'_>) {
    let names = &turn.arguments[2..];
    if names.is_empty() {
        let commands: Vec<_> = all().collect();
        turn.reply.array(commands.len());
        return commands
            .iter()
            .for_each(|command| describe(turn.reply, command));
    }
    turn.reply.array(names.len());
    for name in names {
        match named(name) {
            Some(command) => describe(turn.reply, command),
            None => turn.reply.null(),
        }
    }
}

/// `COMMAND DOCS [name...]`, all without a name; unknown names are left out.
fn docs(turn: &mut Turn<'_>) {
    let names = &turn.arguments[2..];
    let commands: Vec<_> = match names {
        [] => all().collect(),
        names => names.iter().filter_map(|name| named(name)).collect(),
    };
    explain(turn.reply, &commands);
}

fn explain(reply: &mut Reply, commands: &[&Command]) {
    reply.map(commands.len());
    for command in commands {
        let subcommands: Vec<_> = command.subcommands.iter().collect();
        reply.bulk(command.name);
        reply.map(if subcommands.is_empty() { 2 } else { 3 });
        reply.bulk("summary");
        reply.bulk(command.summary);
        reply.bulk("group");
        reply.bulk(command.group);
        if !subcommands.is_empty() {
            reply.bulk("subcommands");
            explain(reply, &subcommands);
        }
    }
}

/// `COMMAND LIST [FILTERBY PATTERN pattern]`; no command is of a module or a category.
fn list(turn: &mut Turn<'_>) {
    let is = |word: &[u8], name: &str| word.eq_ignore_ascii_case(name.as_bytes());
    let pattern = match &turn.arguments[2..] {
        [] => Some(&b"*"[..]),
        [by, filter, pattern] if is(by, "filterby") && is(filter, "pattern") => Some(&**pattern),
        [by, filter, _] if is(by, "filterby") && (is(filter, "module") || is(filter, "aclcat")) => {
            None
        }
        _ => return turn.reply.error("syntax error"),
    };
    let with_subcommands =
        all().flat_map(|command| [command].into_iter().chain(command.subcommands));
    let names: Vec<_> = with_subcommands
        .map(|command| command.name)
        .filter(|name| pattern.is_some_and(|pattern| glob::matches(pattern, name.as_bytes())))
        .collect();
    turn.reply.array(names.len());
    for name in names {
        turn.reply.bulk(name);
    }
}

/// Finds `publish` or `client|list`.
fn named(name: &Bytes) -> Option<&'static Command> {
    match name.iter().position(|byte| *byte == b'|') {
        None => find(slice::from_ref(name)).ok(),
        Some(at) => find(&[name.slice(..at), name.slice(at + 1..)])
            .ok()
            .filter(|command| command.name.contains('|')),
    }
}

//! What clients and monitoring ask about the server.

use std::time::{SystemTime, UNIX_EPOCH};

use super::connection::DATABASES;
use super::{Command, REDIS_VERSION, Turn, needs_subcommand};
use crate::broker::{Broker, REPLICATION_ID_DIGITS};
use crate::glob;
use crate::subscriptions::Kind;

pub(super) const COMMANDS: &[Command] = &[
    server("info", -1, "Describes the server", info),
    server("config", -2, "Asks for settings", needs_subcommand).with(&[server(
        "config|get",
        -3,
        "Returns settings",
        config_get,
    )]),
    server(
        "dbsize",
        1,
        "Returns the number of keys, which is 0",
        |turn| turn.reply.integer(0),
    ),
    server(
        "role",
        1,
        "Returns the role, which is that of a master",
        |turn| {
            turn.reply.array(3);
            turn.reply.bulk("master");
            turn.reply.integer(0);
            turn.reply.array(0);
        },
    ),
    server("time", 1, "Returns the time", time),
];

pub(super) const fn server(
    name: &'static str,
    arity: i64,
    summary: &'static str,
    run: fn(&mut Turn<'_>),
) -> Command {
    Command::new(name, arity, "server", summary, run)
}

/// `INFO [section...]`
fn info(turn: &mut Turn<'_>) {
    let wanted = &turn.arguments[1..];
    let all = |name: &[u8]| {
        [&b"all"[..], b"default", b"everything"]
            .iter()
            .any(|word| name.eq_ignore_ascii_case(word))
    };
    let everything = wanted.is_empty() || wanted.iter().any(|name| all(name));
    let mut text = String::new();
    for (title, fields) in sections(turn.broker) {
        let named = || {
            wanted
                .iter()
                .any(|name| name.eq_ignore_ascii_case(title.as_bytes()))
        };
        if !everything && !named() {
            continue;
        }
        if !text.is_empty() {
            text.push_str("\r\n");
        }
        text.push_str(&format!("# {title}\r\n"));
        for (name, value) in fields {
            text.push_str(&format!("{name}:{value}\r\n"));
        }
    }
    turn.reply.verbatim(&text);
}

type Fields = Vec<(&'static str, String)>;

/// The fields of `INFO` that clients look for, and the few that mean something here.
fn sections(broker: &Broker) -> [(&'static str, Fields); 6] {
    let uptime = broker.started.elapsed().as_secs();
    let clients = broker.clients();
    let subscribers = clients
        .iter()
        .filter(|client| client.is_subscriber())
        .count();
    let waiting: usize = clients.iter().map(|client| client.outbox.bytes()).sum();
    let server = vec![
        ("redis_version", REDIS_VERSION.into()),
        ("redis_mode", "standalone".into()),
        ("womack_broker_version", env!("CARGO_PKG_VERSION").into()),
        ("process_id", std::process::id().to_string()),
        ("uptime_in_seconds", uptime.to_string()),
        ("uptime_in_days", (uptime / 86_400).to_string()),
    ];
    let persistence = vec![("loading", "0".into()), ("async_loading", "0".into())];
    let clients = vec![
        ("connected_clients", clients.len().to_string()),
        ("maxclients", broker.limits.max_connections.to_string()),
        ("blocked_clients", "0".into()),
        ("pubsub_clients", subscribers.to_string()),
    ];
    let memory = vec![("mem_clients_output", waiting.to_string())];
    let stats = vec![
        ("total_connections_received", broker.accepted.to_string()),
        ("total_commands_processed", broker.commands.to_string()),
        (
            "pubsub_channels",
            broker.names(Kind::Channel).len().to_string(),
        ),
        (
            "pubsub_patterns",
            broker.names(Kind::Pattern).len().to_string(),
        ),
        (
            "pubsubshard_channels",
            broker.names(Kind::Shard).len().to_string(),
        ),
    ];
    let replication = vec![
        ("role", "master".into()),
        ("connected_slaves", "0".into()),
        ("master_replid", broker.replication_id.clone()),
        ("master_replid2", "0".repeat(REPLICATION_ID_DIGITS)),
        ("master_repl_offset", "0".into()),
    ];
    [
        ("Server", server),
        ("Clients", clients),
        ("Memory", memory),
        ("Persistence", persistence),
        ("Stats", stats),
        ("Replication", replication),
    ]
}

/// `CONFIG GET pattern...`
fn config_get(turn: &mut Turn<'_>) {
    let patterns = &turn.arguments[2..];
    let wanted = |name: &str| {
        patterns
            .iter()
            .any(|pattern| glob::matches(&pattern.to_ascii_lowercase(), name.as_bytes()))
    };
    let settings: Vec<_> = settings(turn.broker)
        .into_iter()
        .filter(|(name, _)| wanted(name))
        .collect();
    turn.reply.map(settings.len());
    for (name, value) in settings {
        turn.reply.bulk(name);
        turn.reply.bulk(value);
    }
}

/// The settings of Redis that say something true here.
fn settings(broker: &Broker) -> [(&'static str, String); 8] {
    let limits = &broker.limits;
    let output = limits.max_output_bytes;
    [
        ("appendonly", "no".into()),
        (
            "client-output-buffer-limit",
            format!("normal {output} 0 0 slave 0 0 0 pubsub {output} 0 0"),
        ),
        ("databases", DATABASES.to_string()),
        ("maxclients", limits.max_connections.to_string()),
        ("notify-keyspace-events", String::new()),
        ("proto-max-bulk-len", limits.max_command_bytes.to_string()),
        ("save", String::new()),
        ("timeout", "0".into()),
    ]
}

fn time(turn: &mut Turn<'_>) {
    // A clock set before 1970 is shown as 1970.
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    turn.reply.array(2);
    turn.reply.bulk(now.as_secs().to_string());
    turn.reply.bulk(now.subsec_micros().to_string());
}

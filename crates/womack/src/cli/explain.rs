//! `womack explain`: who would get a message on a channel, and what would keep it from them.

use std::io::Write;

use form_urlencoded::Serializer;

use super::admin::{AdminUrl, Admins};
use crate::{admin::Explanation, error::Error};

/// Asks all servers and prints what they say.
///
/// # Errors
/// A server does not answer, or will not tell.
pub(super) async fn explain(channel: &str, json: bool, at: &Admins) -> Result<(), Error> {
    let query = Serializer::new(String::new())
        .append_pair("channel", channel)
        .finish();
    let mut explanations = Vec::new();
    for url in &at.admin {
        let body = url.get_ok(&format!("/explain?{query}")).await?;
        explanations.push(serde_json::from_slice::<Explanation>(&body)?);
    }
    let text = if json {
        serde_json::to_string(&explanations)? + "\n"
    } else {
        written(channel, &at.admin, &explanations)
    };
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(())
}

fn written(channel: &str, urls: &[AdminUrl], explanations: &[Explanation]) -> String {
    let total: u64 = explanations.iter().map(subscribers).sum();
    let nodes = explanations
        .iter()
        .filter(|node| subscribers(node) > 0)
        .count();
    let mut lines = vec![match total {
        0 => format!("{channel:?}: nobody would get a message"),
        _ => format!(
            "{channel:?}: {} on {}",
            counted(total, "client"),
            counted(nodes as u64, "node")
        ),
    }];
    for (url, node) in urls.iter().zip(explanations) {
        lines.push(format!("node {} at {url}", node.node));
        lines.extend(of_node(node));
    }
    lines.join("\n") + "\n"
}

fn of_node(node: &Explanation) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(reason) = &node.unready {
        lines.push(format!("  ! not ready: {reason}"));
    }
    if let Some(reason) = &node.refused {
        lines.push(format!("  ! no client can subscribe to it: {reason}"));
    }
    for namespace in &node.namespaces {
        let total: u64 = namespace.shards.iter().map(|shard| shard.subscribers).sum();
        lines.push(format!(
            "  namespace {}: {}, published on {:?}",
            namespace.path,
            counted(total, "client"),
            namespace.redis_channel
        ));
        for shard in &namespace.shards {
            let waits = if shard.live {
                ""
            } else {
                ", not yet confirmed by Redis"
            };
            lines.push(format!(
                "    shard {}: {} ({}), {} so far{waits}",
                shard.shard,
                counted(shard.subscribers, "client"),
                shard.encoding,
                counted(shard.messages.into(), "message"),
            ));
        }
        if namespace.coalesce_ms > 0 && total > 0 {
            lines.push(format!(
                "    messages wait up to {} ms for others (--coalesce-ms)",
                namespace.coalesce_ms
            ));
        }
    }
    for alike in &node.alike {
        lines.push(format!(
            "  ? {:?} has {} and differs by {}",
            alike.redis_channel,
            counted(alike.subscribers, "client"),
            match alike.difference.as_str() {
                "key" => "the key before it",
                "case" => "capital letters",
                "edge" => "spaces or colons at its ends",
                _ => "one character",
            }
        ));
    }
    lines.push(format!(
        "  a message that is not JSON, or over {} bytes, is dropped; one whose `except` names a \
         client passes it by",
        node.max_message_bytes
    ));
    lines
}

fn subscribers(node: &Explanation) -> u64 {
    let namespaces = node.namespaces.iter();
    let shards = namespaces.flat_map(|namespace| &namespace.shards);
    shards.map(|shard| shard.subscribers).sum()
}

fn counted(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

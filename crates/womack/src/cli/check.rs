//! `womack check`: what the server would run with, and what that may cost.

use std::fmt::Write;

use womack_ledger::Memory;

use crate::{
    config::{Config, ConfigError, Limits, RedisSource},
    runtime::room_for_clients,
};

/// Says what the server would run with and how much memory that may take at most.
///
/// # Errors
/// [`ConfigError`] if the memory budget is none: more than there is, or less than the clients
/// take that may come when nothing waits for any of them. It has the byte counts.
pub(crate) fn report(mut config: Config) -> Result<String, ConfigError> {
    // What is printed is often shown to others.
    if config.publish_key.load().is_some() {
        config.publish_key = Some("...".to_owned()).into();
    }
    if let RedisSource::Url(url) = &mut config.redis.source {
        *url = without_passwords(url);
    }
    let cost = Cost::of(&config);
    let mut out = format!("{config:#?}\n\n");
    for (bytes, what) in cost.lines() {
        // Writing to a string does not fail.
        writeln!(out, "{:>14}  {what}", mebibytes(bytes)).ok();
    }
    cost.check()?;
    Ok(out)
}

/// A URL without what stands before the host and after the path.
fn without_passwords(url: &str) -> String {
    let (url, query) = url.split_once('?').unwrap_or((url, ""));
    let query = if query.is_empty() { "" } else { "?..." };
    match url.split_once("://") {
        Some((scheme, rest)) => match rest.rsplit_once('@') {
            Some((_, place)) => format!("{scheme}://...@{place}{query}"),
            None => format!("{url}{query}"),
        },
        None => format!("{url}{query}"),
    }
}

/// What a configuration may cost in memory.
struct Cost {
    limits: Limits,
    clients: usize,
    channels: usize,
    shards: usize,
    backlog: usize,
    budget: usize,
    available: Option<usize>,
}

impl Cost {
    fn of(config: &Config) -> Self {
        let limits = **config.limits.load();
        let clients = match limits.max_connections {
            0 => room_for_clients(config.shards),
            most => most,
        };
        let memory = Memory::new(config.shards);
        let channels = match limits.max_channels {
            0 => memory.channels(limits.memory_budget_bytes),
            most => most,
        };
        Self {
            limits,
            clients,
            channels,
            shards: config.shards,
            backlog: config.redis.backlog_bytes,
            budget: memory.budget(limits.memory_budget_bytes),
            available: womack_ledger::available(),
        }
    }

    fn base(&self) -> usize {
        womack_ledger::PROCESS_BYTES + self.shards * womack_ledger::SHARD_BYTES
    }

    fn idle(&self) -> usize {
        self.clients
            .saturating_mul(womack_ledger::CLIENT_BYTES + womack_ledger::MEMBERSHIP_BYTES)
    }

    /// What may wait for one shard.
    const fn queue(&self) -> usize {
        womack_ledger::QUEUE_BYTES.saturating_add(self.limits.max_message_bytes)
    }

    /// What each client may use, all at once.
    fn each(&self) -> [(usize, &'static str); 3] {
        let limits = &self.limits;
        [
            (
                limits.max_client_queue_bytes,
                "if the queues of all are full (--max-client-queue-bytes)",
            ),
            (
                limits.max_payload_bytes + womack_ledger::DECODER_BYTES,
                "if all have nearly sent a largest message (--max-payload)",
            ),
            (
                limits.max_channels_per_client * womack_ledger::MEMBERSHIP_BYTES,
                "if all are in as many channels as they may (--max-channels-per-client)",
            ),
        ]
    }

    fn lines(&self) -> Vec<(usize, String)> {
        let mut lines = vec![
            (self.base(), "the process and its shards".to_owned()),
            (
                self.idle(),
                format!("{} idle clients in one channel each", self.clients),
            ),
        ];
        let channels = self
            .channels
            .saturating_mul(womack_ledger::NODE_CHANNEL_BYTES);
        lines.push((
            channels,
            format!(
                "if clients are in {} channels (--max-channels)",
                self.channels
            ),
        ));
        lines.push((
            self.backlog,
            "if the shards do not keep up with Redis (--redis-backlog-bytes)".to_owned(),
        ));
        let queues = self.shards.saturating_mul(self.queue());
        lines.push((
            queues,
            "in the shards' queues then, with one largest message each (--max-message-bytes)"
                .to_owned(),
        ));
        let mut worst = self.base().saturating_add(self.idle());
        worst = worst.saturating_add(channels);
        worst = worst.saturating_add(self.backlog).saturating_add(queues);
        for (bytes, what) in self.each() {
            let bytes = bytes.saturating_mul(self.clients);
            worst = worst.saturating_add(bytes);
            lines.push((bytes, what.to_owned()));
        }
        let held = match worst <= self.budget {
            true => "in the worst case, which the budget has room for",
            false => "in the worst case; the budget is kept by refusing and closing clients",
        };
        lines.push((worst, held.to_owned()));
        lines.push((self.budget, "the budget (--memory-budget)".to_owned()));
        if let Some(bytes) = self.available {
            lines.push((
                bytes,
                "what the machine or the control group has".to_owned(),
            ));
        }
        lines
    }

    fn check(&self) -> Result<(), ConfigError> {
        let budget = self.budget;
        if let Some(available) = self.available.filter(|bytes| budget > *bytes) {
            return Err(ConfigError::BudgetTooLarge { budget, available });
        }
        // From three quarters on no client is taken.
        let least = self.base().saturating_add(self.idle());
        if least <= budget / 4 * 3 {
            return Ok(());
        }
        Err(ConfigError::BudgetTooSmall {
            needed: least.div_ceil(3).saturating_mul(4),
            budget,
            clients: self.clients,
        })
    }
}

fn mebibytes(bytes: usize) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Nodes, Redis};

    fn config(budget: usize, clients: usize) -> Config {
        Config {
            shards: 1,
            limits: Limits {
                memory_budget_bytes: budget,
                max_connections: clients,
                ..Limits::default()
            }
            .into(),
            ..Config::default()
        }
    }

    #[test]
    fn a_budget_is_neither_more_than_there_is_nor_less_than_idle_clients_take() {
        assert!(report(config(100 << 20, 10_000)).is_ok());
        for (budget, clients, part) in [
            (usize::MAX / 2, 10_000, "control group has"),
            (
                100 << 20,
                1_000_000,
                "for 1000000 idle clients, and has 104857600",
            ),
            (1 << 20, 1, "for 1 idle clients, and has 1048576"),
        ] {
            let message = report(config(budget, clients)).unwrap_err().to_string();
            assert!(message.starts_with("memory-budget"), "{message}");
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn the_budget_that_an_error_names_is_enough() {
        for clients in 1..50 {
            let Err(ConfigError::BudgetTooSmall { needed, .. }) = report(config(1 << 20, clients))
            else {
                panic!("a budget of 1 MiB has room for {clients} clients");
            };
            assert!(report(config(needed, clients)).is_ok(), "{needed}");
            assert!(report(config(needed - 4, clients)).is_err(), "{needed}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let report = report(Config {
            publish_key: Some("hush".to_owned()).into(),
            nodes: Nodes {
                relay_secret: Some("hush".to_owned().into()),
                ..Nodes::default()
            },
            redis: Redis {
                source: RedisSource::Url("redis://me:hush@host:1?pass=hush".to_owned()),
                ..Redis::default()
            },
            ..config(100 << 20, 10)
        });
        let report = report.unwrap();
        assert!(
            !report.contains("hush") && report.contains("@host:1"),
            "{report}"
        );
    }
}

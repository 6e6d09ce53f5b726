//! Reports on their way to Redis.

use redis::RedisResult;
use womack_engine::{Custom, Place, Registry, Report};
use womack_proto::NamespaceId;

use super::{
    commands::Commands,
    entry::{Entry, ServerEvent, event},
    ledger::Ledger,
    reporter::Running,
};

impl Running {
    /// Writes all reports of the batch, in their order. When the link is lost before Redis has
    /// answered they stay, and are written again over the next: an event may come twice then,
    /// rather than not at all.
    pub(super) async fn write(&mut self, ledger: &mut Ledger) -> RedisResult<()> {
        let registry = &self.reporter.context.registry;
        let mut commands = Commands::new(&self.keys, self.records);
        let (mut gone, mut custom) = (0, 0);
        for report in &self.batch {
            match report {
                Report::Subscribed(place) => {
                    let (entry, presence) = entry(registry, place);
                    commands.come(&entry, self.count, presence);
                }
                Report::Present(place) => {
                    let (entry, presence) = entry(registry, place);
                    commands.confirm(&entry, self.count, presence);
                }
                Report::Unsubscribed(place) => {
                    let (entry, presence) = entry(registry, place);
                    commands.go(&self.keys.node, &entry, presence);
                    gone += 1;
                }
                Report::Custom(sent) => {
                    commands.publish("custom", &custom_event(registry, sent, &self.keys.node));
                    custom += 1;
                }
                Report::Counted { .. } | Report::Asked(_) => {}
            }
        }
        let sent = ledger.send(&commands).await?;
        let metrics = &self.reporter.metrics;
        metrics.published("subscribe", sent.come);
        metrics.published("unsubscribe", gone);
        metrics.published("custom", custom);
        if let Some(error) = &sent.refusal {
            self.reports().set_lost();
            self.refused(error);
        }
        self.see_to_the_rest(ledger).await?;
        // Clients that have not been written down are counted once there is a record again. While
        // another node ends the old one, there is not.
        if sent.is_taken_for_dead && self.enlisted {
            self.enlisted = false;
            self.keep_record(ledger).await?;
        }
        Ok(())
    }

    /// What reports ask for once all before them is written.
    async fn see_to_the_rest(&mut self, ledger: &mut Ledger) -> RedisResult<()> {
        let mut questions = Vec::new();
        for report in std::mem::take(&mut self.batch) {
            match report {
                Report::Counted { count, shard, next } => self.counted(count, shard, next).await,
                Report::Asked(question) => questions.push(question),
                _ => {}
            }
        }
        self.answer(ledger, questions).await
    }
}

/// A client as records and events write it, and whether others may ask for it.
fn entry<'a>(registry: &'a Registry, place: &'a Place) -> (Entry<'a>, bool) {
    let entry = Entry {
        session: &place.session,
        namespace: &registry.get(place.namespace).path,
        channel: channel(registry, place.namespace, &place.channel),
        meta: place.meta.as_deref(),
    };
    (entry, registry.get(place.namespace).presence)
}

fn custom_event(registry: &Registry, custom: &Custom, node: &str) -> String {
    event(&ServerEvent {
        channel: None,
        session_id: &custom.session,
        meta: custom.meta.as_deref(),
        namespace: &registry.get(custom.namespace).path,
        node,
        data: Some(&custom.data),
    })
}

/// A channel as clients know it.
pub(super) fn channel<'a>(
    registry: &Registry,
    namespace: NamespaceId,
    redis_channel: &'a str,
) -> &'a str {
    let channel = registry.channel(namespace, redis_channel);
    channel.unwrap_or(redis_channel)
}

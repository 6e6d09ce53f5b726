//! Reports on their way to Redis.

use redis::RedisResult;
use womack_engine::{Custom, Meta, Place, Registry, Report};
use womack_proto::NamespaceId;

use super::{
    commands::Commands,
    entry::{Entry, ServerEvent, event},
    ledger::Ledger,
    reporter::Running,
};

/// Bytes that are written at one go beside the first report. They are copied twice on their way to
/// the socket.
const BYTES_AT_ONCE: usize = 1 << 20;

impl Running {
    /// Writes all reports of the batch, in their order. When the link is lost before Redis has
    /// answered they stay, and are written again over the next: an event may come twice then,
    /// rather than not at all.
    pub(super) async fn write(&mut self, ledger: &mut Ledger) -> RedisResult<()> {
        loop {
            self.write_some(ledger).await?;
            if self.batch.is_empty() {
                return Ok(());
            }
        }
    }

    /// Writes as many reports as are written at one go.
    async fn write_some(&mut self, ledger: &mut Ledger) -> RedisResult<()> {
        let count = at_once(&self.batch);
        let registry = &self.reporter.context.registry;
        let mut commands = Commands::new(&self.keys, self.records);
        let (mut gone, mut custom) = (0, 0);
        for report in &self.batch[..count] {
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
        let written = self.batch.drain(..count).collect();
        self.see_to_the_rest(ledger, written).await?;
        // Clients that have not been written down are counted once there is a record again. While
        // another node ends the old one, there is not.
        if sent.is_taken_for_dead && self.enlisted {
            self.enlisted = false;
            self.keep_record(ledger).await?;
        }
        Ok(())
    }

    /// What reports ask for once all before them is written.
    async fn see_to_the_rest(
        &mut self,
        ledger: &mut Ledger,
        written: Vec<Report>,
    ) -> RedisResult<()> {
        let mut questions = Vec::new();
        for report in written {
            match report {
                Report::Counted { count, shard, next } => self.counted(count, shard, next).await,
                Report::Asked(question) => questions.push(question),
                _ => {}
            }
        }
        self.answer(ledger, questions).await
    }
}

/// How many of the first reports are written at one go.
fn at_once(batch: &[Report]) -> usize {
    // The first is written whatever its length.
    let sizes = batch.iter().skip(1).scan(0, |sum, report| {
        *sum += bytes(report);
        Some(*sum)
    });
    let more = sizes.take_while(|sum| *sum <= BYTES_AT_ONCE).count();
    batch.len().min(1 + more)
}

/// About as many bytes as a report has when it is written.
fn bytes(report: &Report) -> usize {
    let of_meta = |meta: &Option<Meta>| meta.as_ref().map_or(0, |meta| meta.get().len());
    match report {
        Report::Subscribed(place) | Report::Unsubscribed(place) | Report::Present(place) => {
            place.session.len() + place.channel.len() + of_meta(&place.meta)
        }
        Report::Custom(custom) => custom.data.get().len() + of_meta(&custom.meta),
        Report::Counted { .. } | Report::Asked(_) => 0,
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

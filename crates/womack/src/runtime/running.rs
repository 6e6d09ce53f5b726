//! A server that runs: waits for a signal, reloads, drains and joins.

use std::{io, time::Instant};

use tokio::{
    select,
    sync::oneshot,
    time::{Timeout, sleep, timeout_at},
};
use tracing::{error, info, warn};
use womack_cluster::{RelayTask, ReporterTask};
use womack_engine::ToShard;

use super::{
    drain::Deadlines,
    handles::ServerHandles,
    signals::{Signals, stop_at_once},
    supervisor,
};
use crate::{config::Config, error::Error};

/// Reads the settings again, and does with the log what they say.
pub(crate) type Reload = Box<dyn Fn() -> Result<Config, Error>>;

/// A server whose threads run.
pub(crate) struct Running {
    pub(super) handles: ServerHandles,
    /// One for each shard's thread: what it ended with.
    pub(super) ended: Vec<oneshot::Receiver<io::Result<()>>>,
    pub(super) reporter: Option<ReporterTask>,
    pub(super) relay: Option<RelayTask>,
    pub(super) reload: Option<Reload>,
}

impl Running {
    /// Reads the settings again and takes what can be taken.
    fn reload(&self) {
        let Some(reload) = &self.reload else {
            return warn!("there are no settings to be read again");
        };
        supervisor::reloading();
        match reload() {
            Ok(new) => match self.handles.server.config.take_over(&new)[..] {
                [] => info!("the settings have been read again"),
                ref kept => {
                    let kept = kept.join(", ");
                    warn!(
                        kept,
                        "the settings have been read again; some need a restart"
                    );
                }
            },
            Err(error) => error!(%error, "the settings are as they were"),
        }
        supervisor::ready();
    }

    /// Waits for a signal, or for a thread that ends although it should not; then drains.
    pub(crate) async fn until_stopped(mut self, signals: &mut Signals) -> Result<(), Error> {
        let failed = loop {
            select! {
                signal = signals.next() => match signal {
                    Some(signal) => {
                        info!(signal, "stopping");
                        break None;
                    }
                    None => self.reload(),
                },
                (ended, shard, _) = futures_util::future::select_all(&mut self.ended) => {
                    break Some((ended, shard));
                }
            }
        };
        supervisor::stopping();
        self.handles.status.leave();
        // Balancers have to find out that the server stops.
        let drain_delay = self.handles.server.config.nodes.drain_delay;
        if failed.is_none() && !drain_delay.is_zero() {
            info!(
                seconds = drain_delay.as_secs_f64(),
                "serving until balancers know"
            );
            select! {
                () = sleep(drain_delay) => {}
                signal = signals.end() => stop_at_once(signal),
            }
        }
        self.handles.status.drain();
        if let Some((ended, shard)) = failed {
            for shard in &self.handles.shards {
                // Nobody waits for those that have no time: the process is about to end.
                shard.send(ToShard::Drain).ok();
            }
            let reason = match ended {
                Ok(Err(error)) => format!("womack-shard-{shard} ({error})"),
                _ => format!("womack-shard-{shard}"),
            };
            return Err(Error::Thread(reason));
        }
        let deadlines = Deadlines::new(Instant::now(), self.handles.server.config.drain);
        select! {
            () = self.drain(deadlines) => Ok(()),
            signal = signals.end() => stop_at_once(signal),
        }
    }

    /// Takes the steps of the drain, none of them later than `deadlines` say.
    async fn drain(self, deadlines: Deadlines) {
        let steps = &self.handles.steps;
        let sessions_closed = async {
            self.tell_shards().await;
            steps.sessions_closed.opened().await;
        };
        if by(deadlines.sessions_closed, sessions_closed)
            .await
            .is_err()
        {
            warn!(
                "a shard is too busy to close its clients in time: the others close their \
                 connections without it, and its clients may be cut off"
            );
            steps.sessions_closed.open();
        }
        if by(deadlines.bytes_written, steps.bytes_written.opened())
            .await
            .is_err()
        {
            warn!("a shard is too busy to write the last bytes in time: its clients are cut off");
        }
        let relay = async {
            if let Some(relay) = self.relay {
                relay.finish(deadlines.messages_sent).await;
            }
        };
        let reporter = async {
            if let Some(reporter) = self.reporter {
                reporter.finish(deadlines.messages_sent).await;
            }
        };
        tokio::join!(relay, reporter);
        // Until here operators were answered.
        steps.end.cancel();
        let ended = futures_util::future::join_all(self.ended);
        if by(deadlines.end, ended).await.is_err() {
            warn!("a shard's thread does not end, and is left behind");
        }
    }

    async fn tell_shards(&self) {
        for (number, shard) in self.handles.shards.iter().enumerate() {
            if shard.send(ToShard::Drain).is_err() {
                warn!(shard = number, "a shard is too busy to be told to stop");
                shard.push_waiting(ToShard::Drain).await;
                shard.wake();
            }
        }
    }
}

/// Waits for `future`, but not beyond `deadline`.
fn by<F: Future>(deadline: Instant, future: F) -> Timeout<F> {
    timeout_at(deadline.into(), future)
}

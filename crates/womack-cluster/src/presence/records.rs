//! Records that are gone through for clients that are no more: those of nodes that died, and this
//! node's own after a count.

use redis::RedisResult;
use tracing::{info, warn};

use super::{commands::Commands, entry::Entry, ledger::Ledger, reporter::Running, sweep::Sweep};

impl Running {
    /// Looks for a node that has died. Exactly one of the others goes through its record.
    pub(super) async fn look_for_the_dead(&mut self, ledger: &mut Ledger) -> RedisResult<()> {
        for node in ledger.dead_nodes().await? {
            if ledger.claim(&node).await? {
                warn!(node, "a node has died, its clients are gone");
                self.sweeps.push_back(Sweep::all(node));
                // The next one when this is done, so that no lock expires meanwhile.
                break;
            }
        }
        Ok(())
    }

    /// Goes on with the first of the records that are gone through.
    pub(super) async fn sweep(&mut self, ledger: &mut Ledger) -> RedisResult<()> {
        let Some(mut sweep) = self.sweeps.pop_front() else {
            return Ok(());
        };
        let swept = match self.sweep_page(ledger, &mut sweep).await {
            Ok(false) => {
                self.sweeps.push_front(sweep);
                return Ok(());
            }
            Ok(true) if sweep.node == self.keys.node => return Ok(()),
            Ok(true) => ledger.end(&sweep.node).await,
            Err(error) => Err(error),
        };
        if swept.is_ok() {
            let Sweep { node, gone, .. } = sweep;
            info!(node, clients = gone, "a dead node is forgotten");
        }
        self.unless_refused(swept)
    }

    /// Publishes what the clients of this node, should any be left, did not say themselves, and
    /// ends its record.
    pub(super) async fn take_leave(&mut self, ledger: &mut Ledger) -> RedisResult<()> {
        if !self.has_keys() {
            return Ok(());
        }
        let mut sweep = Sweep::all(self.keys.node.clone());
        let left = loop {
            match self.sweep_page(ledger, &mut sweep).await {
                Ok(true) => break ledger.end(&sweep.node).await,
                Ok(false) => {}
                Err(error) => break Err(error),
            }
        };
        self.unless_refused(left)
    }

    /// Whether that was the last page.
    async fn sweep_page(&mut self, ledger: &mut Ledger, sweep: &mut Sweep) -> RedisResult<bool> {
        let page = ledger.page(&sweep.node, sweep.cursor).await?;
        let mut commands = Commands::new(&self.keys, self.records);
        let mut gone = 0;
        for (field, value) in &page.entries {
            let Some((entry, count)) = Entry::parse(field, value) else {
                commands.forget(&sweep.node, field);
                continue;
            };
            if sweep.keep.is_some_and(|keep| count >= keep) {
                continue;
            }
            commands.go(&sweep.node, &entry, true);
            gone += 1;
        }
        if sweep.node != self.keys.node {
            commands.hold(&sweep.node);
        }
        let sent = ledger.send(&commands).await?;
        sweep.cursor = page.cursor;
        sweep.gone += gone;
        let metrics = &self.reporter.metrics;
        metrics.ghosts.inc_by(gone);
        metrics.published("unsubscribe", gone);
        if let Some(error) = &sent.refusal {
            self.refused(error);
        }
        Ok(sweep.cursor == 0)
    }
}

//! What operators and load balancers read.

use hyper::{HeaderMap, Response, StatusCode};

use super::{
    answers::{plain, respond},
    assets::Audience,
    body::Body,
    context::Http,
};

/// The answer to those who are not told why.
const NOT_READY: &str = "not ready\n";
const METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

impl Http {
    /// Answers one of the paths for operators. Only an operator is told the names of channels, and
    /// reasons, which name the Redis and what it says.
    pub(super) async fn admin(
        &self,
        path: &str,
        query: &str,
        headers: &HeaderMap,
        is_operator: bool,
    ) -> Option<Response<Body>> {
        Some(match path {
            "/healthz" => plain(StatusCode::OK, "ok\n"),
            "/readyz" => match self.status.ready() {
                Ok(()) => plain(StatusCode::OK, "ready\n"),
                Err(_) if !is_operator => plain(StatusCode::SERVICE_UNAVAILABLE, NOT_READY),
                Err(reason) => respond(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "text/plain; charset=UTF-8",
                    format!("{reason}\n"),
                ),
            },
            "/metrics" => {
                let metrics = &self.server.metrics;
                metrics.queue_depth("router", self.dirty.len());
                metrics.client_sockets(self.server.descriptors.of_clients().open());
                if let Some(reports) = &self.server.engine.reports {
                    metrics.queue_depth("reports", reports.len());
                }
                for (shard, queue) in metrics.engine.shards.iter().zip(&self.shards) {
                    let depth = i64::try_from(queue.len()).unwrap_or(i64::MAX);
                    shard.queue_depth.set(depth);
                }
                let used = i64::try_from(self.server.engine.memory.used());
                metrics
                    .engine
                    .deliveries
                    .memory_bytes
                    .set(used.unwrap_or(i64::MAX));
                respond(StatusCode::OK, METRICS, metrics.text())
            }
            "/stats" => self.stats(is_operator).await,
            "/explain" => self.explain(query, is_operator).await,
            _ => return self.assets.get(Audience::Operators, path, headers),
        })
    }
}

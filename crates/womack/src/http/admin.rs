//! What operators and load balancers read.

use hyper::{Response, StatusCode};

use super::{Body, Http, plain, respond};

const METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

impl Http {
    pub(super) fn admin(&self, path: &str) -> Option<Response<Body>> {
        Some(match path {
            "/healthz" => plain(StatusCode::OK, "ok\n"),
            "/readyz" => match self.status.ready() {
                Ok(()) => plain(StatusCode::OK, "ready\n"),
                Err(reason) => respond(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "text/plain; charset=UTF-8",
                    format!("{reason}\n"),
                ),
            },
            "/metrics" => {
                let metrics = &self.common.metrics;
                metrics.queue_depth("router", self.router.len());
                if let Some(reports) = &self.common.reports {
                    metrics.queue_depth("reports", reports.len());
                }
                for (number, shard) in self.shards.iter().enumerate() {
                    metrics.queue_depth(&format!("shard-{number}"), shard.len());
                }
                respond(StatusCode::OK, METRICS, metrics.text())
            }
            _ => return None,
        })
    }
}

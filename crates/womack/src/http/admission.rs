//! Who may open a session.

use std::{net::IpAddr, sync::Once, time::Instant};

use hyper::Request;
use tracing::warn;
use womack_ledger::{AddressShare, AdmissionError, Admitted, Limit};
use womack_proto::SessionError;

use super::{context::Http, proxies::ClientAddress, surface::Surface};

impl Http {
    /// The part of the sockets that an address may have.
    pub(super) fn socket_share(&self, surface: Surface) -> AddressShare {
        match surface {
            Surface::Admin => AddressShare::Unlimited,
            Surface::All | Surface::Clients => {
                let limits = self.server.config.limits.load();
                limits.max_connections_per_address.of_sockets()
            }
        }
    }

    /// Whether whoever sent `request` may open a session.
    ///
    /// # Errors
    /// [`SessionError`] to who may not now. The limit that is reached is counted.
    pub(super) fn admit<B>(&self, request: &Request<B>) -> Result<Admitted, SessionError> {
        if self.status.is_draining() {
            return Err(SessionError::Draining);
        }
        let client = client_of(request);
        let (server, now) = (&self.server, Instant::now());
        let limits = server.config.limits.load();
        if server.engine.memory.is_tight(limits.memory_budget_bytes) {
            server.metrics.limit(Limit::MemoryBudget);
            return Err(SessionError::NoMemory);
        }
        let admitted = server
            .engine
            .admission
            .admit(client, limits.admission(), now);
        admitted.map_err(|error| {
            server.metrics.limit(error.limit());
            match error {
                AdmissionError::Connections => SessionError::TooManySessions,
                AdmissionError::Address => {
                    warn_of_address(client);
                    SessionError::TooManySessions
                }
                AdmissionError::Pace => SessionError::TooManyPerSecond,
            }
        })
    }
}

/// The client of a request to an endpoint.
pub(super) fn client_of<B>(request: &Request<B>) -> IpAddr {
    let client = request.extensions().get();
    let &ClientAddress(client) = client.expect("every request to an endpoint has one");
    client
}

/// Warns operators, once, of an address that is refused further sessions, sockets or requests: it
/// may be a balancer's.
pub(super) fn warn_of_address(client: IpAddr) {
    static SAID: Once = Once::new();
    SAID.call_once(|| {
        warn!(
            %client,
            "an address has reached its share of sessions, sockets or requests for other nodes \
             (max-connections-per-address), and further clients from there are refused; if it is a balancer's, set trusted-proxy to \
             the balancer's network, so that its clients are told apart"
        );
    });
}

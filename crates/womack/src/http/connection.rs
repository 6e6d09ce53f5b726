//! One HTTP connection of a client, from its first byte to its last.

use std::{
    cell::Cell,
    convert::Infallible,
    io::ErrorKind,
    net::IpAddr,
    pin::pin,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use http_body_util::Either;
use hyper::{
    Request, Response, StatusCode,
    body::Incoming,
    header::{CONNECTION, HeaderName, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, select};
use tokio_util::sync::CancellationToken;
use womack_ledger::{Charge, HTTP_BYTES, Limit, Slot};
use womack_proto::SessionError;

use super::{
    body::Body,
    client_stream::ClientStream,
    context::Http,
    delivery::ClientConnection,
    idle_connections::IdleEntry,
    keep_alive::{self, SilenceTimer},
    locality::is_forwarded,
    no_room::refuse,
    proxies::{self, ClientAddress},
    refusals::closing as closing_response,
    surface::Surface,
    traffic::{Counted, Traffic},
    watch::{Watch, WatchEnd},
    write_timer::WriteTimer,
};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
/// What a connection takes before it is known where its client is: its task alone.
const ACCEPTED_BYTES: usize = 4 << 10;
/// How long a connection that makes room waits for its client to have read the last answer.
const EVICTION_TIME: Duration = Duration::from_millis(200);

/// A connection that a listener has accepted.
pub(super) struct Accepted {
    pub(super) stream: TcpStream,
    /// The other end of the stream.
    pub(super) from: IpAddr,
    /// The client's address, under which its descriptor counts; `None` if a proxy has yet to say it.
    pub(super) address: Option<IpAddr>,
    pub(super) surface: Surface,
    /// Counts the descriptor, closed before it counts no longer.
    pub(super) slot: Option<Slot>,
}

/// Serves one connection until it ends, or until `closing` has it end after the request that it is
/// at.
pub(super) async fn serve_connection(
    http: Rc<Http>,
    mut accepted: Accepted,
    closing: CancellationToken,
) {
    let ledger = http.server.engine.memory.ledger(http.id);
    let mut charge = ledger.hold(ACCEPTED_BYTES);
    let Some(peer) = peer(&http, &mut accepted).await else {
        return;
    };
    charge.set(HTTP_BYTES);
    let Accepted {
        stream,
        from,
        surface,
        slot,
        ..
    } = accepted;
    let (client, stream) = ClientConnection::new(stream, slot);
    let served = ServedConnection {
        http: http.clone(),
        client,
        peer,
        from,
        surface,
    };
    let ended = served.serve(stream, &mut charge, &closing).await;
    let client = served.client;
    client.forget_stall(&http.stalled_polls);
    let mut patience = http.server.config.handshake_timeout;
    match ended {
        // A stream may still bring its last events. An answer that nobody reads is given up.
        Ended::Cut if client.is_stalled() => return client.reset(),
        Ended::Cut => return,
        Ended::InOrder => {}
        Ended::Error(error) => count_error(&http, &error),
        Ended::Watched(WatchEnd::Silent(limit)) => {
            let name = limit.as_str();
            tracing::debug!(limit = name, "an HTTP connection was silent for too long");
            http.server.metrics.limit(limit);
        }
        Ended::Watched(WatchEnd::Unread) => {
            tracing::debug!("a client did not read an answer in time");
            http.server.metrics.limit(Limit::HandshakeSeconds);
            return client.reset();
        }
        // Its client has had its answers, and what is not known of them soon will be.
        Ended::Watched(WatchEnd::Evicted) => patience = EVICTION_TIME,
    }
    client.settle(patience, &closing).await;
}

/// A connection whose other end is known.
struct ServedConnection {
    http: Rc<Http>,
    client: Rc<ClientConnection>,
    /// That of a client, or of the last proxy.
    peer: IpAddr,
    from: IpAddr,
    surface: Surface,
}

/// How a connection has ended for hyper.
enum Ended {
    InOrder,
    Error(hyper::Error),
    /// Nothing happened for too long, or it made room.
    Watched(WatchEnd),
    /// It was broken off.
    Cut,
}

impl ServedConnection {
    /// Serves `stream` as long as it lasts. It is dropped before it is known how it ended.
    /// `charge` is for the memory that it takes.
    async fn serve(
        &self,
        stream: ClientStream,
        charge: &mut Charge,
        closing: &CancellationToken,
    ) -> Ended {
        let (http, client) = (&self.http, &self.client);
        let config = &http.server.config;
        let is_announced =
            self.surface != Surface::Admin && proxies::is_announced(self.from, config);
        let traffic = Arc::new(Traffic::default());
        let has_asked = Cell::new(false);
        let service = service_fn(|request| {
            has_asked.set(true);
            client.heard();
            let is_proxied = is_announced || is_forwarded(request.headers());
            client.is_proxied.set(is_proxied);
            self.answer(request, traffic.clone())
        });
        let connection = http1::Builder::new()
            // The time that hyper has for a head runs between two requests too.
            .header_read_timeout(None)
            .max_buf_size(config.limits.load().max_head_bytes)
            .serve_connection(TokioIo::new(Counted::new(stream, traffic.clone())), service)
            .with_upgrades();
        let mut connection = pin!(connection);
        let watch = self.watch(traffic.clone(), charge);
        let ended = select! {
            // First, so that the others see what it has done.
            biased;
            ended = connection.as_mut() => ended,
            end = watch.end() => return Ended::Watched(end),
            () = closing.cancelled() => {
                let ending = async {
                    // A client that has only just connected is answered, which ends the connection
                    // too: a request may be on its way, and would be met by a reset.
                    if !has_asked.get() {
                        return connection.await;
                    }
                    keep_alive::finish(connection, |connection| connection.graceful_shutdown()).await
                };
                select! {
                    ended = ending => ended,
                    () = client.cut.notified() => return Ended::Cut,
                }
            }
            () = client.cut.notified() => return Ended::Cut,
        };
        ended.map_or_else(Ended::Error, |()| Ended::InOrder)
    }

    fn watch<'a>(&'a self, traffic: Arc<Traffic>, charge: &'a mut Charge) -> Watch<'a> {
        let (http, config) = (&self.http, &self.http.server.config);
        let idle = http.server.descriptors.pool(self.surface).idle.clone();
        let now = Instant::now();
        Watch {
            traffic,
            silence: SilenceTimer::new(config.handshake_timeout, config.keep_alive, now),
            writes: WriteTimer::new(config.handshake_timeout),
            idle: IdleEntry::new(idle, http.id, self.peer),
            largest: 0,
            charge,
            client: &self.client,
            stalled: &http.stalled_polls,
        }
    }

    /// Answers a request, once its client has read enough of what it asked for before.
    fn answer(
        &self,
        request: Request<Incoming>,
        traffic: Arc<Traffic>,
    ) -> impl Future<Output = Result<Response<Body>, Infallible>> + use<> {
        let refused = self.assign(&request);
        let (http, client) = (self.http.clone(), self.client.clone());
        let (peer, surface) = (self.peer, self.surface);
        async move {
            traffic.unblocked().await;
            let mut response = match refused {
                None => http.clone().respond(request, peer, surface, client).await,
                Some(error) => closing_response(http.refuse(error)),
            };
            http.announce_persistence(&mut response);
            if let Either::Left(bytes) = response.body_mut() {
                bytes.charge(http.server.engine.memory.ledger(http.id));
            }
            Ok(response)
        }
    }

    /// Counts the connection for the client of `request`, if a trusted proxy speaks for it. Returns
    /// why the request is refused, if it is.
    fn assign(&self, request: &Request<Incoming>) -> Option<SessionError> {
        let config = &self.http.server.config;
        if self.surface == Surface::Admin || !proxies::is_trusted_peer(self.peer, config) {
            return None;
        }
        let trusted = &config.nodes.trusted_proxies;
        let ClientAddress(address) = ClientAddress::of(self.peer, request.headers(), trusted);
        if proxies::is_trusted_peer(address, config) {
            // The proxy speaks for itself, such as one that looks whether the server is there.
            return None;
        }
        let share = self.http.socket_share(self.surface);
        let error = self.client.assign(address, share).err()?;
        self.http.count_refused_socket(error, Some(address));
        Some(SessionError::TooManySessions)
    }
}

/// The address that the connection comes from: that of a client, or of the last proxy. `None` if a
/// proxy that is to say so does not.
async fn peer(http: &Http, accepted: &mut Accepted) -> Option<IpAddr> {
    let (from, surface) = (accepted.from, accepted.surface);
    if surface == Surface::Admin {
        return Some(from);
    }
    let peer = match proxies::peer(&mut accepted.stream, from, &http.server.config).await {
        Ok(peer) => peer,
        Err(error) => {
            http.server.metrics.http.refused("proxy_protocol");
            if error.kind() == ErrorKind::TimedOut {
                http.server.metrics.limit(Limit::HandshakeSeconds);
            }
            tracing::debug!(%from, %error, "a proxy does not begin as it should");
            return None;
        }
    };
    let is_named = !proxies::is_trusted_peer(peer, &http.server.config);
    if let Some(slot) = accepted.slot.as_mut().filter(|_| is_named)
        && let Err(error) = slot.assign(peer, http.socket_share(surface))
    {
        http.count_refused_socket(error, Some(peer));
        refuse(&mut accepted.stream).await;
        return None;
    }
    Some(peer)
}

/// Counts the error that ended a connection.
fn count_error(http: &Http, error: &hyper::Error) {
    if error.is_parse_too_large() {
        http.server.metrics.limit(Limit::MaxHeadBytes);
    } else if error.is_parse() {
        http.server.metrics.http.refused("bad_request");
    }
    tracing::debug!(%error, "an HTTP connection ended");
}

impl Http {
    /// Tells with an answer whether its connection stays, and for how long when nothing is asked.
    fn announce_persistence(&self, response: &mut Response<Body>) {
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return;
        }
        let headers = response.headers_mut();
        if self.status.is_draining() {
            // The next request goes to a node that stays.
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if !headers.contains_key(CONNECTION) {
            headers.insert(KEEP_ALIVE, self.keep_alive.clone());
        }
    }
}

//! One HTTP connection of a client, from its first byte to its last.

use std::{
    cell::Cell, convert::Infallible, io::ErrorKind, net::IpAddr, pin::pin, rc::Rc, sync::Arc,
    time::Instant,
};

use hyper::{
    Response, StatusCode,
    header::{CONNECTION, HeaderName, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, select};
use tokio_util::sync::CancellationToken;
use womack_ledger::{HTTP_BYTES, Limit};

use super::{
    body::Body,
    context::Http,
    delivery::ClientConnection,
    keep_alive::{self, Counted, SilenceTimer, Traffic},
    locality::is_forwarded,
    proxies,
    surface::Surface,
};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

/// Serves one connection until it ends, or until `closing` has it end after the request that it is
/// at.
pub(super) async fn serve_connection(
    http: Rc<Http>,
    mut stream: TcpStream,
    from: IpAddr,
    surface: Surface,
    closing: CancellationToken,
) {
    let config = &http.server.config;
    let Some(peer) = peer(&http, &mut stream, from, surface).await else {
        return;
    };
    let is_announced = surface != Surface::Admin && proxies::is_announced(from, config);
    let (client, stream) = ClientConnection::new(stream);
    let _charge = http.server.engine.memory.ledger(http.id).hold(HTTP_BYTES);
    let has_asked = Cell::new(false);
    let service = service_fn(|request| {
        has_asked.set(true);
        client.heard();
        let is_proxied = is_announced || is_forwarded(request.headers());
        client.is_proxied.set(is_proxied);
        let (http, client) = (http.clone(), client.clone());
        async move {
            let mut response = http.clone().respond(request, peer, surface, client).await;
            http.announce_persistence(&mut response);
            Ok::<_, Infallible>(response)
        }
    });
    let traffic = Arc::new(Traffic::default());
    let timer = SilenceTimer::new(config.handshake_timeout, config.keep_alive, Instant::now());
    let connection = http1::Builder::new()
        // The time that hyper has for a head runs between two requests too.
        .header_read_timeout(None)
        .max_buf_size(config.limits.load().max_head_bytes)
        .serve_connection(TokioIo::new(Counted::new(stream, traffic.clone())), service)
        .with_upgrades();
    let ended = {
        // Dropped before it is known how the stream ended.
        let mut connection = pin!(connection);
        select! {
            // First, so that the others see what it has done.
            biased;
            ended = connection.as_mut() => ended,
            limit = traffic.silence(timer, || client.is_answering()) => {
                let name = limit.as_str();
                tracing::debug!(limit = name, "an HTTP connection was silent for too long");
                http.server.metrics.limit(limit);
                Ok(())
            }
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
                    () = client.cut.notified() => return,
                }
            }
            () = client.cut.notified() => return,
        }
    };
    if let Err(error) = ended {
        count_error(&http, &error);
    }
    client.settle(config.handshake_timeout, &closing).await;
}

/// The address that the connection comes from: that of a client, or of the last proxy. `None` if a
/// proxy that is to say so does not.
async fn peer(
    http: &Http,
    stream: &mut TcpStream,
    from: IpAddr,
    surface: Surface,
) -> Option<IpAddr> {
    if surface == Surface::Admin {
        return Some(from);
    }
    match proxies::peer(stream, from, &http.server.config).await {
        Ok(peer) => Some(peer),
        Err(error) => {
            http.server.metrics.http.refused("proxy_protocol");
            if error.kind() == ErrorKind::TimedOut {
                http.server.metrics.limit(Limit::HandshakeSeconds);
            }
            tracing::debug!(%from, %error, "a proxy does not begin as it should");
            None
        }
    }
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

//! The accept loop, and how it ends.

use std::{
    io::{self, ErrorKind},
    net::{self, IpAddr},
    rc::Rc,
    time::{Duration, Instant},
};

use tokio::{
    net::{TcpListener, TcpStream},
    select,
    time::sleep,
};
use womack_engine::Throttle;
use womack_ledger::Limit;

use super::{
    connection::{Accepted, serve_connection},
    connections::{BACKLOG, Connections},
    context::Http,
    overload::serve_when_there_is_room,
    proxies,
    surface::Surface,
};

/// How long the accept loop rests when the system has no descriptors left.
const ACCEPT_REST: Duration = Duration::from_millis(50);
/// How often the log says that there are none.
const ACCEPT_LINES: Duration = Duration::from_secs(10);

/// A listener, and what is served there.
pub(crate) struct Listener {
    listener: TcpListener,
    surface: Surface,
    /// Whether another process holds it too.
    is_inherited: bool,
}

impl Listener {
    /// Takes a listener that does not block.
    ///
    /// # Errors
    /// The runtime's.
    pub(crate) fn open(
        listener: net::TcpListener,
        surface: Surface,
        is_inherited: bool,
    ) -> io::Result<Self> {
        let listener = TcpListener::from_std(listener)?;
        Ok(Self {
            listener,
            surface,
            is_inherited,
        })
    }
}

/// Accepts and serves connections until they are to end, then closes the listener.
///
/// The system completes a connection before anybody accepts it, and its client may have sent a
/// request by then. If the listener is closed, the system resets such a connection, also where
/// others share the port (unless `net.ipv4.tcp_migrate_req` is set), and `shutdown(2)` does the
/// same. So all that is there is accepted before. What remains are connections that the system
/// completes between the last look and the end of the listener, some microseconds later, or whose
/// client's part of the handshake is on its way then. A listener that another process holds too is
/// left as it is: what waits there is served by the next one.
pub(crate) async fn serve(http: Rc<Http>, listener: Listener, connections: Connections) {
    let Listener {
        listener,
        surface,
        is_inherited,
    } = listener;
    let mut lines = Throttle::new(ACCEPT_LINES);
    loop {
        let accepted = select! {
            biased;
            () = connections.closing.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, from)) => spawn(&http, stream, from.ip(), surface, &connections),
            // The peer has gone before its turn came.
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
            Err(error) => {
                http.server.metrics.limit(Limit::OpenFiles);
                if let Some(held_back) = lines.pass(Instant::now()) {
                    tracing::warn!(%error, held_back, "a connection could not be accepted");
                }
                sleep(ACCEPT_REST).await;
            }
        }
    }
    if !is_inherited {
        accept_queued(&http, listener, surface, &connections);
    }
}

/// Accepts what waits at a listener, and closes it.
fn accept_queued(http: &Rc<Http>, listener: TcpListener, surface: Surface, to: &Connections) {
    // The runtime may not know yet of what has just come; the system does.
    let Ok(listener) = listener.into_std() else {
        return;
    };
    // More than fit cannot have waited; whoever goes on connecting does not keep it open.
    for _ in 0..=BACKLOG {
        match listener.accept() {
            Ok((stream, from)) => {
                let stream = stream.set_nonblocking(true).map(|()| stream);
                // A stream that is broken already is dropped.
                if let Ok(stream) = stream.and_then(TcpStream::from_std) {
                    spawn(http, stream, from.ip(), surface, to);
                }
            }
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            Err(error) => {
                http.server.metrics.limit(Limit::OpenFiles);
                return tracing::warn!(
                    %error,
                    "connections that wait while the server stops are reset, and their clients \
                     have to come again; more open files (ulimit -n) would let them be answered"
                );
            }
        }
    }
}

fn spawn(http: &Rc<Http>, stream: TcpStream, from: IpAddr, surface: Surface, to: &Connections) {
    // Without it a lone packet waits for the acknowledgement of the one before; a stream that
    // refuses the option is broken and says so when it is read.
    stream.set_nodelay(true).ok();
    let config = &http.server.config;
    // A proxy has as many sockets as all its clients: whose they are is known from what it says.
    let is_client = surface == Surface::Admin || !proxies::is_trusted_peer(from, config);
    let address = is_client.then(|| from.to_canonical());
    let server = http.server.clone();
    let descriptors = &server.descriptors;
    let taken = descriptors
        .pool(surface)
        .take(address, http.socket_share(surface));
    let mut accepted = Accepted {
        stream,
        from,
        address,
        surface,
        slot: None,
    };
    let (http, closing) = (http.clone(), to.closing.clone());
    match taken {
        Ok(slot) => {
            accepted.slot = Some(slot);
            to.open
                .spawn_local(serve_connection(http, accepted, closing));
        }
        Err(error) => match descriptors.turn_away(error) {
            Some(permit) => {
                let serving = serve_when_there_is_room(http, accepted, error, permit, closing);
                to.open.spawn_local(serving);
            }
            None => http.count_refused_socket(error, address),
        },
    }
}

//! Listeners that share a port among the shards, and with nobody else.

use std::{
    net::{SocketAddr, TcpListener, ToSocketAddrs},
    time::Duration,
};

use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};
use tracing::warn;

use crate::{error::Error, http::BACKLOG};

/// Bytes that the system takes for a client beyond what it has sent. Linux would take up to 4 MB
/// (`net.ipv4.tcp_wmem`) for one that reads nothing. It is several times what a round brings one
/// client, so that one system call still takes all of it, and what takes longer waits here, where it
/// is counted. `docs/security.md` has figures.
const UNSENT_BYTES: u32 = 128 << 10;

/// Bounds what the system holds for clients that connect to `listener`: bytes that it has not sent,
/// and how long it waits for an acknowledgement. Connections inherit both.
pub(crate) fn bound_clients(listener: &TcpListener, silence: Duration) {
    let socket = SockRef::from(listener);
    let bounded = socket
        .set_tcp_notsent_lowat(UNSENT_BYTES)
        .and_then(|()| socket.set_tcp_user_timeout(Some(silence)));
    if let Err(error) = bounded {
        warn!(
            %error,
            "the system does not bound what it holds for clients; those that read nothing cost its \
             memory, up to net.ipv4.tcp_mem"
        );
    }
}

/// Opens `count` listeners on one address; the system spreads new connections over them.
///
/// # Errors
/// [`Error::Listen`] when the address is taken, by a process with shared listeners too, or is
/// none of this machine's.
pub(crate) fn listen(host: &str, port: u16, count: usize) -> Result<Vec<TcpListener>, Error> {
    let failed = |source| Error::Listen {
        address: format!("{host}:{port}"),
        source,
    };
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    let address = (bare, port)
        .to_socket_addrs()
        .map_err(failed)?
        .next()
        .ok_or_else(|| failed(std::io::ErrorKind::AddrNotAvailable.into()))?;
    let first = bind(address, true).map_err(failed)?;
    let address = first.local_addr().map_err(failed)?;
    let mut listeners = vec![first];
    for _ in 1..count {
        listeners.push(bind(address, false).map_err(failed)?);
    }
    Ok(listeners)
}

/// The first listener takes the port for itself before it is opened for sharing; so two servers
/// cannot share one by accident.
fn bind(address: SocketAddr, is_first: bool) -> std::io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    if !is_first {
        socket.set_reuse_port(true)?;
    }
    socket.bind(&SockAddr::from(address))?;
    if is_first {
        socket.set_reuse_port(true)?;
    }
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_inherit_what_bounds_them() {
        let listeners = listen("127.0.0.1", 0, 1).unwrap();
        bound_clients(&listeners[0], Duration::from_secs(45));
        let _client = std::net::TcpStream::connect(listeners[0].local_addr().unwrap()).unwrap();
        listeners[0].set_nonblocking(false).unwrap();
        let (accepted, _) = listeners[0].accept().unwrap();
        let accepted = SockRef::from(&accepted);
        assert_eq!(accepted.tcp_notsent_lowat().unwrap(), UNSENT_BYTES);
        let silence = accepted.tcp_user_timeout().unwrap();
        assert_eq!(silence, Some(Duration::from_secs(45)));
    }

    #[test]
    fn a_port_is_shared_among_the_listeners_of_one_call_only() {
        let listeners = listen("127.0.0.1", 0, 3).unwrap();
        let address = listeners[0].local_addr().unwrap();
        assert!(
            listeners
                .iter()
                .all(|listener| listener.local_addr().unwrap() == address)
        );
        let second = listen("127.0.0.1", address.port(), 2);
        assert!(matches!(second, Err(Error::Listen { .. })), "{second:?}");
        drop(listeners);
        assert!(listen("127.0.0.1", address.port(), 1).is_ok());
    }
}

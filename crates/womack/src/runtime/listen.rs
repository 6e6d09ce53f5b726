//! Listeners that share a port among the shards, and with nobody else.

use std::net::{SocketAddr, TcpListener, ToSocketAddrs};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::{error::Error, http::BACKLOG};

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

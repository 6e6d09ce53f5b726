//! The end of a pipe that a node reads and writes, and how it is opened.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, sleep},
};
use womack_redis::{
    Address, Stream,
    simulation::{Connecting, Connector},
};

use super::{Network, Pipe, PipeId, Route, push};

/// How often a connection that is being made looks whether the way is open.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// The network as a node sees it.
pub(crate) struct NodeNetwork {
    network: Network,
    node: usize,
}

impl Network {
    /// The network as a node sees it.
    pub(crate) fn of_node(&self, node: usize) -> NodeNetwork {
        NodeNetwork {
            network: self.clone(),
            node,
        }
    }
}

impl Connector for NodeNetwork {
    fn connect(&self, address: &Address) -> Connecting {
        let network = self.network.clone();
        let (node, server) = (self.node, server_at(address));
        Box::pin(async move {
            let server = server.ok_or(io::ErrorKind::AddrNotAvailable)?;
            let route = Route { node, server };
            let latency = network.lock().latency;
            sleep(latency).await;
            while network.obstacles(route).stalls > 0 {
                sleep(LOOK_AGAIN).await;
            }
            let id = {
                let state = &mut *network.lock();
                if state.obstacles(route).downs > 0 {
                    return Err(io::ErrorKind::ConnectionRefused.into());
                }
                state.last += 1;
                state.pipes.insert(state.last, Pipe::new(route));
                state.last
            };
            network.changed.notify_one();
            let timer = Box::pin(sleep(Duration::ZERO));
            let end = NodeEnd { network, id, timer };
            Ok(Box::new(end) as Box<dyn Stream>)
        })
    }
}

fn server_at(address: &Address) -> Option<usize> {
    match address {
        Address::Tcp { host, .. } => host.strip_prefix("redis-")?.parse().ok(),
        _ => None,
    }
}

/// The end of a pipe that the node's link reads and writes.
struct NodeEnd {
    network: Network,
    id: PipeId,
    timer: Pin<Box<tokio::time::Sleep>>,
}

impl AsyncRead for NodeEnd {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let due = {
            let state = &mut *this.network.lock();
            let Some(pipe) = state.pipes.get_mut(&this.id) else {
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            };
            pipe.reader = Some(context.waker().clone());
            let Some((due, bytes)) = pipe.to_node.front_mut() else {
                return Poll::Pending;
            };
            if state
                .obstacles
                .get(&pipe.route)
                .is_some_and(|it| it.stalls > 0)
            {
                return Poll::Pending;
            }
            if *due <= Instant::now() {
                let most = bytes.len().min(buffer.remaining());
                let count = match state.rng.u8(..4) {
                    0 => state.rng.usize(1..=most),
                    _ => most,
                };
                buffer.put_slice(&bytes[..count]);
                bytes.drain(..count);
                if bytes.is_empty() {
                    pipe.to_node.pop_front();
                }
                return Poll::Ready(Ok(()));
            }
            *due
        };
        this.timer.as_mut().reset(due);
        match this.timer.as_mut().poll(context) {
            Poll::Ready(()) => {
                context.waker().wake_by_ref();
                Poll::Pending
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncWrite for NodeEnd {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        {
            let state = &mut *self.network.lock();
            let due = Instant::now() + state.latency;
            let Some(pipe) = state.pipes.get_mut(&self.id) else {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            };
            if !pipe.is_black_hole {
                push(&mut pipe.to_redis, due, bytes.to_vec());
            }
        }
        self.network.changed.notify_one();
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Drop for NodeEnd {
    fn drop(&mut self) {
        {
            let state = &mut *self.network.lock();
            let due = Instant::now() + state.latency;
            let Some(pipe) = state.pipes.get_mut(&self.id) else {
                return;
            };
            // No bytes mean the end. Where everything is swallowed Redis never hears of it.
            match pipe.is_black_hole {
                true => drop(state.pipes.remove(&self.id)),
                false => push(&mut pipe.to_redis, due, Vec::new()),
            }
        }
        self.network.changed.notify_one();
    }
}

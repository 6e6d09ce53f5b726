//! What the integration tests stand on.
//!
//! Every test starts what it needs on free ports and throws it away: a [`Server`], which is the
//! real program, and a [`Redis`], which is the real `redis-server`. Four kinds of clients speak to
//! them:
//!
//! - [`Client`], [`Polling`], [`Lines`] and [`EventStream`]: packets as text, one call for one
//!   packet, for tests of the protocol;
//! - [`raw`]: literal bytes, for everything that a decent client would never send;
//! - [`wire`]: transports without an opinion, for clients that outlive faults;
//! - [`clients`], [`browser`] and [`PageClients`]: the official client libraries and Chromium, in
//!   their own processes.
//!
//! And [`publishers`] are the libraries that publish for them, those of other families too.
//!
//! Nothing here sleeps to let something happen. Waiting is always for a fact, and never for longer
//! than [`PATIENCE`].

pub mod balancer;
pub mod browser;
pub mod clients;
pub mod commander;
pub mod conformance;
mod driver;
mod engine;
mod event_stream;
pub mod events;
pub mod faulty_link;
mod fleet;
pub mod http;
mod lines;
mod log;
pub mod metrics;
pub mod node;
mod page_clients;
mod polling;
pub mod proxy;
pub mod publishers;
pub mod raw;
mod redis_cluster;
mod redis_sentinel;
mod redis_server;
mod release;
mod server;
pub mod ticker;
pub mod tls;
pub mod wire;
pub mod witness;

use std::future::Future;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

pub use driver::Driver;
pub use engine::Client;
pub use event_stream::{Event, EventStream};
pub use fleet::{Fleet, Voyage};
pub use lines::Lines;
pub use page_clients::PageClients;
pub use polling::{Polling, counted};
pub use redis_cluster::Cluster;
pub use redis_sentinel::Sentinel;
pub use redis_server::{Broker, Redis};
pub use release::{Release, package};
pub use server::{Launch, Refusal, Server, Signal};

/// The longest that anything may take before a test calls it missing.
///
/// Long, because two cores may be busy with several browsers; no passing test ever waits for it.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How often a fact that cannot be waited for is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Waits for a future, and fails the test with `what` when it does not come.
#[track_caller]
pub fn within<F: Future>(what: &str, future: F) -> impl Future<Output = F::Output> {
    let caller = std::panic::Location::caller();
    async move {
        tokio::time::timeout(PATIENCE, future)
            .await
            .unwrap_or_else(|_| panic!("waited {PATIENCE:?} in vain for {what}, asked at {caller}"))
    }
}

/// Looks at a condition until it holds, and fails the test with `what` when it never does.
#[track_caller]
pub fn eventually<F, C>(what: &str, mut condition: C) -> impl Future<Output = ()>
where
    F: Future<Output = bool>,
    C: FnMut() -> F,
{
    within(what, async move {
        while !condition().await {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    })
}

/// An address on this machine where nothing listens, and which the system gives to nobody else for
/// the next minute.
///
/// The minute is TIME_WAIT, in which the end of a connection that closed first stays: such a port
/// is not chosen for those who ask for any, while a server that names it gets it, since servers
/// set `SO_REUSEADDR`.
pub fn free_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = listener
        .local_addr()
        .expect("a bound socket has an address");
    let mut client = TcpStream::connect(address).expect("a listener to connect to");
    drop(listener.accept().expect("a client to accept"));
    let end = client.read(&mut [0]).expect("an end to read");
    assert_eq!(end, 0, "nobody writes on a connection that is closed");
    address
}

/// The root of the repository.
pub fn repository() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.ancestors()
        .nth(4)
        .expect("this package lies four folders below the root")
        .to_owned()
}

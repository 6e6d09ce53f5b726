//! HTTP: connections and the route table.
//!
//! Imports run down this list, and no file imports from this one:
//!
//! ```text
//! accept, overload, connection                listeners and their connections
//! routes                                      which request is answered by what
//! sessions, legacy, admin, publish            requests of clients and of operators
//! polling, websocket, plain, events, stats    transports, and the pages of operators
//! admission, forward, relay_shares, refusals  steps that requests share
//! context                                     everything that these share
//! assets, body, descriptors, relay_pools …    parts that know no request
//! ```

mod accept;
mod admin;
mod admission;
mod answers;
mod assets;
mod body;
mod client_stream;
mod connection;
mod connections;
mod context;
mod cors;
mod delivery;
mod descriptors;
mod event_body;
mod events;
mod forward;
mod idle_connections;
mod keep_alive;
mod legacy;
mod locality;
mod no_room;
mod overload;
mod plain;
mod polling;
mod proxies;
mod publish;
mod refusals;
mod refused_origins;
mod relay_pools;
mod relay_shares;
mod request_body;
mod routes;
mod sessions;
mod stalled_polls;
mod stats;
mod surface;
mod traffic;
mod watch;
mod websocket;
mod write_timer;

pub(crate) use self::{
    accept::{Listener, serve},
    assets::Assets,
    connections::{BACKLOG, Connections},
    context::{Http, keep_alive_header},
    descriptors::{Descriptors, for_clients},
    refused_origins::RefusedOrigins,
    relay_pools::RelayShares,
    stalled_polls::StalledPolls,
    surface::Surface,
};

//! Runs Womack's own router, links, shards, relay and reporter in simulated time.
//!
//! One seed decides everything that happens in a run: what clients do, what is published, how the
//! way to Redis is troubled, and who has its turn when. There is no socket, no thread and no clock:
//! time moves to the next thing that is due as soon as nothing else is to be done.
//!
//! | module | what it is |
//! |---|---|
//! | `run` | a run, from the first client to the last look |
//! | `world` | all that is not the server: Redis, applications, faults |
//! | `faults` | the troubles of a run, several at a time |
//! | `clock` | the time |
//! | `node` | the server's parts, with tasks that drive them |
//! | `network` | the way between nodes and servers of Redis |
//! | `redis` | models of one server, and of a cluster |
//! | `outages` | the times at which something may be missing |
//! | `client`, `socket_io` | clients: of JSON lines, and of Socket.IO |
//! | `hostile` | clients that send what is malformed or too much |
//! | `visit`, `polling`, `websocket` | one session of such a client, and its transports |
//! | `session` | what its client knows of a session |
//! | `dialect` | the words of each kind of client |
//! | `http` | the way of requests to their sessions |
//! | `fleet` | the parts of a node that speak with other nodes |
//! | `events`, `presence` | who is in which channel by server events, and by records |
//! | `oracle` | what was promised, and whether it was kept |
//! | `shrink` | a failing run made smaller |
//! | `trace` | what happened: its hash, its last lines, and counts |

mod client;
mod clock;
mod dialect;
mod events;
mod faults;
mod fleet;
mod hostile;
mod http;
mod network;
mod node;
mod oracle;
mod outages;
mod polling;
mod presence;
mod redis;
mod run;
mod session;
mod shrink;
mod socket_io;
mod trace;
mod visit;
mod visitor;
mod websocket;
mod world;

pub use self::{
    redis::Topology,
    run::run,
    shrink::shrink,
    trace::Trace,
    world::{Omitted, Options},
};

//! Runs Womack's own router, links and shards in simulated time.
//!
//! One seed decides everything that happens in a run: what clients do, what is published, how the
//! way to Redis is troubled, and who has its turn when. There is no socket, no thread and no clock:
//! time moves to the next thing that is due as soon as nothing else is to be done.
//!
//! | module | what it is |
//! |---|---|
//! | `world` | a run: applications, faults, rest |
//! | `node` | the server's parts, with tasks that drive them |
//! | `network` | the way between node and Redis |
//! | `redis` | a model of Redis |
//! | `client` | clients, which know what they were promised |
//! | `oracle` | what was promised, and whether it was kept |
//! | `trace` | what happened: its hash, its last lines, and counts |

mod client;
mod network;
mod node;
mod oracle;
mod redis;
mod trace;
mod world;

pub use self::{
    trace::Trace,
    world::{Options, run},
};

//! Memory and session accounting of the server, and every limit by its name.
//!
//! `womack-redis`, `womack-engine`, `womack-cluster` and `womack` use this crate, and it uses none
//! of them. It counts and compares. It does no I/O but to ask the system how much memory there is,
//! reads the clock only when an [`Admission`] is made, and starts no thread.
//!
//! | module | contents |
//! |---|---|
//! | `limit` | [`Limit`]: every limit, named once for flags, metrics and logs |
//! | `ledger` | [`Ledger`]: bytes that are held; [`Charge`], [`Charged`], [`Buffer`]: what holds them |
//! | `memory` | [`Memory`]: all ledgers beside the budget; the cost of the parts |
//! | `cgroup` | the memory that control groups allow the process |
//! | `admission` | [`Admission`]: how many sessions there may be, from where, and how fast |
//! | `slots` | [`SlotPool`]: things of which there are so many, such as descriptors, and fair shares of them |
//! | `shard_id` | [`ShardId`]: the number of a shard |
//! | `metrics` | the kinds of metrics that all crates declare theirs with; [`LimitCounters`] |

mod admission;
mod cgroup;
mod ledger;
mod limit;
mod memory;
pub mod metrics;
mod shard_id;
mod slots;

pub use self::{
    admission::{AddressShare, Admission, AdmissionError, AdmissionLimits, Admitted},
    ledger::{Buffer, Charge, Charged, Ledger},
    limit::Limit,
    memory::{
        CHANNEL_BYTES, CLIENT_BYTES, CLOSING_BYTES, DECODER_BYTES, HTTP_BYTES, MEMBERSHIP_BYTES,
        Memory, NODE_CHANNEL_BYTES, PROCESS_BYTES, QUEUE_BYTES, ROUTE_BYTES, SHARD_BYTES,
        available, grown,
    },
    metrics::LimitCounters,
    shard_id::ShardId,
    slots::{BytesSlot, Slot, SlotError, SlotPool},
};

//! What operators are told: surveys of channels, and what became of a message.

mod diagnosis;
mod explanation;
mod near;
pub mod stats;
mod survey;

pub(crate) use self::{
    diagnosis::Diagnosis,
    explanation::Explanation,
    near::Difference,
    survey::{ChannelLoad, Survey, Surveyor},
};

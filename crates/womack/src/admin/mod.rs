//! What operators are told: surveys of channels, and what became of a message.

mod diagnosis;
mod explanation;
pub mod stats;
mod survey;

pub(crate) use self::{
    diagnosis::Diagnosis,
    explanation::Explanation,
    survey::{ChannelLoad, Survey, Surveyor},
};

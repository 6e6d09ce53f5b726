//! Pages for operators: surveys of channels, and explanations of a message's receivers.

mod diagnosis;
mod explanation;
pub mod stats;
mod survey;

pub(crate) use self::{
    diagnosis::Diagnosis,
    explanation::Explanation,
    survey::{ChannelLoad, Survey, Surveyor},
};

//! What clients may ask of channels, whatever they speak.

use std::collections::HashSet;

use womack_proto::Channel;

use super::{Memberships, problem::Problem};
use crate::limits::Limits;

/// How many channels a client may name, and with how long names.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChannelLimits {
    max_channel_bytes: usize,
    max_channels_per_client: usize,
}

impl ChannelLimits {
    /// The part of `limits` that is about channels.
    pub(crate) const fn of(limits: &Limits) -> Self {
        Self {
            max_channel_bytes: limits.max_channel_bytes,
            max_channels_per_client: limits.max_channels_per_client,
        }
    }

    /// One name.
    ///
    /// # Errors
    /// [`Problem::BadChannel`].
    pub(crate) fn channel(self, name: &str) -> Result<Channel, Problem> {
        Ok(Channel::parse(name, self.max_channel_bytes)?)
    }

    /// All names in their order, each once.
    ///
    /// # Errors
    /// [`Problem::BadChannel`] if one of them may not be.
    pub(crate) fn channels(self, names: &[String]) -> Result<Vec<Channel>, Problem> {
        let channels: Result<Vec<_>, _> = names.iter().map(|name| self.channel(name)).collect();
        let mut channels = channels?;
        let mut sorted: Vec<_> = channels.iter().collect();
        sorted.sort_unstable();
        if !sorted.is_sorted_by(|one, next| one < next) {
            let mut found = HashSet::with_capacity(channels.len());
            channels.retain(|channel| found.insert(channel.clone()));
        }
        Ok(channels)
    }

    /// Whether a client that is in `joined` may join `channels` too.
    ///
    /// # Errors
    /// [`Problem::TooManyChannels`].
    pub(crate) fn admit(
        self,
        channels: &[Channel],
        joined: &dyn Memberships,
    ) -> Result<(), Problem> {
        let new = channels.iter().filter(|channel| !joined.contains(channel));
        if joined.count() + new.count() > self.max_channels_per_client {
            return Err(Problem::TooManyChannels(self.max_channels_per_client));
        }
        Ok(())
    }
}

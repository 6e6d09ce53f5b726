//! The channels that bring most messages, as the router found them in the last second.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How long a survey says something of the present.
const FRESH: Duration = Duration::from_secs(3);

/// A Redis channel that brings many messages.
#[derive(Clone, Debug, PartialEq)]
pub struct BusyChannel {
    /// Its name at Redis.
    pub redis_channel: Arc<str>,
    /// Messages that came a second, as far as samples tell.
    pub messages_per_second: f64,
    /// Bytes of their payloads, likewise.
    pub bytes_per_second: f64,
}

/// The busiest channels of the last second, which the router writes once a second and the pages for
/// operators read.
#[derive(Debug, Default)]
pub(crate) struct BusyChannels(Mutex<Option<Survey>>);

#[derive(Debug)]
struct Survey {
    at: Instant,
    channels: Arc<[BusyChannel]>,
}

impl BusyChannels {
    /// Puts what was found at `at` in the place of what was known.
    pub(crate) fn set(&self, channels: Vec<BusyChannel>, at: Instant) {
        let channels = channels.into();
        let mut survey = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *survey = Some(Survey { at, channels });
    }

    /// The busiest channels first; none if nothing has come lately.
    pub(crate) fn get(&self, now: Instant) -> Arc<[BusyChannel]> {
        let survey = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = survey.as_ref().filter(|survey| now < survey.at + FRESH);
        fresh.map_or_else(|| Arc::from([]), |survey| survey.channels.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_survey_is_told_while_it_is_fresh() {
        let (busy, now) = (BusyChannels::default(), Instant::now());
        assert!(busy.get(now).is_empty());
        let channel = BusyChannel {
            redis_channel: "k:a".into(),
            messages_per_second: 1.0,
            bytes_per_second: 2.0,
        };
        busy.set(vec![channel.clone()], now);
        assert_eq!(*busy.get(now + FRESH / 2), [channel]);
        assert!(busy.get(now + FRESH).is_empty());
    }
}

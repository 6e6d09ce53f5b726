//! Origins whose pages were refused, for the log.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use hyper::header::HeaderValue;
use womack_engine::Throttle;

/// Between two lines of the log: anybody can claim any origin.
const LINE_INTERVAL: Duration = Duration::from_secs(10);
/// Origins that have had their line. More are forgotten together, and have another one.
const MOST_REMEMBERED: usize = 64;
/// Bytes of an origin that are shown; those of browsers are shorter.
const SHOWN_BYTES: usize = 256;

/// The origins that the log has named. An operator who forgot one finds it there once, and not with
/// each attempt of its pages to connect.
pub(crate) struct RefusedOrigins(Mutex<State>);

struct State {
    named: HashSet<Box<[u8]>>,
    lines: Throttle,
}

impl Default for RefusedOrigins {
    fn default() -> Self {
        Self(Mutex::new(State {
            named: HashSet::new(),
            lines: Throttle::new(LINE_INTERVAL),
        }))
    }
}

impl RefusedOrigins {
    /// Logs that a page of `origin` was refused, unless that was said before.
    pub(super) fn log(&self, origin: &HeaderValue, now: Instant) {
        let Some(held_back) = self.is_news(origin.as_bytes(), now) else {
            return;
        };
        let bytes = origin.as_bytes();
        let origin = String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN_BYTES)]);
        tracing::warn!(
            %origin, held_back,
            "a page of this origin may not connect; if it is one of yours, give it with \
             --cors-origin"
        );
    }

    /// How many others were not named since the last line, if `origin` is to be named now.
    fn is_news(&self, origin: &[u8], now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let shown = &origin[..origin.len().min(SHOWN_BYTES)];
        if state.named.contains(shown) {
            return None;
        }
        let held_back = state.lines.pass(now)?;
        if state.named.len() >= MOST_REMEMBERED {
            state.named.clear();
        }
        state.named.insert(shown.into());
        Some(held_back)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_named_once_and_others_after_a_while() {
        let (origins, start) = (RefusedOrigins::default(), Instant::now());
        let later = |lines: u32| start + lines * LINE_INTERVAL;
        assert_eq!(origins.is_news(b"https://a", start), Some(0));
        assert_eq!(origins.is_news(b"https://a", later(1)), None);
        assert_eq!(origins.is_news(b"https://b", start), None);
        assert_eq!(origins.is_news(b"https://b", later(1)), Some(1));
    }

    #[test]
    fn claimed_origins_are_not_all_remembered() {
        let (origins, start) = (RefusedOrigins::default(), Instant::now());
        for number in 0..1000_u32 {
            let origin = format!("https://{number}");
            origins.is_news(origin.as_bytes(), start + number * LINE_INTERVAL);
            assert!(origins.0.lock().unwrap().named.len() <= MOST_REMEMBERED);
        }
        origins.is_news(&[b'a'; 30_000], start + 1000 * LINE_INTERVAL);
        let state = origins.0.lock().unwrap();
        assert!(state.named.iter().all(|origin| origin.len() <= SHOWN_BYTES));
    }
}

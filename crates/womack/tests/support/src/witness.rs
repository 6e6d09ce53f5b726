//! Somebody who notes what comes of what is published.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::task::JoinHandle;

use crate::Client;
use crate::ticker::Tick;

/// A client that notes what it gets of a [`Ticker`](crate::ticker::Ticker).
pub struct Witness {
    seen: Arc<Mutex<Vec<Sight>>>,
    task: JoinHandle<()>,
}

/// What a witness has seen.
#[derive(Clone, Debug)]
pub enum Sight {
    /// A number, and when it came.
    Number(u64, Instant),
    /// That it may have missed what was published between these times.
    Gap(u64, u64),
}

impl Witness {
    /// Subscribes `client` to `channel`, the only one of its channels.
    pub async fn of(mut client: Client, channel: &str) -> Self {
        client.ignore_pings();
        client.subscribe(channel).await;
        let seen = Arc::<Mutex<Vec<Sight>>>::default();
        let (notes, head) = (seen.clone(), format!("42[\"{channel}\","));
        let task = tokio::spawn(async move {
            while let Some(packet) = client.packet_or_end().await {
                let sight = Sight::of(&packet, &head);
                notes.lock().expect("no holder panics").push(sight);
            }
        });
        Self { seen, task }
    }

    /// What it has seen until now.
    pub fn seen(&self) -> Vec<Sight> {
        self.seen.lock().expect("no holder panics").clone()
    }

    /// When the first number came after that time.
    pub fn first_after(&self, time: Instant) -> Option<Instant> {
        let seen = self.seen.lock().expect("no holder panics");
        seen.iter().find_map(|sight| match sight {
            Sight::Number(_, came) => (*came > time).then_some(*came),
            Sight::Gap(..) => None,
        })
    }

    /// How many gaps it was told of. Everything published was seen, once and in order, or is in one
    /// of them; and no gap covers the time after it was told.
    #[track_caller]
    pub fn gaps(&self, ticks: &[Tick]) -> usize {
        assert!(!self.task.is_finished(), "the client is still there");
        let seen = self.seen();
        let numbers = seen.iter().filter_map(|sight| match sight {
            Sight::Number(number, _) => Some(*number),
            Sight::Gap(..) => None,
        });
        let numbers: Vec<_> = numbers.collect();
        assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
        let gaps = seen.iter().filter_map(|sight| match sight {
            Sight::Gap(from, to) => Some((*from, *to)),
            Sight::Number(..) => None,
        });
        let gaps: Vec<_> = gaps.collect();
        for tick in ticks {
            let told = gaps
                .iter()
                .any(|(from, to)| tick.to >= *from && tick.from <= *to);
            let came = numbers.binary_search(&tick.number).is_ok();
            assert!(told || came, "{tick:?} is missing, {gaps:?}");
        }
        gaps.len()
    }

    /// Whether this or a later number has come.
    pub fn has(&self, last: &Tick) -> bool {
        self.seen()
            .iter()
            .any(|sight| matches!(sight, Sight::Number(number, _) if *number >= last.number))
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Sight {
    fn of(packet: &str, head: &str) -> Self {
        let envelope = packet
            .strip_prefix(head)
            .and_then(|rest| rest.strip_suffix(']'));
        if let Some(envelope) = envelope {
            let envelope: serde_json::Value = serde_json::from_str(envelope).expect("JSON");
            let number = envelope["data"].as_u64().expect("a number");
            return Self::Number(number, Instant::now());
        }
        let event = packet.strip_prefix("42").expect("an event");
        let event: serde_json::Value = serde_json::from_str(event).expect("JSON");
        assert_eq!(event[0], "womack:gap", "{packet}");
        let time = |name: &str| event[1][name].as_u64().expect("Unix milliseconds");
        Self::Gap(time("from"), time("to"))
    }
}

//! Faults of the links to Redis, as the plan has them.

use std::sync::Arc;

use tokio::time::{Instant, sleep, sleep_until};

use super::plan::{Fault, Trouble, Troubles};
use super::world::World;

/// Troubles the links until `end`, and leaves them whole.
pub(super) async fn run(world: &Arc<World>, troubles: &mut Troubles, end: Instant) {
    loop {
        let Trouble {
            pause,
            fault,
            latency,
            link,
        } = troubles.next(world.links.len());
        if Instant::now() + pause >= end {
            return sleep_until(end).await;
        }
        sleep(pause).await;
        let chosen = world.links.iter().enumerate();
        let chosen: Vec<_> = chosen
            .filter(|(place, _)| link.is_none_or(|link| link == *place))
            .map(|(_, link)| link)
            .collect();
        let word = format!("{fault:?}");
        let word = word.split('(').next().unwrap_or_default().to_owned();
        world.count("faults", word);
        chosen.iter().for_each(|link| link.set_latency(latency));
        let time = match fault {
            Fault::Cut => {
                chosen.iter().for_each(|link| link.cut());
                continue;
            }
            Fault::Hang => {
                chosen.iter().for_each(|link| link.hang());
                continue;
            }
            Fault::Stall(time) => {
                chosen.iter().for_each(|link| link.stall());
                time
            }
            Fault::Down(time) => {
                chosen.iter().for_each(|link| link.take_down());
                time
            }
        };
        sleep_until((Instant::now() + time).min(end)).await;
        chosen.iter().for_each(|link| link.restore());
    }
}

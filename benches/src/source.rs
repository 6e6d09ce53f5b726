//! Publishes, and sends passers-by, at the workload's pace.

use std::{
    io,
    time::{Duration, Instant},
};

use crate::{
    fleet::{CONNECTING, Fleet, TURN},
    workload::{Pace, Picker, Workload},
};

/// What is still to be published, without end.
pub(crate) struct Source {
    picker: Picker,
    pace: Pace,
    passers_by: u32,
}

impl Source {
    pub(crate) fn new(workload: &Workload) -> Self {
        Self {
            picker: workload.picker(),
            pace: workload.pace,
            passers_by: workload.passers_by,
        }
    }

    /// Publishes for so long.
    pub(crate) fn publish(&mut self, fleet: &mut Fleet, duration: Duration) -> io::Result<()> {
        let first = fleet.publisher.published;
        let began = Instant::now();
        let mut passed_by = 0;
        loop {
            let elapsed = began.elapsed();
            if elapsed >= duration {
                return Ok(());
            }
            let due = match self.pace {
                Pace::Idle => first,
                Pace::Flood(ahead) => fleet.tally.completed + ahead,
                Pace::Rate(rate) => first + due_by(elapsed, rate),
            };
            while fleet.publisher.published < due && fleet.tally.has_room(fleet.publisher.published)
            {
                fleet
                    .publisher
                    .publish(self.picker.pick(), &mut fleet.tally);
            }
            fleet.publisher.flush()?;
            while passed_by < due_by(elapsed, self.passers_by) && fleet.connecting < CONNECTING {
                fleet.pass_by(0)?;
                passed_by += 1;
            }
            let rate = match self.pace {
                Pace::Rate(rate) => rate,
                Pace::Idle | Pace::Flood(_) => 0,
            };
            fleet.turn(next_due(elapsed, rate.max(self.passers_by)))?;
        }
    }
}

/// How many of so many a second are due by now; the first at once.
fn due_by(elapsed: Duration, rate: u32) -> u64 {
    match rate {
        0 => 0,
        rate => (elapsed.as_secs_f64() * f64::from(rate)) as u64 + 1,
    }
}

/// How long until one more is due.
fn next_due(elapsed: Duration, rate: u32) -> Duration {
    if rate == 0 {
        return TURN;
    }
    let next = due_by(elapsed, rate) as f64 / f64::from(rate);
    Duration::from_secs_f64(next)
        .saturating_sub(elapsed)
        .min(TURN)
}

//! What a client was promised of a channel, and whether it was kept.

use std::collections::BTreeMap;

/// A number that was published on a channel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Publication {
    /// When, in milliseconds of the run.
    pub(crate) at: u64,
    pub(crate) fate: Fate,
}

/// What Redis did with a publication.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Fate {
    /// It was passed on.
    Taken,
    /// It was refused.
    Refused,
    /// It was taken by another server, as the one that the node is connected to was no master: the
    /// node finds that out with its next question, and until then passes on what follows.
    Elsewhere,
}

/// All that was published.
#[derive(Default)]
pub(crate) struct Published {
    channels: BTreeMap<String, Vec<Publication>>,
}

impl Published {
    /// The number that comes next on a channel; the first is 1.
    pub(crate) fn next(&self, channel: &str) -> u64 {
        self.channels.get(channel).map_or(0, Vec::len) as u64 + 1
    }

    /// The next number of a channel is published.
    pub(crate) fn add(&mut self, channel: &str, publication: Publication) {
        let numbers = self.channels.entry(channel.to_owned()).or_default();
        numbers.push(publication);
    }

    fn is_elsewhere(&self, channel: &str, number: u64) -> bool {
        let publication = self.get(channel, number);
        publication.is_some_and(|found| found.fate == Fate::Elsewhere)
    }

    fn get(&self, channel: &str, number: u64) -> Option<Publication> {
        let place = usize::try_from(number.checked_sub(1)?).ok()?;
        self.channels.get(channel)?.get(place).copied()
    }
}

/// A client's knowledge of a channel.
#[derive(Default)]
pub(crate) struct Subscription {
    /// The last number that came.
    last: u64,
    /// The first number that must come or be told as lost; `None` while nothing is promised.
    floor: Option<u64>,
    /// The last request that left it.
    left: u64,
    /// Requests since then that subscribe.
    asked: u32,
    /// Whether it was answered that the client has left, and nobody asked since.
    is_out: bool,
    /// The times for which a gap was told, in milliseconds of the run.
    told: Vec<(u64, u64)>,
    /// Numbers that were published elsewhere and that a gap has still to be told for.
    owed: Vec<u64>,
}

impl Subscription {
    /// A request asks for the channel.
    pub(crate) fn ask(&mut self) {
        self.asked += 1;
        self.is_out = false;
    }

    /// Request `number` leaves it.
    pub(crate) fn leave(&mut self, number: u64) {
        self.floor = None;
        self.left = number;
        self.asked = 0;
        self.owed.clear();
    }

    /// Request `number` was answered with `ok`: whatever is published from `floor` on comes.
    pub(crate) fn confirm(&mut self, number: u64, floor: u64) {
        if self.left < number {
            self.floor.get_or_insert(floor);
        }
    }

    /// Request `number`, which asked for it, was refused.
    pub(crate) fn refuse(&mut self, number: u64) {
        if self.left < number && self.floor.is_none() && self.asked > 0 {
            self.asked -= 1;
        }
    }

    /// The client is in the channel no more, and did not ask for that. These of its requests that
    /// ask for the channel are not answered.
    pub(crate) fn end(&mut self, requests: &[u64]) {
        self.floor = None;
        self.asked = requests
            .iter()
            .filter(|&&number| number > self.left)
            .map(|_| 1)
            .sum();
        self.owed.clear();
    }

    /// Request `number`, which left it, was answered.
    pub(crate) fn has_left(&mut self, number: u64) {
        self.is_out = self.left == number && self.asked == 0;
    }

    /// A gap was told.
    pub(crate) fn tell(&mut self, from: u64, to: u64) {
        self.told.push((from, to));
    }

    /// Whether something is promised.
    pub(crate) const fn is_promised(&self) -> bool {
        self.floor.is_some()
    }

    /// Whether somebody asked for it since it was last left.
    pub(crate) const fn is_wanted(&self) -> bool {
        self.asked > 0 || self.floor.is_some()
    }

    /// A number came.
    ///
    /// # Errors
    /// The promise that is broken.
    pub(crate) fn receive(
        &mut self,
        channel: &str,
        number: u64,
        published: &Published,
    ) -> Result<(), String> {
        if self.is_out {
            return Err(format!(
                "{channel}: {number} came after the client had left"
            ));
        }
        if number <= self.last {
            return Err(format!("{channel}: {number} came after {}", self.last));
        }
        let missing = self.unexplained(channel, number, published);
        self.last = number;
        if let Some(floor) = &mut self.floor {
            *floor = number + 1;
        }
        let is_elsewhere = |number: &u64| published.is_elsewhere(channel, *number);
        let (owed, lost): (Vec<_>, Vec<_>) = missing.into_iter().partition(is_elsewhere);
        self.owed.extend(owed);
        tell_missing(channel, &lost)
    }

    /// Looks for numbers below `end` that had to come.
    ///
    /// # Errors
    /// Some are missing, and lie in no gap that was told.
    pub(crate) fn missing(
        &self,
        channel: &str,
        end: u64,
        published: &Published,
    ) -> Result<(), String> {
        let mut lost = self.unexplained(channel, end, published);
        let owed = self.owed.iter();
        lost.extend(owed.filter(|number| !self.explains(channel, **number, published)));
        tell_missing(channel, &lost)
    }

    fn unexplained(&self, channel: &str, end: u64, published: &Published) -> Vec<u64> {
        let Some(floor) = self.floor else {
            return Vec::new();
        };
        let numbers = floor.max(self.last + 1)..end;
        numbers
            .filter(|&number| !self.explains(channel, number, published))
            .collect()
    }

    fn explains(&self, channel: &str, number: u64, published: &Published) -> bool {
        let Some(publication) = published.get(channel, number) else {
            return false;
        };
        let covers =
            |&(from, to): &(u64, u64)| from <= publication.at + 1 && publication.at <= to + 1;
        publication.fate == Fate::Refused || self.told.iter().any(covers)
    }
}

fn tell_missing(channel: &str, lost: &[u64]) -> Result<(), String> {
    match lost.is_empty() {
        true => Ok(()),
        false => Err(format!("{channel}: {lost:?} are missing")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn published(times: &[u64]) -> Published {
        let mut published = Published::default();
        for &at in times {
            let fate = Fate::Taken;
            published.add("a", Publication { at, fate });
        }
        published
    }

    #[test]
    fn an_answer_to_a_request_before_the_last_leaving_promises_nothing() {
        let mut channel = Subscription::default();
        channel.ask();
        channel.leave(2);
        channel.confirm(1, 5);
        assert!(!channel.is_promised());
        channel.ask();
        channel.confirm(3, 7);
        assert_eq!(channel.floor, Some(7));
    }

    #[test]
    fn numbers_that_are_missing_are_explained_only_by_a_gap_of_their_time() {
        let published = published(&[100, 200, 300, 400]);
        let mut channel = Subscription::default();
        channel.ask();
        channel.confirm(1, 1);
        assert_eq!(channel.receive("a", 1, &published), Ok(()));
        assert!(channel.missing("a", 3, &published).is_err());
        channel.tell(150, 210);
        assert_eq!(channel.receive("a", 3, &published), Ok(()));
        assert!(
            channel.receive("a", 3, &published).is_err(),
            "it came twice"
        );
        channel.leave(2);
        channel.has_left(2);
        assert!(channel.receive("a", 4, &published).is_err());
    }

    #[test]
    fn requests_from_before_the_last_leaving_want_nothing() {
        let mut channel = Subscription::default();
        channel.ask();
        channel.leave(2);
        channel.ask();
        channel.end(&[1, 3]);
        assert!(channel.is_wanted());
        channel.refuse(1);
        channel.refuse(3);
        assert!(!channel.is_wanted());
    }
}

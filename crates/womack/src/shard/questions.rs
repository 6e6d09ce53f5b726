//! Questions to the reporter that wait for its answer.

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

use ahash::RandomState;
use womack_proto::NamespaceId;

/// Who asked, and by which acknowledgement it is answered.
pub(crate) struct Asker {
    pub(crate) connection: u32,
    /// Tells the connection from a later one in the same slot.
    pub(crate) secret: u64,
    pub(crate) namespace: NamespaceId,
    pub(crate) ack: u64,
    /// What it is told if nobody knows, or not in time.
    pub(crate) unavailable: String,
}

/// All questions of a shard that wait.
pub(crate) struct Questions {
    waiting: HashMap<u64, Asker, RandomState>,
    /// In the order in which they end, since all wait equally long.
    deadlines: VecDeque<(Instant, u64)>,
    patience: Duration,
    token: u64,
}

impl Questions {
    /// `patience` is how long a question waits.
    pub(crate) fn new(patience: Duration) -> Self {
        Self {
            waiting: HashMap::default(),
            deadlines: VecDeque::new(),
            patience,
            token: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Keeps a question. Returns the token that its answer will bear.
    pub(crate) fn wait(&mut self, asker: Asker, now: Instant) -> u64 {
        self.token += 1;
        self.waiting.insert(self.token, asker);
        self.deadlines.push_back((now + self.patience, self.token));
        self.token
    }

    /// There is an answer. `None` if it has been waited for too long.
    pub(crate) fn answered(&mut self, token: u64) -> Option<Asker> {
        self.waiting.remove(&token)
    }

    /// One that has waited too long, if there is one.
    pub(crate) fn expire(&mut self, now: Instant) -> Option<Asker> {
        while self.next().is_some_and(|deadline| deadline <= now) {
            let (_, token) = self.deadlines.pop_front()?;
            if let Some(asker) = self.waiting.remove(&token) {
                return Some(asker);
            }
        }
        None
    }

    /// When [`Questions::expire`] next has something to do.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.deadlines.front().map(|(deadline, _)| *deadline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(5);

    fn asker(ack: u64) -> Asker {
        Asker {
            connection: 1,
            secret: 2,
            namespace: NamespaceId(0),
            ack,
            unavailable: String::new(),
        }
    }

    #[test]
    fn a_question_ends_once_by_its_answer_or_by_time() {
        let mut questions = Questions::new(PATIENCE);
        let now = Instant::now();
        let tokens = [1, 2, 3].map(|ack| questions.wait(asker(ack), now));
        let acks = |found: Option<Asker>| found.map(|asker| asker.ack);
        assert_eq!(acks(questions.answered(tokens[1])), Some(2));
        assert_eq!(acks(questions.answered(tokens[1])), None);
        assert_eq!(acks(questions.expire(now)), None);
        assert_eq!(questions.next(), Some(now + PATIENCE));
        let late = now + PATIENCE;
        let expired = [(); 3].map(|()| acks(questions.expire(late)));
        assert_eq!(expired, [Some(1), Some(3), None]);
        assert_eq!(acks(questions.answered(tokens[0])), None);
        assert_eq!((questions.len(), questions.next()), (0, None));
    }
}

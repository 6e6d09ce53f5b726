//! What is to be said to other nodes, in its order.

use womack_proto::relay::{Kind, Message};

/// Messages that travel in one command.
const MESSAGES_PER_BATCH: usize = 512;

/// What is to be said to other nodes.
pub(super) struct Outgoing {
    node: u32,
    waiting: Vec<Said>,
    /// What has reached nobody and is said again.
    again: Vec<Said>,
    /// What Redis has not confirmed yet.
    pub(super) under_way: Vec<Said>,
    bytes: usize,
}

/// A message to a node.
pub(super) struct Said {
    pub(super) to: u32,
    pub(super) bytes: Vec<u8>,
    /// Whether the other node has still to hear of what this begins.
    pub(super) is_request: bool,
    /// Whether it may be said after a link was lost: nothing depends on what was said before.
    is_answer: bool,
}

impl Outgoing {
    pub(super) const fn new(node: u32) -> Self {
        Self {
            node,
            waiting: Vec::new(),
            again: Vec::new(),
            under_way: Vec::new(),
            bytes: 0,
        }
    }

    pub(super) fn say(&mut self, to: u32, number: u64, kind: Kind) {
        let is_request = matches!(kind, Kind::Ask { .. });
        let is_answer = matches!(kind, Kind::Answer(_) | Kind::Gone);
        let node = self.node;
        let bytes = Message { node, number, kind }.encode();
        self.push(Said {
            to,
            bytes,
            is_request,
            is_answer,
        });
    }

    /// Keeps what has reached nobody, to be said again a little later.
    pub(super) fn again(&mut self, said: Said) {
        self.again.push(said);
    }

    pub(super) fn say_again(&mut self) {
        for said in std::mem::take(&mut self.again) {
            self.push(said);
        }
    }

    /// Takes what travels next.
    pub(super) fn take(&mut self) -> Vec<Said> {
        let count = self.waiting.len().min(MESSAGES_PER_BATCH);
        let batch: Vec<_> = self.waiting.drain(..count).collect();
        self.bytes -= batch.iter().map(|said| said.bytes.len()).sum::<usize>();
        batch
    }

    /// Keeps what can be said over another link. Answers that were under way may come twice, which
    /// does no harm; a request or a part of a stream that did would.
    pub(super) fn unlinked(&mut self) {
        let mut kept = std::mem::take(&mut self.under_way);
        kept.append(&mut self.waiting);
        kept.retain(|said| said.is_answer);
        self.again.clear();
        self.bytes = 0;
        kept.into_iter().for_each(|said| self.push(said));
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// How many bytes wait.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    fn push(&mut self, said: Said) {
        self.bytes += said.bytes.len();
        self.waiting.push(said);
    }
}

#[cfg(test)]
mod tests {
    use womack_proto::relay::{Answer, Flow, Wish};

    use super::*;

    #[test]
    fn only_answers_outlive_a_link() {
        let mut outgoing = Outgoing::new(1);
        let poll = Kind::Ask {
            sid: "a".to_owned(),
            wish: Wish::Poll,
        };
        let kinds = [
            poll,
            Kind::Answer(Answer::Taken),
            Kind::Forth(Flow::Room(1)),
            Kind::Gone,
        ];
        for number in 0..2 {
            for kind in kinds.clone() {
                outgoing.say(2, number, kind);
            }
            if number == 0 {
                outgoing.under_way = outgoing.take();
                assert_eq!((outgoing.bytes(), outgoing.is_empty()), (0, true));
            }
        }
        outgoing.unlinked();
        let kept = outgoing.take();
        let letters: Vec<_> = kept.iter().map(|said| said.bytes[0]).collect();
        assert_eq!(letters, b"KxKx");
        assert_eq!(outgoing.bytes(), 0);
    }

    #[test]
    fn what_has_reached_nobody_is_said_again() {
        let mut outgoing = Outgoing::new(1);
        outgoing.say(2, 3, Kind::Hello);
        let said = outgoing.take().pop().unwrap();
        outgoing.again(said);
        assert!(outgoing.is_empty());
        outgoing.say_again();
        assert_eq!(outgoing.take()[0].to, 2);
    }
}

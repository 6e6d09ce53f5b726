//! Messages to other nodes, in their order.

use womack_ledger::{Charge, Charged, Ledger};
use womack_proto::{
    Answer,
    relay::{Form, Kind, Message},
};

use super::{
    nodes::Nodes,
    ordered::{Map, Set},
    place::Place,
};

/// Messages that travel in one command.
const MESSAGES_PER_BATCH: usize = 512;
/// Bytes that travel in one command beside its first message. They are copied twice on their way to
/// the socket.
const BYTES_PER_BATCH: usize = 1 << 20;
/// How often a report that has reached nobody is said again; looks are a quarter of a second apart
/// at most, so a node has some ten seconds to find back to Redis.
const TRIES: u8 = 40;

/// Messages to other nodes that are not published yet, or not confirmed.
pub(super) struct Outgoing {
    node: u32,
    /// Charged everything that waits.
    ledger: Ledger,
    /// The epoch of the link over which it will be said.
    epoch: u32,
    pub(super) nodes: Nodes,
    waiting: Vec<Said>,
    /// Messages to nodes that have not been heard yet.
    held: Map<u32, Held>,
    /// Messages that have reached nobody and are said again.
    again: Vec<Said>,
    /// The batch that Redis has not confirmed yet.
    pub(super) under_way: Vec<Said>,
    bytes: usize,
}

/// A message to a node.
pub(super) struct Said {
    pub(super) to: u32,
    number: u64,
    pub(super) bytes: Charged<Vec<u8>>,
    purpose: Purpose,
    tries: u8,
}

/// Messages to a node that has not been heard yet, each with its length, which is charged.
#[derive(Default)]
struct Held {
    messages: Vec<(Message, Charge)>,
    tries: u8,
}

impl Held {
    /// Counts another try. Whether there were enough.
    const fn is_late(&mut self) -> bool {
        self.tries += 1;
        self.tries > TRIES
    }
}

/// Whether a session must hear of it whatever happens to links.
const fn is_report(kind: &Kind) -> bool {
    matches!(kind, Kind::Gone | Kind::Lost { .. })
}

/// The use of a message, which decides what becomes of it when it has not arrived.
enum Purpose {
    /// The other node has still to hear of what this begins.
    Request,
    /// It asks a node that has not been heard yet to say something.
    Greeting,
    /// It brings packets that its session has no more.
    Packets,
    /// A session must hear of it whatever happens to links.
    Report(Kind),
    /// It is of no use any more.
    Other,
}

impl Said {
    /// The poll whose answer this brings, if it does.
    pub(super) fn answered_poll(&self) -> Option<Place> {
        matches!(self.purpose, Purpose::Packets).then_some((self.to, self.number))
    }
}

impl Outgoing {
    pub(super) fn new(node: u32, ledger: Ledger) -> Self {
        Self {
            node,
            ledger,
            epoch: 1,
            nodes: Nodes::default(),
            waiting: Vec::new(),
            held: Map::default(),
            again: Vec::new(),
            under_way: Vec::new(),
            bytes: 0,
        }
    }

    /// Says something to a node. One that has not been heard yet is greeted first, and told the
    /// rest once it has answered: its form and the epoch of its link are known then.
    pub(super) fn say(&mut self, to: u32, number: u64, kind: Kind) {
        if self.nodes.form(to).is_some() || matches!(kind, Kind::Hello { .. }) {
            return self.encode(to, number, kind);
        }
        let message = self.message(number, kind);
        let bytes = message
            .encode(Form::Envelope)
            .map_or(0, |bytes| bytes.len());
        self.bytes += bytes;
        let held = self.held.entry(to).or_default();
        held.messages.push((message, self.ledger.hold(bytes)));
        if held.messages.len() == 1 {
            self.greet(to);
        }
    }

    /// A message has come: says to its sender whatever waited for that.
    pub(super) fn heard(&mut self, node: u32) {
        let held = self.held.swap_remove(&node).unwrap_or_default();
        for (message, charge) in held.messages {
            self.bytes -= charge.bytes();
            self.encode(node, message.number, message.kind);
        }
    }

    /// A node is not there. It hears reports if it returns within some time.
    pub(super) fn lost(&mut self, node: u32) {
        let Some(held) = self.held.get_mut(&node) else {
            return;
        };
        for (_, charge) in held
            .messages
            .extract_if(.., |(message, _)| !is_report(&message.kind))
        {
            self.bytes -= charge.bytes();
        }
        if held.messages.is_empty() {
            self.held.swap_remove(&node);
        }
    }

    fn greet(&mut self, to: u32) {
        self.encode(to, 0, Kind::Hello { is_new_link: false });
    }

    const fn message(&self, number: u64, kind: Kind) -> Message {
        Message {
            node: self.node,
            epoch: Some(self.epoch),
            number,
            kind,
        }
    }

    fn encode(&mut self, to: u32, number: u64, kind: Kind) {
        let purpose = match &kind {
            Kind::Ask { .. } => Purpose::Request,
            Kind::Hello { is_new_link: false } => Purpose::Greeting,
            Kind::Answer(Answer::Packets(..)) => Purpose::Packets,
            kind if is_report(kind) => Purpose::Report(kind.clone()),
            _ => Purpose::Other,
        };
        let form = self.nodes.form(to).unwrap_or(Form::First);
        // Version 0.2.0 has no word for some things, and cannot act on them.
        if let Some(bytes) = self.message(number, kind).encode(form) {
            let capacity = bytes.capacity();
            let charged = Charged::new(bytes, capacity, &self.ledger);
            self.push(Said {
                to,
                number,
                bytes: charged,
                purpose,
                tries: 0,
            });
        }
    }

    /// Keeps a message that has reached nobody, to be said again a little later, if that is of use.
    /// A request is while its node `may_return`.
    pub(super) fn again(&mut self, mut said: Said, may_return: bool) -> bool {
        said.tries += 1;
        let is_of_use = match said.purpose {
            Purpose::Request => may_return,
            Purpose::Report(_) => said.tries < TRIES,
            // Greetings are repeated anyway.
            Purpose::Greeting => return may_return,
            Purpose::Packets | Purpose::Other => false,
        };
        let is_request = matches!(said.purpose, Purpose::Request);
        if is_of_use {
            self.again.push(said);
        }
        is_of_use && is_request
    }

    pub(super) fn say_again(&mut self) {
        for said in std::mem::take(&mut self.again) {
            self.push(said);
        }
        let late: Vec<_> = self.held.extract_if(.., |_, held| held.is_late()).collect();
        for (_, charge) in late.into_iter().flat_map(|(_, held)| held.messages) {
            self.bytes -= charge.bytes();
        }
        let silent: Vec<_> = self.held.keys().copied().collect();
        silent.into_iter().for_each(|node| self.greet(node));
    }

    /// Takes what travels next.
    pub(super) fn take(&mut self) -> Vec<Said> {
        let most = self.waiting.iter().take(MESSAGES_PER_BATCH);
        // The first travels whatever its length.
        let sizes = most.skip(1).scan(0, |sum, said| {
            *sum += said.bytes.len();
            Some(*sum)
        });
        let more = sizes.take_while(|sum| *sum <= BYTES_PER_BATCH).count();
        let count = self.waiting.len().min(1 + more);
        let batch: Vec<_> = self.waiting.drain(..count).collect();
        self.bytes -= batch.iter().map(|said| said.bytes.len()).sum::<usize>();
        batch
    }

    /// The link is lost: a new epoch begins, of which `partners` are told. Reports are said over
    /// the next link. Returns the places of answers whose packets may be lost.
    pub(super) fn unlinked(&mut self, mut partners: Set<u32>) -> Vec<Place> {
        self.epoch = self.epoch.wrapping_add(1);
        let mut before = std::mem::take(&mut self.under_way);
        before.append(&mut self.waiting);
        before.append(&mut self.again);
        self.bytes = 0;
        partners.extend(before.iter().map(|said| said.to));
        partners.extend(self.nodes.relinked());
        let held = std::mem::take(&mut self.held);
        for node in partners {
            self.say(node, 0, Kind::Hello { is_new_link: true });
        }
        let mut lost = Vec::new();
        for said in before {
            match said.purpose {
                Purpose::Report(kind) => self.say(said.to, said.number, kind),
                Purpose::Packets => lost.push((said.to, said.number)),
                Purpose::Request | Purpose::Greeting | Purpose::Other => {}
            }
        }
        for (node, held) in held {
            for (message, _) in held
                .messages
                .into_iter()
                .filter(|(held, _)| is_report(&held.kind))
            {
                self.say(node, message.number, message.kind);
            }
        }
        lost
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
    use std::time::Instant;

    use bytes::Bytes;
    use womack_proto::{
        PollBody,
        payload::Content,
        relay::{Flow, Wish},
    };

    use super::*;

    fn read(said: &[Said]) -> Vec<Message> {
        let read = |said: &Said| Message::decode(&said.bytes.to_vec().into()).unwrap();
        said.iter().map(read).collect()
    }

    fn ask() -> Kind {
        Kind::Ask {
            sid: "a".to_owned(),
            wish: Wish::Poll { stamp: None },
        }
    }

    /// The bytes for node 2, which has been heard in `form`.
    fn to(form: Form) -> Outgoing {
        let mut outgoing = Outgoing::new(1, Ledger::default());
        hear(&mut outgoing, form);
        outgoing
    }

    fn hear(outgoing: &mut Outgoing, form: Form) {
        let here = Message {
            node: 2,
            epoch: (form == Form::Envelope).then_some(1),
            number: 0,
            kind: Kind::Here,
        };
        outgoing.nodes.heard(&here, Instant::now());
        outgoing.heard(2);
    }

    #[test]
    fn a_new_link_is_told_first_and_only_reports_outlive_the_old_one() {
        let mut outgoing = to(Form::Envelope);
        let packets = Answer::Packets(PollBody {
            content: Content::Text,
            bytes: Bytes::from_static(b"2"),
        });
        let kinds = [
            ask(),
            Kind::Answer(packets),
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
        assert_eq!(outgoing.unlinked(Set::default()), [(2, 0), (2, 1)]);
        let said = read(&outgoing.take());
        let new = Kind::Hello { is_new_link: true };
        let greeting = Kind::Hello { is_new_link: false };
        let kinds: Vec<_> = said.iter().map(|said| said.kind.clone()).collect();
        assert_eq!(kinds, [new, greeting]);
        assert_eq!(said[0].epoch, Some(2));
        hear(&mut outgoing, Form::Envelope);
        let kinds: Vec<_> = read(&outgoing.take())
            .into_iter()
            .map(|said| said.kind)
            .collect();
        assert_eq!(kinds, [Kind::Gone, Kind::Gone]);
        assert_eq!(outgoing.bytes(), 0);
    }

    #[test]
    fn a_node_is_greeted_in_words_that_0_2_0_understands_and_told_the_rest_in_its_own_form() {
        for (form, first) in [(Form::First, b'p'), (Form::Envelope, 0xb7)] {
            let mut outgoing = Outgoing::new(1, Ledger::default());
            outgoing.say(2, 3, ask());
            outgoing.say(2, 4, Kind::Gone);
            let letters: Vec<_> = outgoing.take().iter().map(|said| said.bytes[0]).collect();
            assert_eq!(letters, b"h");
            hear(&mut outgoing, form);
            let said = outgoing.take();
            assert_eq!((said.len(), said[0].bytes[0]), (2, first));
            assert_eq!(outgoing.bytes(), 0);
        }
    }

    #[test]
    fn a_node_that_is_lost_before_it_was_heard_is_told_of_reports_for_some_time() {
        let mut outgoing = Outgoing::new(1, Ledger::default());
        outgoing.say(2, 3, ask());
        outgoing.say(2, 4, Kind::Gone);
        outgoing.lost(2);
        for _ in 0..TRIES {
            let letters: Vec<_> = outgoing.take().iter().map(|said| said.bytes[0]).collect();
            assert_eq!(letters, b"h");
            outgoing.say_again();
        }
        assert_eq!(outgoing.take().len(), 1);
        outgoing.say_again();
        assert_eq!((outgoing.take().len(), outgoing.bytes()), (0, 0));
    }

    #[test]
    fn a_request_is_said_again_while_its_node_may_return_and_a_report_for_some_time() {
        let mut outgoing = to(Form::First);
        outgoing.say(2, 3, ask());
        outgoing.say(2, 3, Kind::Gone);
        let mut said = outgoing.take();
        let (gone, ask) = (said.pop().unwrap(), said.pop().unwrap());
        assert!(outgoing.again(ask, true));
        assert!(!outgoing.again(gone, true));
        assert!(outgoing.is_empty());
        outgoing.say_again();
        let mut said = outgoing.take();
        let (mut gone, ask) = (said.pop().unwrap(), said.pop().unwrap());
        assert!(!outgoing.again(ask, false));
        for _ in 2..TRIES {
            outgoing.again(gone, false);
            outgoing.say_again();
            gone = outgoing.take().pop().unwrap();
        }
        outgoing.again(gone, false);
        outgoing.say_again();
        assert!(outgoing.is_empty());
    }
}

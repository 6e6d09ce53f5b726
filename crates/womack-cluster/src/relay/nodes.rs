//! Other nodes, as far as it matters for what is said to them.

use std::time::{Duration, Instant};

use womack_proto::relay::{Form, Kind, Message};

use super::ordered::{Map, Set};

/// A node that is silent for so long, and with which nothing is under way, is forgotten.
const FORGET: Duration = Duration::from_secs(600);

/// Other nodes: how they want to be spoken to, and the epochs of their links.
#[derive(Debug, Default)]
pub(super) struct Nodes {
    nodes: Map<u32, Node>,
}

#[derive(Debug, Default)]
struct Node {
    /// The latest form that it was heard to understand.
    form: Option<Form>,
    epoch: Option<u32>,
    heard: Option<Instant>,
}

/// The link over which a message was sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Heard {
    /// Nothing new.
    SameLink,
    /// Everything that was begun with the node before has ended.
    NewLink,
    /// The same, of a node that was not known: nothing was begun with it from here.
    NewLinkOfUnknown,
    /// The message was said over a link that has ended since.
    OldLink,
}

impl Nodes {
    /// `message` has come.
    pub(super) fn heard(&mut self, message: &Message, now: Instant) -> Heard {
        let node = self.nodes.entry(message.node).or_default();
        node.heard = Some(now);
        let Some(epoch) = message.epoch else {
            node.form.get_or_insert(Form::First);
            return Heard::SameLink;
        };
        node.form = Some(Form::Envelope);
        let heard = match (node.epoch, &message.kind) {
            (Some(known), _) if epoch == known => return Heard::SameLink,
            (Some(known), _) if epoch < known => return Heard::OldLink,
            (Some(_), _) => Heard::NewLink,
            (None, Kind::Hello { is_new_link: true }) => Heard::NewLinkOfUnknown,
            (None, _) => Heard::SameLink,
        };
        node.epoch = Some(epoch);
        heard
    }

    /// When a node was last heard.
    pub(super) fn last_heard(&self, node: u32) -> Option<Instant> {
        self.nodes.get(&node)?.heard
    }

    /// How to speak to a node; `None` for one that has not been heard.
    pub(super) fn form(&self, node: u32) -> Option<Form> {
        self.nodes.get(&node)?.form
    }

    /// This node has another link. It may have missed that others have, so none is known any more
    /// until it is heard again. Returns those that were.
    pub(super) fn relinked(&mut self) -> impl Iterator<Item = u32> + use<> {
        std::mem::take(&mut self.nodes).into_keys()
    }

    /// Forgets nodes that are silent and not among `partners`.
    pub(super) fn forget(&mut self, partners: &Set<u32>, now: Instant) {
        self.nodes.retain(|node, known| {
            let is_recent = |heard| now.saturating_duration_since(heard) < FORGET;
            partners.contains(node) || known.heard.is_some_and(is_recent)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(epoch: Option<u32>, kind: Kind) -> Message {
        let (node, number) = (7, 1);
        Message {
            node,
            epoch,
            number,
            kind,
        }
    }

    const NEW: Kind = Kind::Hello { is_new_link: true };

    #[test]
    fn a_node_is_spoken_to_as_it_speaks_itself() {
        let (mut nodes, now) = (Nodes::default(), Instant::now());
        assert_eq!(nodes.form(7), None);
        nodes.heard(&message(None, Kind::Here), now);
        assert_eq!(nodes.form(7), Some(Form::First));
        nodes.heard(&message(Some(1), Kind::Here), now);
        nodes.heard(&message(None, Kind::Gone), now);
        assert_eq!(nodes.form(7), Some(Form::Envelope));
    }

    #[test]
    fn a_new_epoch_ends_what_was_begun_before_and_an_old_one_counts_no_more() {
        let (mut nodes, now) = (Nodes::default(), Instant::now());
        let mut heard = |epoch, kind| nodes.heard(&message(epoch, kind), now);
        assert_eq!(heard(Some(3), Kind::Here), Heard::SameLink);
        assert_eq!(heard(Some(3), Kind::Gone), Heard::SameLink);
        assert_eq!(heard(Some(4), Kind::Gone), Heard::NewLink);
        assert_eq!(heard(Some(4), NEW), Heard::SameLink);
        assert_eq!(heard(Some(3), Kind::Gone), Heard::OldLink);
        assert_eq!(heard(None, Kind::Gone), Heard::SameLink);
    }

    #[test]
    fn a_node_whose_epoch_was_never_heard_can_tell_that_it_is_a_later_one() {
        let (mut nodes, now) = (Nodes::default(), Instant::now());
        let heard = nodes.heard(&message(Some(2), NEW), now);
        assert_eq!(heard, Heard::NewLinkOfUnknown);
    }

    #[test]
    fn a_node_that_is_silent_is_forgotten_unless_something_is_under_way() {
        let (mut nodes, start) = (Nodes::default(), Instant::now());
        nodes.heard(&message(Some(1), Kind::Here), start);
        nodes.forget(&Set::from_iter([7]), start + FORGET);
        assert_eq!(nodes.form(7), Some(Form::Envelope));
        nodes.forget(&Set::default(), start + FORGET);
        assert_eq!(nodes.form(7), None);
    }

    #[test]
    fn after_a_link_of_its_own_a_node_knows_no_other() {
        let (mut nodes, now) = (Nodes::default(), Instant::now());
        nodes.heard(&message(Some(2), Kind::Here), now);
        assert_eq!(nodes.relinked().collect::<Vec<_>>(), [7]);
        // It may have missed an epoch, which ends nothing that is begun from here on.
        assert_eq!(
            nodes.heard(&message(Some(3), Kind::Here), now),
            Heard::SameLink
        );
    }
}

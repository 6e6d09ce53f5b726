//! Channels that are wanted and that Redis has not been asked for.

use std::sync::Arc;

use ahash::RandomState;
use indexmap::IndexMap;

use super::{Command, Wish};

/// Channels that are wanted and that Redis has not been asked for, with their aliases.
///
/// They are asked for in the order in which they were wished, so that who subscribes to one
/// channel after the other has the answers in that order. One that is taken back gives its place
/// to the last.
#[derive(Default)]
pub(super) struct Wishes(IndexMap<Arc<str>, Vec<Arc<str>>, RandomState>);

impl Wishes {
    pub(super) fn add(&mut self, wishes: impl IntoIterator<Item = Wish>) {
        let wishes = wishes.into_iter();
        self.0
            .extend(wishes.map(|wish| (wish.channel, wish.aliases)));
    }

    /// Takes a wish back. False if there was none.
    pub(super) fn take_back(&mut self, channel: &str) -> bool {
        self.0.swap_remove(channel).is_some()
    }

    /// Takes up to `most` of them out.
    pub(super) fn take(&mut self, most: usize) -> Vec<Wish> {
        let taken = self.0.drain(..most.min(self.0.len()));
        let taken = taken.map(|(channel, aliases)| Wish { channel, aliases });
        let taken = taken.collect();
        if self.0.is_empty() {
            // After the first moments of a link there are never so many again.
            self.0 = IndexMap::default();
        }
        taken
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Does what is wanted while there is no connection. True if everything is restored.
    pub(super) fn obey(&mut self, command: Command) -> bool {
        match command {
            Command::Ask(wishes) => self.add(wishes),
            Command::GiveUp(wishes) => {
                for wish in wishes {
                    self.take_back(&wish.channel);
                }
            }
            Command::Restored => return true,
            // Who said it finds another.
            Command::Stand(_) => {}
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(channel: &str) -> Wish {
        Wish {
            channel: channel.into(),
            aliases: Vec::new(),
        }
    }

    #[test]
    fn wishes_are_taken_in_their_order() {
        let mut wishes = Wishes::default();
        wishes.add(["d", "a", "c", "b", "a"].map(wish));
        assert!(wishes.take_back("b") && !wishes.take_back("b"));
        assert_eq!(wishes.take(2), ["d", "a"].map(wish));
        assert_eq!(wishes.take(2), [wish("c")]);
        assert!(wishes.is_empty());
    }
}

//! Channels that are wanted and that Redis has not been asked for.

use std::{collections::HashMap, sync::Arc};

use ahash::RandomState;

use super::{Command, Wish};

/// Channels that are wanted and that Redis has not been asked for, with their aliases.
#[derive(Default)]
pub(super) struct Wishes(HashMap<Arc<str>, Vec<Arc<str>>, RandomState>);

impl Wishes {
    pub(super) fn add(&mut self, wishes: impl IntoIterator<Item = Wish>) {
        let wishes = wishes.into_iter();
        self.0
            .extend(wishes.map(|wish| (wish.channel, wish.aliases)));
    }

    /// Takes a wish back. False if there was none.
    pub(super) fn take_back(&mut self, channel: &str) -> bool {
        self.0.remove(channel).is_some()
    }

    /// Takes up to `most` of them out.
    pub(super) fn take(&mut self, most: usize) -> Vec<Wish> {
        let taken = self.0.extract_if(|_, _| true).take(most);
        let taken = taken.map(|(channel, aliases)| Wish { channel, aliases });
        let taken = taken.collect();
        if self.0.is_empty() {
            // After the first moments of a link there are never so many again.
            self.0 = HashMap::default();
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

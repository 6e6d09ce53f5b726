//! Replies of Redis, each to the command whose turn it is.

use std::time::Instant;

use womack_proto::subscriber::Event;

use super::{
    super::batch::{OutOfOrder, Outcome},
    Requests,
    expected::{Answer, Expected, Fatal},
    refusal::{is_about_command, is_about_slots, moved_slot},
};
use crate::{
    connect::slot,
    error_class::{ErrorClass, is_busy},
    resp::{Confirmation, Verb},
};

impl Requests {
    /// Redis confirms that a subscription has begun or ended.
    ///
    /// # Errors
    /// It is not the confirmation that is due.
    pub(in crate::subscriber) fn handle_confirmation(
        &mut self,
        confirmation: &Confirmation,
    ) -> Result<(), OutOfOrder> {
        let (verb, name) = (confirmation.verb, &confirmation.name[..]);
        if verb == Verb::UnsubscribeShard {
            self.shard_unsubscribed(name);
            return Ok(());
        }
        match self.expected.front_mut() {
            Some(Expected::Batch(batch)) => {
                batch.confirmed(verb, name)?;
                self.finish_batch();
            }
            Some(Expected::Static(asked, expected))
                if *asked == verb && expected.as_bytes() == name =>
            {
                self.expected.pop_front();
                self.static_done();
            }
            Some(Expected::Unsubscribed { left, .. }) if verb == Verb::Unsubscribe => {
                *left = left.saturating_sub(1);
                if *left == 0
                    && let Some(Expected::Unsubscribed { end, .. }) = self.expected.pop_front()
                {
                    self.ended(end);
                }
            }
            _ => return Err(OutOfOrder),
        }
        Ok(())
    }

    /// Redis refuses a command. An answer is for the driver.
    ///
    /// # Errors
    /// It concerns the whole connection.
    pub(in crate::subscriber) fn handle_refusal(
        &mut self,
        reason: String,
    ) -> Result<Option<Answer>, Fatal> {
        if let Some(moved) = moved_slot(&reason) {
            self.slot_moved(moved);
            return Ok(None);
        }
        let is_lost = ErrorClass::of_text(&reason) == ErrorClass::LinkLost;
        match self.expected.front_mut() {
            Some(Expected::Batch(batch)) => {
                let by_slot = batch.next().is_some_and(|(_, slot)| slot.is_some());
                let outcome = if is_busy(&reason) {
                    self.is_busy = true;
                    Outcome::Later
                } else if by_slot && is_about_slots(&reason) {
                    Outcome::Elsewhere
                } else if is_lost || is_about_command(&reason) {
                    return Err(Fatal(reason));
                } else {
                    Outcome::Refused(reason.into())
                };
                batch.refused(&outcome);
                self.finish_batch();
                Ok(None)
            }
            None => Err(Fatal(reason)),
            Some(_) => self.other_refused(reason, is_lost),
        }
    }

    fn other_refused(&mut self, reason: String, is_lost: bool) -> Result<Option<Answer>, Fatal> {
        match self.expected.pop_front() {
            Some(Expected::Identity(asked)) => Ok(Some(Answer::IdentityRefused(asked, reason))),
            // Any answer but these is a sign of life.
            Some(Expected::Pong(sent)) if !is_lost || is_busy(&reason) => {
                Ok(Some(Answer::Pong(sent)))
            }
            Some(Expected::Static(verb, name)) if is_busy(&reason) => {
                self.is_busy = true;
                self.later.statics.push((verb, name));
                Ok(None)
            }
            Some(Expected::Static(verb, name)) if !is_lost => {
                self.refused_statics.push((verb, name.clone()));
                self.events.push(Event::StaticRefused { name, reason });
                self.static_done();
                Ok(None)
            }
            Some(Expected::Unsubscribed { end, .. } | Expected::ShardUnsubscribed { end, .. })
                if is_busy(&reason) =>
            {
                self.is_busy = true;
                self.later.ends.push_back(end);
                Ok(None)
            }
            // An ACL that forbids to unsubscribe leaves messages that nobody wants.
            Some(Expected::Unsubscribed { end, .. }) if !is_lost => {
                self.ended(end);
                Ok(None)
            }
            Some(Expected::ShardUnsubscribed { .. }) => Ok(None),
            _ => Err(Fatal(reason)),
        }
    }

    /// Redis answers a ping.
    ///
    /// # Errors
    /// None is due.
    pub(in crate::subscriber) fn handle_pong(&mut self) -> Result<Answer, OutOfOrder> {
        match self.expected.pop_front() {
            Some(Expected::Pong(sent)) => Ok(Answer::Pong(sent)),
            _ => Err(OutOfOrder),
        }
    }

    /// Redis answers the question for its identity. Returns when it was asked.
    ///
    /// # Errors
    /// It was not asked.
    pub(in crate::subscriber) fn handle_identity(&mut self) -> Result<Instant, OutOfOrder> {
        match self.expected.pop_front() {
            Some(Expected::Identity(asked)) => Ok(asked),
            _ => Err(OutOfOrder),
        }
    }

    /// A channel of one slot is subscribed no more: it was given up, or its slot has moved away.
    fn shard_unsubscribed(&mut self, name: &[u8]) {
        let name = str::from_utf8(name).unwrap_or_default();
        if let Some(node) = &mut self.node
            && let Some((channel, aliases)) = node.live.get_key_value(name)
        {
            // Nobody gave it up.
            node.ending.extend(aliases.iter().chain([channel]).cloned());
            return node.moved_away.push(channel.clone());
        }
        // Confirmed a moment ago, by a batch that is not done.
        if let Some(Expected::Batch(batch)) = self.expected.front_mut()
            && batch.moved_away(name)
        {
            return;
        }
        if let Some(Expected::ShardUnsubscribed { left, end }) = self.expected.front_mut()
            && end.slot == Some(slot(name))
        {
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.expected.pop_front();
            }
        }
    }

    /// The command in front is for a slot that another node has. If it is for another slot, the
    /// error belongs to a channel that was given up: when the slot moves, Redis ends its
    /// subscription unasked, which looks like the answer that was due.
    fn slot_moved(&mut self, slot: u16) {
        match self.expected.front_mut() {
            Some(Expected::Batch(batch)) if matches!(batch.next(), Some((_, Some(asked))) if asked == slot) =>
            {
                batch.refused(&Outcome::Elsewhere);
                self.finish_batch();
            }
            Some(Expected::ShardUnsubscribed { end, .. }) if end.slot == Some(slot) => {
                self.expected.pop_front();
            }
            _ => {}
        }
    }
}

//! The last events of a client, to be read when a promise was broken.

use std::collections::VecDeque;
use std::fmt;

use super::world::{Channel, World};

/// Messages that are remembered of a client.
const MESSAGES: usize = 300;
/// Other facts that are remembered of a client.
const FACTS: usize = 2000;
/// Messages, and other facts, that a story tells.
const TOLD: usize = 30;

/// An event of a client.
pub(super) enum Fact {
    Asked {
        number: u64,
        subscribes: bool,
        acked: bool,
        channels: Vec<Channel>,
    },
    Answered {
        number: u64,
        answer: Result<(), String>,
    },
    Message {
        channel: Channel,
        number: u64,
    },
    Gap {
        channels: Vec<Channel>,
        from: u64,
        to: u64,
    },
    Note(String),
}

/// The last facts of a client.
#[derive(Default)]
pub(super) struct Story {
    facts: VecDeque<(u64, Fact)>,
    messages: VecDeque<(u64, Fact)>,
}

impl Story {
    pub(super) fn add(&mut self, at: u64, fact: Fact) {
        let (facts, most) = match fact {
            Fact::Message { .. } => (&mut self.messages, MESSAGES),
            _ => (&mut self.facts, FACTS),
        };
        if facts.len() == most {
            facts.pop_front();
        }
        facts.push_back((at, fact));
    }

    /// The facts that concern a channel, or all, with the outages of that time.
    pub(super) fn tell(&self, world: &World, now: u64, channel: Option<&str>) -> String {
        let mut asked = Vec::new();
        let mut concerns = |fact: &Fact| match (fact, channel) {
            (_, None) | (Fact::Note(_), _) => true,
            (
                Fact::Asked {
                    number, channels, ..
                },
                Some(channel),
            ) => {
                let concerns = channels.iter().any(|found| **found == *channel);
                if concerns {
                    asked.push(*number);
                }
                concerns
            }
            (Fact::Answered { number, .. }, _) => asked.contains(number),
            (Fact::Message { channel: found, .. }, Some(channel)) => **found == *channel,
            (Fact::Gap { channels, .. }, Some(channel)) => {
                channels.iter().any(|found| **found == *channel)
            }
        };
        let mut lines: Vec<(u64, String)> = Vec::new();
        for facts in [&self.facts, &self.messages] {
            let told: Vec<_> = facts.iter().filter(|(_, fact)| concerns(fact)).collect();
            let skipped = told.len().saturating_sub(TOLD);
            lines.extend(
                told[skipped..]
                    .iter()
                    .map(|(at, fact)| (*at, fact.tell(world))),
            );
        }
        lines.sort_by_key(|(at, _)| *at);
        let since = lines
            .first()
            .map_or(now, |(at, _)| at.saturating_sub(10_000));
        for (place, link) in world.links.iter().enumerate() {
            for outage in link.outages() {
                if outage.to.is_none_or(|to| to >= since) {
                    let (kind, from) = (outage.kind, outage.from);
                    lines.push((from, format!("=== link {place}: {kind:?} begins")));
                    if let Some(to) = outage.to.filter(|to| *to > from) {
                        lines.push((to, format!("=== link {place}: {kind:?} ends")));
                    }
                }
            }
        }
        lines.sort_by_key(|(at, _)| *at);
        let lines = lines.into_iter();
        lines
            .map(|(at, text)| format!("    {:>10} {text}\n", world.seconds(at)))
            .collect()
    }
}

impl Fact {
    fn tell(&self, world: &World) -> String {
        match self {
            Self::Asked {
                number,
                subscribes,
                acked,
                channels,
            } => {
                let word = if *subscribes {
                    "subscribe"
                } else {
                    "unsubscribe"
                };
                let end = if *acked { "" } else { " (no answer wanted)" };
                format!("--> {number}: {word} {}{end}", Names(channels))
            }
            Self::Answered {
                number,
                answer: Ok(()),
            } => format!("<-- {number}: ok"),
            Self::Answered {
                number,
                answer: Err(code),
            } => format!("<-- {number}: {code}"),
            Self::Message { channel, number } => {
                let found = world.publication(channel, *number);
                let at = found.map_or_else(String::new, |found| world.seconds(found.before));
                format!("<-- {channel}: {number} (published {at})")
            }
            Self::Gap { channels, from, to } => {
                let (from, to) = (world.seconds(*from), world.seconds(*to));
                format!("<-- gap {from}–{to} of {}", Names(channels))
            }
            Self::Note(text) => format!("... {text}"),
        }
    }
}

/// Some channels, separated by spaces.
struct Names<'a>(&'a [Channel]);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" "))
    }
}

//! The Redis channels that publishers of other families publish on.
//!
//! Some are fixed: they are subscribed as long as the link stands. Others name a room or a
//! channel; those are *aliases* of the channels that clients want, and come and go with them, so
//! that a node gets only what its clients want. What is for one session by its id comes by a
//! pattern: the ids that a node gives out begin with the same characters.

use std::sync::Arc;

use womack_proto::{
    NamespaceId,
    publishers::{juggernaut, laravel},
};

use crate::{
    config::Publishers,
    namespace::{Entry, Registry},
    sid::SidSource,
};

/// The setting that names redis-emitter's publishers.
const EMITTER_KEY: &str = "emitter-key";
/// The namespace of those families that know no others.
const ROOT: NamespaceId = NamespaceId(0);

/// The families that are listened to, and where.
#[derive(Default)]
pub(crate) struct Families {
    emitters: Vec<Emitter>,
    python: Option<Arc<str>>,
    juggernaut: bool,
    laravel_prefix: Option<String>,
}

/// Where redis-emitter publishes for one namespace.
struct Emitter {
    namespace: NamespaceId,
    path: String,
    /// Begins the channel of every broadcast; alone, the channel of those for several rooms.
    broadcasts: String,
    requests: Arc<str>,
    /// Match the channels of broadcasts for one session of this node, by its id alone or with the
    /// path before it.
    patterns: [String; 2],
}

impl Emitter {
    fn new(key: &str, namespace: NamespaceId, entry: &Entry, sids: &SidSource) -> Self {
        let path = entry.path.clone();
        let broadcasts = format!("{key}#{path}#");
        let (escaped, beginning) = (escape(&broadcasts), sids.beginning());
        Self {
            namespace,
            requests: format!("{key}-request#{path}#").into(),
            patterns: [
                format!("{escaped}{beginning}*#"),
                format!("{escaped}{}#{beginning}*#", escape(&path)),
            ],
            broadcasts,
            path,
        }
    }
}

/// Who publishes on a Redis channel.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Origin<'a> {
    /// redis-emitter, an event for clients in `room`; without a room, for any.
    Broadcast {
        /// The path of the namespace.
        path: &'a str,
        /// The room, or nothing.
        room: &'a str,
    },
    /// redis-emitter, something else.
    Request {
        /// The path of the namespace.
        path: &'a str,
    },
    /// python-socketio.
    Python,
    /// Laravel, on this channel of its own.
    Laravel {
        /// The channel, without Laravel's prefix.
        channel: &'a str,
    },
    /// Juggernaut.
    Juggernaut,
}

impl Origin<'_> {
    /// The family as a metric label.
    pub(crate) const fn family(&self) -> &'static str {
        match self {
            Self::Broadcast { .. } | Self::Request { .. } => "emitter",
            Self::Python => "python",
            Self::Laravel { .. } => "laravel",
            Self::Juggernaut => "juggernaut",
        }
    }
}

/// Why publishers of other families cannot be listened to.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishersError {
    /// A channel would be a publisher's and one of the server's own.
    #[error(
        "{setting} and the key of a namespace overlap: publishers would have the channel \
         {channel:?}, and clients those that begin with {own:?}"
    )]
    Overlap {
        /// The setting that names the publishers.
        setting: &'static str,
        /// The publisher's channel.
        channel: String,
        /// The key of a namespace, and the colon after it.
        own: String,
    },
    /// A channel would be that of two families.
    #[error("{setting} and {other} name publishers with the same channel, {channel:?}")]
    Shared {
        /// The setting that names the one family.
        setting: &'static str,
        /// The setting that names the other.
        other: &'static str,
        /// The channel.
        channel: String,
    },
    /// A namespace's path has a `#`, which ends a path in the channels of redis-emitter.
    #[error("emitter-key cannot tell the namespace {path} from a room")]
    Ambiguous {
        /// The path.
        path: String,
    },
}

impl Families {
    /// The families that `config` names.
    ///
    /// # Errors
    /// Two of them, or one and the server's own channels, would be the same.
    pub(crate) fn new(
        config: &Publishers,
        registry: &Registry,
        sids: &SidSource,
    ) -> Result<Self, PublishersError> {
        let emitter = |key: &String| {
            let all = registry.iter();
            let emitters = all.map(|(namespace, entry)| Emitter::new(key, namespace, entry, sids));
            emitters.collect()
        };
        let emitters = config.emitter_key.as_ref().map(emitter);
        let families = Self {
            emitters: emitters.unwrap_or_default(),
            python: config.python_channel.as_deref().map(Arc::from),
            juggernaut: config.juggernaut,
            laravel_prefix: config.laravel_prefix.clone(),
        };
        families.check(registry)?;
        Ok(families)
    }

    /// Channels that are subscribed whoever is there.
    pub(crate) fn fixed(&self) -> Vec<Arc<str>> {
        let fixed = self.fixed_by_setting();
        fixed.map(|(_, channel)| Arc::from(channel)).collect()
    }

    /// The same, each with the setting that names its publishers.
    fn fixed_by_setting(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let broadcasts = self.emitters.iter().map(|emitter| &*emitter.broadcasts);
        let requests = self.emitters.iter().map(|emitter| &*emitter.requests);
        let emitters = broadcasts.chain(requests);
        let python = self.python.as_deref();
        let juggernaut = self.juggernaut.then_some(juggernaut::CHANNEL);
        let emitters = emitters.map(|channel| (EMITTER_KEY, channel));
        let python = python.map(|channel| ("python-channel", channel));
        let juggernaut = juggernaut.map(|channel| ("juggernaut", channel));
        emitters.chain(python).chain(juggernaut)
    }

    /// Patterns that are subscribed whoever is there.
    pub(crate) fn patterns(&self) -> Vec<String> {
        let patterns = self.emitters.iter().flat_map(|emitter| &emitter.patterns);
        patterns.cloned().collect()
    }

    /// What else is published on for those who want `channel`.
    pub(crate) fn aliases(
        &self,
        channel: &str,
        registry: &Registry,
    ) -> impl Iterator<Item = String> {
        let emitters = self.emitters.iter().filter_map(move |emitter| {
            let room = registry.channel(emitter.namespace, channel)?;
            Some(format!("{}{room}#", emitter.broadcasts))
        });
        let laravel = self.laravel_prefix.as_ref().and_then(|prefix| {
            let name = registry.channel(ROOT, channel)?;
            let alias = format!("{prefix}{name}");
            matches!(self.origin(&alias, registry), Some(Origin::Laravel { .. })).then_some(alias)
        });
        emitters.chain(laravel)
    }

    /// Who publishes on a Redis channel that is none of the server's own.
    pub(crate) fn origin<'a>(
        &'a self,
        channel: &'a str,
        registry: &Registry,
    ) -> Option<Origin<'a>> {
        if self.juggernaut && channel == juggernaut::CHANNEL {
            return Some(Origin::Juggernaut);
        }
        if self.python.as_deref() == Some(channel) {
            return Some(Origin::Python);
        }
        for emitter in &self.emitters {
            let path = &emitter.path;
            if *emitter.requests == *channel {
                return Some(Origin::Request { path });
            }
            if let Some(room) = channel.strip_prefix(&emitter.broadcasts) {
                return Some(Origin::Broadcast {
                    path,
                    room: room.strip_suffix('#').unwrap_or(room),
                });
            }
        }
        // The application decides who may be in a guarded channel; nobody asks it here.
        let name = channel.strip_prefix(self.laravel_prefix.as_deref()?)?;
        let is_own = registry
            .iter()
            .any(|(id, _)| registry.channel(id, channel).is_some());
        (!is_own && !laravel::is_guarded(name)).then_some(Origin::Laravel { channel: name })
    }

    /// Checks that no channel means two things.
    fn check(&self, registry: &Registry) -> Result<(), PublishersError> {
        let fixed: Vec<_> = self.fixed_by_setting().collect();
        for (at, &(setting, channel)) in fixed.iter().enumerate() {
            let mut others = registry.iter().map(|(_, entry)| format!("{}:", entry.key));
            let own = others.find(|own| {
                channel.starts_with(own.as_str())
                    || self
                        .emitters
                        .iter()
                        .any(|emitter| own.starts_with(&emitter.broadcasts))
            });
            if let Some(own) = own {
                return Err(PublishersError::Overlap {
                    setting,
                    channel: channel.to_owned(),
                    own,
                });
            }
            let is_broadcast = |emitter: &Emitter| {
                at >= self.emitters.len() && channel.starts_with(&emitter.broadcasts)
            };
            let mut earlier = fixed[..at].iter();
            let shared = earlier.find(|(_, other)| *other == channel);
            let other = match shared {
                Some((other, _)) => Some(*other),
                None if self.emitters.iter().any(is_broadcast) => Some(EMITTER_KEY),
                None => None,
            };
            if let Some(other) = other {
                return Err(PublishersError::Shared {
                    setting,
                    other,
                    channel: channel.to_owned(),
                });
            }
        }
        let ambiguous = self
            .emitters
            .iter()
            .find(|emitter| emitter.path.contains('#'));
        match ambiguous {
            Some(emitter) => Err(PublishersError::Ambiguous {
                path: emitter.path.clone(),
            }),
            None => Ok(()),
        }
    }
}

/// A pattern that matches `text` alone.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '*' | '?' | '[' | '\\') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use super::*;
    use crate::namespace::Channels;

    fn registry(namespaces: &[(&str, &str)]) -> Registry {
        let entries = namespaces.iter().map(|&(path, key)| Entry {
            path: path.to_owned(),
            key: key.to_owned(),
            coalesce: Duration::ZERO,
            slow_client: Default::default(),
            max_messages_per_second: 0,
            presence: false,
            handler: Arc::new(Channels::default()),
        });
        Registry::new(entries.collect())
    }

    fn all() -> Publishers {
        Publishers {
            emitter_key: Some("socket.io".into()),
            python_channel: Some("socketio".into()),
            laravel_prefix: Some("laravel:".into()),
            juggernaut: true,
        }
    }

    fn families(config: &Publishers, registry: &Registry) -> Result<Families, PublishersError> {
        Families::new(config, registry, &SidSource::new().unwrap())
    }

    const NAMESPACES: [(&str, &str); 2] = [("/", "womack:ns:default"), ("/a", "other")];

    #[test]
    fn origins_are_told_by_the_channel() {
        let registry = registry(&NAMESPACES);
        let families = families(&all(), &registry).unwrap();
        let broadcast = |path, room| Some(Origin::Broadcast { path, room });
        for (channel, origin) in [
            ("socket.io#/#", broadcast("/", "")),
            ("socket.io#/#r#", broadcast("/", "r")),
            ("socket.io#/#r#s#", broadcast("/", "r#s")),
            ("socket.io#/a#r#", broadcast("/a", "r")),
            ("socket.io#/b#r#", None),
            (
                "socket.io-request#/a#",
                Some(Origin::Request { path: "/a" }),
            ),
            ("socket.io-response#/a#", None),
            ("socketio", Some(Origin::Python)),
            ("juggernaut", Some(Origin::Juggernaut)),
            ("laravel:r", Some(Origin::Laravel { channel: "r" })),
            ("laravel:private-r", None),
            ("laravel:database_private-r", None),
            ("womack:ns:default:r", None),
        ] {
            assert_eq!(families.origin(channel, &registry), origin, "{channel}");
        }
        let none = Families::default();
        for channel in ["socket.io#/#", "socketio", "juggernaut", "r"] {
            assert_eq!(none.origin(channel, &registry), None, "{channel}");
        }
    }

    #[test]
    fn aliases_are_where_else_a_channels_messages_come_from() {
        let registry = registry(&NAMESPACES);
        let families = families(&all(), &registry).unwrap();
        for (channel, expected) in [
            ("womack:ns:default:r", &["socket.io#/#r#", "laravel:r"][..]),
            ("other:r", &["socket.io#/a#r#"]),
            ("womack:ns:default:private-r", &["socket.io#/#private-r#"]),
        ] {
            let aliases: Vec<_> = families.aliases(channel, &registry).collect();
            assert_eq!(aliases, expected, "{channel}");
            for alias in aliases {
                assert!(families.origin(&alias, &registry).is_some(), "{alias}");
            }
        }
    }

    /// Otherwise whoever subscribed to a channel of such a name could unsubscribe it for all.
    #[test]
    fn no_channel_of_a_client_is_an_alias_of_what_others_rely_on() {
        let registry = registry(&NAMESPACES);
        let config = Publishers {
            laravel_prefix: Some(String::new()),
            ..all()
        };
        let families = families(&config, &registry).unwrap();
        for name in [
            "womack:ns:default:r",
            "other:r",
            "socket.io#/#r#",
            "socket.io#/#",
            "socket.io-request#/#",
            "socketio",
            "juggernaut",
        ] {
            let channel = format!("womack:ns:default:{name}");
            let aliases: Vec<_> = families.aliases(&channel, &registry).collect();
            assert_eq!(aliases, [format!("socket.io#/#{name}#")]);
        }
    }

    #[test]
    fn patterns_match_the_rooms_of_single_sessions() {
        let registry = registry(&[("/", "womack:ns:default"), ("/*", "other")]);
        let sids = SidSource::new().unwrap();
        let families = Families::new(&all(), &registry, &sids).unwrap();
        let beginning = sids.beginning();
        let expected = [
            format!("socket.io#/#{beginning}*#"),
            format!("socket.io#/#/#{beginning}*#"),
            format!("socket.io#/\\*#{beginning}*#"),
            format!("socket.io#/\\*#/\\*#{beginning}*#"),
        ];
        assert_eq!(families.patterns(), expected);
    }

    #[test]
    fn two_meanings_of_one_channel_are_refused() {
        let python = |channel: &str| Publishers {
            python_channel: Some(channel.into()),
            ..all()
        };
        for (config, namespaces, settings) in [
            (
                python("juggernaut"),
                &NAMESPACES[..],
                "juggernaut and python-channel name",
            ),
            (
                python("other:x"),
                &NAMESPACES,
                "python-channel and the key of a namespace overlap",
            ),
            (
                python("socket.io#/#x#"),
                &NAMESPACES,
                "python-channel and emitter-key name",
            ),
            (
                all(),
                &[("/", "socket.io#/#x")],
                "emitter-key and the key of a namespace overlap",
            ),
            (
                all(),
                &[("/", "womack:ns:default"), ("/#", "womack:ns:default")],
                "emitter-key cannot tell",
            ),
        ] {
            let refused = families(&config, &registry(namespaces)).err();
            let text = refused.map_or_else(String::new, |error| error.to_string());
            assert!(text.starts_with(settings), "{namespaces:?}: {text}");
        }
    }
}

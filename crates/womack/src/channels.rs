//! The stock namespace: clients subscribe to channels and get what is published there.

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use womack_proto::{Channel, ChannelError, Event};

use crate::{
    config::Config,
    namespace::{Client, Namespace},
};

/// The stock behaviour of a namespace: the client events `subscribe` and `unsubscribe`.
#[derive(Clone, Debug)]
pub struct Channels {
    key: Option<String>,
    max_channel_bytes: usize,
    max_channels_per_client: usize,
}

impl Channels {
    /// The stock behaviour within `config`'s limits; `key` is the Redis channel prefix, `None`
    /// means the server's.
    pub fn new(config: &Config, key: Option<String>) -> Self {
        Self {
            key,
            max_channel_bytes: config.max_channel_bytes,
            max_channels_per_client: config.max_channels_per_client,
        }
    }

    fn subscribe(&self, client: &mut Client<'_>, event: &Event) -> Result<(), Problem> {
        let names = Names::of(event)?;
        let channels = self.channels(&names)?;
        let new = channels
            .iter()
            .filter(|channel| !client.is_in(channel))
            .count();
        if client.channel_count() + new > self.max_channels_per_client {
            return Err(Problem::TooManyChannels(self.max_channels_per_client));
        }
        match event.ack {
            None => channels
                .into_iter()
                .for_each(|channel| client.join(channel)),
            Some(ack) => {
                let live = success(&names);
                client.join_acknowledged(channels, ack, &live, &Problem::Unavailable.answer());
            }
        }
        Ok(())
    }

    fn unsubscribe(&self, client: &mut Client<'_>, event: &Event) -> Result<(), Problem> {
        let names = Names::of(event)?;
        for channel in self.channels(&names)? {
            client.leave(channel);
        }
        if let Some(ack) = event.ack {
            client.acknowledge(ack, &success(&names));
        }
        Ok(())
    }

    fn channels(&self, names: &Names) -> Result<Vec<Channel>, Problem> {
        let mut channels: Vec<Channel> = names
            .0
            .iter()
            .map(|name| Channel::parse(name, self.max_channel_bytes))
            .collect::<Result<_, _>>()?;
        channels.sort_unstable();
        channels.dedup();
        Ok(channels)
    }
}

impl Namespace for Channels {
    fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    fn on_event(&self, client: &mut Client<'_>, event: &Event) {
        let done = match event.name.as_str() {
            "subscribe" => self.subscribe(client, event),
            "unsubscribe" => self.unsubscribe(client, event),
            _ => Err(Problem::UnknownEvent),
        };
        if let (Err(problem), Some(ack)) = (done, event.ack) {
            client.acknowledge(ack, &problem.answer());
        }
    }
}

/// The channel names in the argument of a `subscribe` or an `unsubscribe`.
#[derive(Debug, Eq, PartialEq)]
struct Names(SmallVec<[String; 1]>);

impl Names {
    fn of(event: &Event) -> Result<Self, Problem> {
        #[derive(Deserialize)]
        struct Argument {
            channel: Option<OneOrMany>,
            channels: Option<OneOrMany>,
        }
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum OneOrMany {
            One(String),
            Many(SmallVec<[String; 1]>),
        }
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Names(OneOrMany),
            Object(Argument),
        }
        let (form,): (Form,) = event.decode_args().map_err(|_| Problem::BadRequest)?;
        let names = |names| match names {
            OneOrMany::One(name) => smallvec::smallvec![name],
            OneOrMany::Many(names) => names,
        };
        let found = match form {
            Form::Names(found) => names(found),
            Form::Object(Argument { channel, channels }) => {
                let mut found: SmallVec<[String; 1]> = channel.map(names).unwrap_or_default();
                found.extend(channels.map(names).unwrap_or_default());
                found
            }
        };
        if found.is_empty() {
            return Err(Problem::BadRequest);
        }
        Ok(Self(found))
    }
}

/// Why a request is not done; what its acknowledgement says.
#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("the argument is neither {{\"channel\": ...}} nor {{\"channels\": [...]}}")]
    BadRequest,
    #[error("{0}")]
    BadChannel(#[from] ChannelError),
    #[error("a client may subscribe to {0} channels at most")]
    TooManyChannels(usize),
    #[error("the message source did not confirm in time")]
    Unavailable,
    #[error("there is no such event")]
    UnknownEvent,
}

impl Problem {
    const fn code(&self) -> &'static str {
        match self {
            Self::BadRequest | Self::UnknownEvent => "bad_request",
            Self::BadChannel(_) => "bad_channel",
            Self::TooManyChannels(_) => "too_many_channels",
            Self::Unavailable => "unavailable",
        }
    }

    fn answer(&self) -> String {
        #[derive(Serialize)]
        struct Answer<'a> {
            ok: bool,
            error: &'a str,
            message: String,
        }
        to_json(&Answer {
            ok: false,
            error: self.code(),
            message: self.to_string(),
        })
    }
}

fn success(names: &Names) -> String {
    #[derive(Serialize)]
    struct Answer<'a> {
        ok: bool,
        channels: &'a [String],
    }
    to_json(&Answer {
        ok: true,
        channels: &names.0,
    })
}

fn to_json(answer: &impl Serialize) -> String {
    serde_json::to_string(answer).expect("structs of strings and flags are always JSON")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::namespace::{Action, Memberships, View};

    struct Joined(Vec<&'static str>);

    impl Memberships for Joined {
        fn count(&self) -> usize {
            self.0.len()
        }

        fn contains(&self, channel: &Channel) -> bool {
            self.0.contains(&channel.as_str())
        }
    }

    fn actions(name: &str, args: &str, joined: &[&'static str]) -> Vec<String> {
        let config = Config {
            max_channels_per_client: 3,
            max_channel_bytes: 5,
            ..Config::default()
        };
        let event = Event {
            name: name.to_owned(),
            args: args.to_owned(),
            attachments: Vec::new(),
            ack: Some(7),
        };
        let mut actions = Vec::new();
        let joined = Joined(joined.to_vec());
        let view = View {
            id: "id",
            namespace: "/",
            auth: None,
            channels: &joined,
        };
        Channels::new(&config, None).on_event(&mut Client::new(view, &mut actions), &event);
        actions
            .into_iter()
            .map(|action| match action {
                Action::Leave(channel) => format!("leave {}", channel.as_str()),
                Action::Acknowledge { ack, args, .. } => format!("ack {ack} {args}"),
                Action::JoinAcknowledged(join) => format!("join, ack {} {}", join.ack, join.live),
                _ => "other".to_owned(),
            })
            .collect()
    }

    #[test]
    fn every_argument_form_subscribes() {
        for args in [
            r#"{"channel":"a"}"#,
            r#"{"channels":["a"]}"#,
            r#"{"channels":"a"}"#,
            r#"{"channel":["a"]}"#,
            r#""a""#,
            r#"["a"]"#,
        ] {
            let expected = r#"join, ack 7 {"ok":true,"channels":["a"]}"#;
            assert_eq!(actions("subscribe", args, &[]), [expected], "{args}");
        }
    }

    #[test]
    fn mistakes_are_answered_with_their_code() {
        for (args, code) in [
            ("", "bad_request"),
            ("1", "bad_request"),
            ("{}", "bad_request"),
            (r#"{"channels":[]}"#, "bad_request"),
            (r#"{"channel":1}"#, "bad_request"),
            (r#"{"channel":"a"},{"channel":"b"}"#, "bad_request"),
            (r#"{"channel":""}"#, "bad_channel"),
            (r#"{"channel":"connect"}"#, "bad_channel"),
            (r#"{"channel":"abcdef"}"#, "bad_channel"),
            (r#"{"channels":["b","c","d"]}"#, "too_many_channels"),
        ] {
            let actions = actions("subscribe", args, &["a"]);
            assert_eq!(actions.len(), 1, "{args}");
            assert!(
                actions[0].contains(&format!("\"error\":\"{code}\"")),
                "{args}: {actions:?}"
            );
        }
    }

    #[test]
    fn a_channel_joined_before_does_not_count_again() {
        let done = actions(
            "subscribe",
            r#"{"channels":["a","b","b"]}"#,
            &["a", "b", "c"],
        );
        assert!(done[0].starts_with("join"), "{done:?}");
    }

    #[test]
    fn unsubscribe_leaves_and_says_so() {
        let done = actions("unsubscribe", r#"{"channel":"a"}"#, &["a"]);
        assert_eq!(done, ["leave a", r#"ack 7 {"ok":true,"channels":["a"]}"#]);
    }
}

//! The stock namespace: clients subscribe to channels and get what is published there.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use smallvec::SmallVec;
use womack_ledger::Limit;
use womack_proto::{Event, Revision, publishers::juggernaut::Request};

use super::{Client, Namespace, join::success, problem::Problem, requests::ChannelLimits};
use crate::{encoding::Dialect, limits::Limits, live::Live};

/// The stock behaviour of a namespace: the client events `subscribe`, `unsubscribe`, `meta`,
/// `event` and `presence`; where the server is told so, Juggernaut's messages too.
#[derive(Clone, Debug, Default)]
pub struct Channels {
    settings: ChannelsSettings,
}

/// The settings of the stock namespace.
#[derive(Clone, Debug, Default)]
pub struct ChannelsSettings {
    /// The Redis channel prefix; `None` means the server's.
    pub key: Option<String>,
    /// The limits of clients.
    pub limits: Live<Limits>,
    /// Whether `event` is understood.
    pub client_events: bool,
    /// Namespaces, by their path, where clients may ask who is in a channel.
    pub presence: Vec<String>,
    /// Whether messages are understood as Juggernaut did.
    pub juggernaut: bool,
}

impl Channels {
    /// The stock behaviour with these settings.
    pub const fn new(settings: ChannelsSettings) -> Self {
        Self { settings }
    }

    fn channel_limits(&self) -> ChannelLimits {
        ChannelLimits::of(&self.settings.limits.load())
    }

    /// Does what an event asks for.
    fn request(&self, client: &mut Client<'_>, event: &Event) -> Result<(), Problem> {
        match event.name.as_str() {
            "subscribe" => self.subscribe(client, event),
            "unsubscribe" => self.unsubscribe(client, event),
            "meta" => self.meta(client, event),
            "event" => self.event(client, event),
            "presence" => self.presence(client, event),
            "message" if self.settings.juggernaut && client.revision() == Revision::Legacy => {
                client.speak(Dialect::Juggernaut);
                self.request(client, &translate(event)?)
            }
            _ => Err(Problem::UnknownEvent),
        }
    }

    fn subscribe(&self, client: &mut Client<'_>, event: &Event) -> Result<(), Problem> {
        let names = Names::of(event)?;
        let limits = self.channel_limits();
        let channels = limits.channels(&names.0)?;
        limits.admit(&channels, client.memberships())?;
        match event.ack {
            None => channels
                .into_iter()
                .for_each(|channel| client.join(channel)),
            Some(ack) => client.subscribe_acknowledged(channels, ack),
        }
        Ok(())
    }

    fn unsubscribe(&self, client: &mut Client<'_>, event: &Event) -> Result<(), Problem> {
        let names = Names::of(event)?;
        for channel in self.channel_limits().channels(&names.0)? {
            client.leave(channel);
        }
        if let Some(ack) = event.ack {
            client.acknowledge(ack, &success(&names.0));
        }
        Ok(())
    }

    fn meta(&self, client: &mut Client<'_>, event: &Event) -> Result<(), Problem> {
        let most = self.settings.limits.load().max_meta_bytes;
        let meta = argument(client, event, Limit::MaxMetaBytes, most)?;
        client.set_meta(meta);
        if let Some(ack) = event.ack {
            client.acknowledge(ack, DONE);
        }
        Ok(())
    }

    fn event(&self, client: &mut Client<'_>, event: &Event) -> Result<(), Problem> {
        if !self.settings.client_events {
            return Err(Problem::EventForbidden);
        }
        let most = self.settings.limits.load().max_event_bytes;
        let data = argument(client, event, Limit::MaxEventBytes, most)?;
        client.report(data);
        if let Some(ack) = event.ack {
            client.acknowledge(ack, DONE);
        }
        Ok(())
    }

    fn presence(&self, client: &mut Client<'_>, event: &Event) -> Result<(), Problem> {
        if !self
            .settings
            .presence
            .iter()
            .any(|path| path == client.namespace())
        {
            return Err(Problem::PresenceForbidden);
        }
        let names = Names::of(event)?;
        let [name] = names.0.as_slice() else {
            return Err(Problem::BadRequest);
        };
        let channel = self.channel_limits().channel(name)?;
        // Whoever wants no answer gets none.
        if let Some(ack) = event.ack {
            client.acknowledge_presence(channel, ack, &Problem::Unavailable.answer());
        }
        Ok(())
    }
}

impl Namespace for Channels {
    fn key(&self) -> Option<&str> {
        self.settings.key.as_deref()
    }

    fn is_open(&self) -> bool {
        true
    }

    fn on_event(&self, client: &mut Client<'_>, event: &Event) {
        let Err(problem) = self.request(client, event) else {
            return;
        };
        if let Some(limit) = problem.limit() {
            client.limit(limit);
        }
        if let Some(ack) = event.ack {
            client.acknowledge(ack, &problem.answer());
        }
    }
}

/// The event that asks for what a message of Juggernaut's client does. The message is an object, or
/// a text that has one.
fn translate(message: &Event) -> Result<Event, Problem> {
    let text = message.decode_args().ok().map(|(text,): (String,)| text);
    let request = Request::decode(text.as_ref().unwrap_or(&message.args));
    let (name, args) = match request.map_err(|_| Problem::NoJuggernautRequest)? {
        Request::Subscribe(channel) => ("subscribe", to_json(&channel)),
        Request::Unsubscribe(channel) => ("unsubscribe", to_json(&channel)),
        Request::Meta(json) => ("meta", json.to_owned()),
        Request::Event(json) => ("event", json.to_owned()),
    };
    Ok(Event {
        name: name.to_owned(),
        args,
        attachments: Vec::new(),
        ack: message.ack,
    })
}

/// What a request without anything to tell is answered.
const DONE: &str = r#"{"ok":true}"#;

/// The one argument of an event, any JSON within the named limit.
fn argument(
    client: &mut Client<'_>,
    event: &Event,
    limit: Limit,
    most: usize,
) -> Result<Box<RawValue>, Problem> {
    if event.args.len() > most {
        client.limit(limit);
        return Err(Problem::TooLarge(most));
    }
    // Whoever reads it elsewhere must be able to: neither nested without end nor half a character.
    let plain = event.decode_args::<(serde_json::Value,)>().is_ok();
    let one = event.decode_args().ok().map(|(argument,)| argument);
    one.filter(|_| plain && event.attachments.is_empty())
        .ok_or(Problem::NotOneArgument)
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

fn to_json(answer: &impl Serialize) -> String {
    serde_json::to_string(answer).expect("strings and structs of them are always JSON")
}

#[cfg(test)]
mod tests {
    use womack_proto::Channel;

    use super::*;
    use crate::{
        namespace::join::JoinReply,
        namespace::{Action, Memberships, View},
    };

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
        actions_of(Revision::V4, name, args, joined)
    }

    fn actions_of(
        revision: Revision,
        name: &str,
        args: &str,
        joined: &[&'static str],
    ) -> Vec<String> {
        let settings = ChannelsSettings {
            limits: Limits {
                max_channels_per_client: 3,
                max_channel_bytes: 5,
                max_meta_bytes: 8,
                max_event_bytes: 9,
                ..Limits::default()
            }
            .into(),
            client_events: true,
            presence: vec!["/".to_owned()],
            juggernaut: true,
            ..ChannelsSettings::default()
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
            revision,
            namespace: "/",
            auth: None,
            meta: None,
            channels: &joined,
        };
        Channels::new(settings).on_event(&mut Client::new(view, &mut actions), &event);
        actions
            .into_iter()
            .map(|action| match action {
                Action::Leave(channel) => format!("leave {}", channel.as_str()),
                Action::Acknowledge { ack, args, .. } => format!("ack {ack} {args}"),
                Action::JoinAcknowledged(join) => {
                    let how = match join.dialect {
                        Dialect::Events => "join",
                        Dialect::Juggernaut => "join for messages",
                    };
                    let JoinReply::Ack(ack) = join.answer.reply else {
                        panic!("{:?}", join.answer);
                    };
                    let names: Vec<_> = join.channels.iter().map(Channel::as_str).collect();
                    format!("{how}, ack {ack} {}", join.answer.text(Ok(&names)))
                }
                Action::SetMeta(meta) => format!("meta {meta}"),
                Action::Report(data) => format!("report {data}"),
                Action::AcknowledgePresence { channel, ack, .. } => {
                    format!("presence of {}, ack {ack}", channel.as_str())
                }
                Action::Limit(limit) => format!("limit {}", limit.as_str()),
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
    fn messages_of_juggernauts_clients_are_requests() {
        let ok = r#"ack 7 {"ok":true}"#;
        let ok_channel = r#"ack 7 {"ok":true,"channels":["a"]}"#;
        let join = format!("join for messages, {ok_channel}");
        for (message, expected) in [
            (r#"{"type":"subscribe","channel":"a"}"#, vec![&*join]),
            (
                r#"{"type":"unsubscribe","channel":"a"}"#,
                vec!["leave a", ok_channel],
            ),
            (r#"{"type":"meta","data":[1]}"#, vec!["meta [1]", ok]),
            (r#"{"type":"event","data":1}"#, vec!["report 1", ok]),
        ] {
            let text = to_json(&message);
            for args in [message, &text] {
                let done = actions_of(Revision::Legacy, "message", args, &[]);
                assert_eq!(done, expected, "{args}");
            }
            let done = actions("message", message, &[]);
            assert!(done[0].contains("no such event"), "{done:?}");
        }
    }

    #[test]
    fn other_messages_are_answered_with_their_code() {
        for (message, code) in [
            ("", "bad_request"),
            ("\"hello\"", "bad_request"),
            (r#"{"type":"presence","channel":"a"}"#, "bad_request"),
            (r#"{"type":"subscribe","channel":"abcdef"}"#, "bad_channel"),
            (r#"{"type":"subscribe","channel":"d"}"#, "too_many_channels"),
            (r#"{"type":"meta","data":"1234567"}"#, "bad_request"),
        ] {
            let done = actions_of(Revision::Legacy, "message", message, &["a", "b", "c"]);
            let answer = done.last().unwrap();
            assert!(answer.contains(code), "{message}: {done:?}");
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
            let answer = actions.last().unwrap();
            assert!(!actions.iter().any(|action| action.starts_with("join")));
            assert!(
                answer.contains(&format!("\"error\":\"{code}\"")),
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

    #[test]
    fn one_argument_is_remembered_or_handed_on_as_it_is() {
        for args in ["1", "null", r#"{"a": 1}"#, "[1,2]"] {
            assert_eq!(
                actions("meta", args, &[]),
                [&format!("meta {args}"), r#"ack 7 {"ok":true}"#]
            );
            assert_eq!(
                actions("event", args, &[]),
                [&format!("report {args}"), r#"ack 7 {"ok":true}"#]
            );
        }
        for args in ["", "1,2", r#""\ud83d""#] {
            for event in ["meta", "event"] {
                let done = actions(event, args, &[]);
                assert!(done[0].contains("bad_request"), "{event} {args}: {done:?}");
            }
        }
    }

    #[test]
    fn larger_arguments_are_refused_and_counted() {
        for (event, limit, most) in [
            ("meta", Limit::MaxMetaBytes, 8),
            ("event", Limit::MaxEventBytes, 9),
        ] {
            let longest = format!("\"{}\"", "x".repeat(most - 2));
            assert_eq!(actions(event, &longest, &[]).len(), 2, "{event}");
            let longer = format!("\"{}\"", "x".repeat(most - 1));
            let done = actions(event, &longer, &[]);
            assert_eq!(done[0], format!("limit {}", limit.as_str()));
            assert!(done[1].contains(r#""error":"bad_request""#), "{done:?}");
        }
    }

    #[test]
    fn presence_is_of_one_channel() {
        for args in [r#"{"channel":"a"}"#, r#"{"channels":["a"]}"#, r#""a""#] {
            assert_eq!(actions("presence", args, &[]), ["presence of a, ack 7"]);
        }
        for (args, code) in [
            ("{}", "bad_request"),
            (r#"["a","b"]"#, "bad_request"),
            (r#""abcdef""#, "bad_channel"),
        ] {
            let done = actions("presence", args, &[]);
            let answer = done.last().expect("an answer");
            assert!(answer.contains(code), "{args}: {done:?}");
        }
    }
}

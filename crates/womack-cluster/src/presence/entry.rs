//! A client in a channel, as server events and records write it.

use serde::Serialize;
use serde_json::value::RawValue;
use womack_engine::Count;

/// A client in a channel.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    /// What the client calls itself.
    pub(super) session: &'a str,
    /// The path.
    pub(super) namespace: &'a str,
    pub(super) channel: &'a str,
    pub(super) meta: Option<&'a RawValue>,
}

impl<'a> Entry<'a> {
    /// Reads an entry of a record, with the count that last met it; `None` for anything that no
    /// server like this one has written.
    pub(super) fn parse(field: &'a str, value: &'a str) -> Option<(Self, Count)> {
        let (session, rest) = field.split_once(',')?;
        let (namespace, channel) = rest.split_once(',')?;
        let (count, meta) = value.split_once(',')?;
        let entry = Entry {
            session,
            namespace,
            channel,
            meta: serde_json::from_str(meta).ok()?,
        };
        Some((entry, Count(count.parse().ok()?)))
    }

    /// Its name in a record: `SESSION,NAMESPACE,CHANNEL`. Neither ids nor paths have commas.
    pub(super) fn field(&self) -> String {
        format!("{},{},{}", self.session, self.namespace, self.channel)
    }

    /// What a record says of it: `COUNT,META`.
    pub(super) fn value(&self, count: Count) -> String {
        format!("{},{}", count.0, self.meta())
    }

    /// What is remembered about the client, as JSON text.
    pub(super) fn meta(&self) -> &'a str {
        self.meta.map_or("null", RawValue::get)
    }

    /// The server event that says that the client of `node` has come or gone.
    pub(super) fn event(&self, node: &str) -> String {
        event(&ServerEvent {
            channel: Some(self.channel),
            session_id: self.session,
            meta: self.meta,
            namespace: self.namespace,
            node,
            data: None,
        })
    }
}

/// What is published.
#[derive(Serialize)]
pub(super) struct ServerEvent<'a> {
    pub(super) channel: Option<&'a str>,
    pub(super) session_id: &'a str,
    pub(super) meta: Option<&'a RawValue>,
    pub(super) namespace: &'a str,
    pub(super) node: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) data: Option<&'a RawValue>,
}

/// A server event as JSON text.
pub(super) fn event(event: &ServerEvent<'_>) -> String {
    serde_json::to_string(event).expect("structs of strings and JSON are always JSON")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn events_carry_what_juggernauts_did() {
        let meta = RawValue::from_string(r#"{"user_id": 12345678901234567890}"#.into()).unwrap();
        let mut entry = Entry {
            session: "sid",
            namespace: "/",
            channel: "a:b, \"c\"",
            meta: Some(&meta),
        };
        let event = r#"{"channel":"a:b, \"c\"","session_id":"sid","#;
        let rest = r#""namespace":"/","node":"0000002a"}"#;
        let known = format!(r#"{event}"meta":{{"user_id": 12345678901234567890}},{rest}"#);
        assert_eq!(entry.event("0000002a"), known);
        entry.meta = None;
        assert_eq!(
            entry.event("0000002a"),
            format!(r#"{event}"meta":null,{rest}"#)
        );
    }

    proptest! {
        #[test]
        fn an_entry_is_read_as_it_was_written(
            namespace in "/[^,?]{0,8}",
            channel in ".{1,12}",
            meta in prop::option::of(".{0,12}"),
            count in any::<u32>(),
        ) {
            let meta = meta.map(|meta| serde_json::value::to_raw_value(&meta).unwrap());
            let entry = Entry {
                session: "/another#AAAAAAAAAAAAAAAAAAAAAAAA",
                namespace: &namespace,
                channel: &channel,
                meta: meta.as_deref(),
            };
            let (field, value) = (entry.field(), entry.value(Count(count)));
            let (read, read_count) = Entry::parse(&field, &value).unwrap();
            prop_assert_eq!(read_count, Count(count));
            prop_assert_eq!(read.field(), field.as_str());
            prop_assert_eq!(read.meta(), entry.meta());
        }

        #[test]
        fn other_text_is_no_entry_or_one_that_writes_itself(field in ".{0,16}", value in ".{0,16}") {
            if let Some((entry, _)) = Entry::parse(&field, &value) {
                prop_assert_eq!(entry.field(), field.as_str());
            }
        }
    }
}

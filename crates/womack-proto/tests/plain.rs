//! What holds for everything that is said with clients without Engine.IO, on inputs made up at
//! random.

#[expect(dead_code, reason = "other tests run the other checks")]
mod checks;

use std::collections::HashMap;

use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::value::RawValue;
use womack_proto::{
    event_stream::{self, EventId},
    frame, lines,
};

/// JSON with every kind of space between its parts.
fn json() -> impl Strategy<Value = String> {
    let space = || select(vec!["", " ", "\t", "\n", "\r", "\r\n", "\n\n ", " \r"]);
    let quoted = |text: String| serde_json::to_string(&text).expect("every string is JSON");
    let text = any::<String>().prop_map(quoted);
    let leaf = prop_oneof![Just("null".to_owned()), "[1-9][0-9]{0,20}", text];
    leaf.prop_recursive(3, 16, 3, move |inner| {
        let value = (space(), inner, space()).prop_map(|(a, value, b)| format!("{a}{value}{b}"));
        vec(value, 0..3).prop_map(|values| format!("[{}]", values.join(",")))
    })
}

proptest! {
    #[test]
    fn no_text_confuses_a_decoder(
        line in "[{\\[]?(\"(id|subscribe|unsubscribe)\":(1|null|\\[?(\"[^\"]{0,3}\",?){0,2}\\]?),?){0,3}\\}?",
        query in "((channel|namespace)=?[a-c%0-9+/]{0,4}&?){0,4}",
        data in vec(any::<u8>(), 0..64),
    ) {
        checks::plain::requests(line.as_bytes());
        checks::plain::requests(&data);
        checks::plain::targets(query.as_bytes());
        checks::plain::targets(&data);
    }

    #[test]
    fn a_published_message_is_a_line_to_the_client(channel in any::<String>(), json in json()) {
        let frame = lines::message(&lines::message_prefix(&channel), json.as_bytes());
        let (_, payload) = frame::packets(frame.as_bytes()).next().unwrap();
        let line: HashMap<&str, &RawValue> = serde_json::from_slice(payload).unwrap();
        prop_assert_eq!(line["message"].get(), json.trim());
        let name: String = serde_json::from_str(line["channel"].get()).unwrap();
        prop_assert_eq!(name, channel);
    }

    #[test]
    fn a_published_message_is_one_event_to_the_client(
        channel in "([a-z: ]|[\r\n]|data: |\\PC){0,8}",
        json in json(),
        node in any::<u32>(),
        number in any::<u64>(),
    ) {
        let prefix = event_stream::message_prefix(&channel);
        let id = EventId { node, number };
        let event = event_stream::message(&prefix, id, json.as_bytes());
        let mut events = read(str::from_utf8(&event).unwrap());
        let fields = events.pop().unwrap();
        prop_assert!(events.is_empty());
        let name = channel.replace('\n', "%0A").replace('\r', "%0D");
        let spelled = json.replace("\r\n", "\n").replace('\r', "\n");
        prop_assert_eq!(fields, [
            ("event".to_owned(), name),
            ("id".to_owned(), id.to_string()),
            ("data".to_owned(), spelled),
        ]);
    }
}

/// Reads a whole stream as the standard says: the fields of each event, with all data in one.
fn read(stream: &str) -> Vec<Vec<(String, String)>> {
    let mut events = Vec::new();
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in stream.replace("\r\n", "\n").split(['\n', '\r']) {
        let Some((name, value)) = line.split_once(':') else {
            assert_eq!(line, "", "a line without a colon");
            events.extend((!fields.is_empty()).then(|| std::mem::take(&mut fields)));
            continue;
        };
        let value = value.strip_prefix(' ').unwrap_or(value);
        match fields.last_mut() {
            Some((last, data)) if last == "data" && name == "data" => {
                data.push('\n');
                data.push_str(value);
            }
            _ => fields.push((name.to_owned(), value.to_owned())),
        }
    }
    assert!(fields.is_empty(), "an event that does not end");
    events
}

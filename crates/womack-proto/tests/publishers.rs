//! What holds for every message of publishers of other families, on inputs made up at random.

#[expect(dead_code, reason = "other tests run the others")]
mod checks;

use proptest::{collection::vec, prelude::*};
use rmp::encode;
use serde_json::Value;
use womack_proto::publishers::{Action, addressed, emitter, juggernaut};

/// Values that MessagePack and JSON both have.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        // Never an integer, and short enough for serde_json to read exactly.
        any::<i16>().prop_map(|number| Value::from(f64::from(number) / 256.0 + 1.0 / 512.0)),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        let object = vec((any::<String>(), inner.clone()), 0..4)
            .prop_map(|members| Value::Object(members.into_iter().collect()));
        prop_oneof![vec(inner, 0..4).prop_map(Value::from), object]
    })
}

/// Writes a value as MessagePack.
fn write(out: &mut Vec<u8>, value: &Value) {
    const ROOM: &str = "a vector takes everything";
    let length = |length: usize| u32::try_from(length).expect("short values");
    match value {
        Value::Null => encode::write_nil(out).expect(ROOM),
        Value::Bool(value) => encode::write_bool(out, *value).expect(ROOM),
        Value::String(value) => encode::write_str(out, value).expect(ROOM),
        Value::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => drop(encode::write_uint(out, number).expect(ROOM)),
            (_, Some(number)) => drop(encode::write_sint(out, number).expect(ROOM)),
            _ => encode::write_f64(out, number.as_f64().expect("a double")).expect(ROOM),
        },
        Value::Array(values) => {
            encode::write_array_len(out, length(values.len())).expect(ROOM);
            values.iter().for_each(|value| write(out, value));
        }
        Value::Object(members) => {
            encode::write_map_len(out, length(members.len())).expect(ROOM);
            for (key, value) in members {
                encode::write_str(out, key).expect(ROOM);
                write(out, value);
            }
        }
    }
}

proptest! {
    #[test]
    fn an_emitters_arguments_arrive_as_they_were(args in vec(value(), 0..4)) {
        let mut data = vec![Value::from("e")];
        data.extend(args.clone());
        let message = serde_json::json!([
            null,
            { "nsp": "/", "data": data, "type": 2 },
            { "rooms": ["a"] },
        ]);
        let mut bytes = Vec::new();
        write(&mut bytes, &message);
        let decoded = emitter::decode_broadcast(&bytes, "/").unwrap();
        let Action::Emit(emission) = decoded.action else {
            panic!("no event");
        };
        let array = format!("[{}]", emission.args);
        prop_assert_eq!(serde_json::from_str::<Value>(&array).unwrap(), Value::from(args));
        prop_assert_eq!(decoded.clients.rooms, Some(vec!["a".to_owned()]));
        checks::publishers::messages(&bytes);
    }

    #[test]
    fn an_addressed_envelope_keeps_its_members(
        data in value(),
        channels in vec(any::<String>(), 1..4),
    ) {
        let names = serde_json::to_string(&channels).unwrap();
        let message = format!(r#"{{"data":{data},"channels":{names},"b":1}}"#);
        let decoded = addressed::decode(message.as_bytes()).unwrap();
        prop_assert_eq!(&decoded.channels, &channels);
        prop_assert_eq!(&decoded.envelope, &format!(r#"{{"data":{data},"b":1}}"#));
        let text = juggernaut::encode(&channels[0], decoded.envelope.as_bytes());
        let seen: Value = serde_json::from_slice(&text).unwrap();
        prop_assert_eq!(&seen["data"], &data);
        prop_assert_eq!(&seen["channel"], &channels[0]);
        checks::publishers::messages(message.as_bytes());
    }

    #[test]
    fn no_bytes_confuse_a_decoder(data in vec(any::<u8>(), 0..128)) {
        checks::publishers::messages(&data);
        // The same as the arguments of a broadcast.
        let head = b"\x93\xc0\x82\xa4type\x02\xa4data\x92\xa1e";
        checks::publishers::messages(&[&head[..], &data].concat());
    }

    #[test]
    fn no_text_confuses_a_decoder(
        text in "\\{\"(method|event|type|channels|opts)\":(\"(emit|subscribe|meta)\"|2|\\[\"a\"\\])\
                 (,\"(data|event|room|rooms|binary|close)\":(true|null|\"a\"|\\[[1a\",]{0,6}\\])){0,3}\\}",
    ) {
        checks::publishers::messages(text.as_bytes());
    }
}

//! What clients without Engine.IO may send.

use std::collections::HashMap;

use serde_json::value::RawValue;
use womack_proto::{
    Target,
    lines::{self, Request, Verb},
};

/// Every line has an answer, which is JSON and known by the same id.
pub(crate) fn requests(data: &[u8]) {
    let Ok(line) = str::from_utf8(data) else {
        return;
    };
    let decoded = Request::decode(line);
    let (line, id) = match &decoded {
        Ok(request) => (request.done(), request.id),
        Err(refused) => (lines::refused("code", "\"\n", refused.id), refused.id),
    };
    let answer: HashMap<&str, &RawValue> = serde_json::from_str(&line).expect("an object");
    let has = |key| answer.get(key).map(|value| value.get());
    assert_eq!(has("id"), id.map(RawValue::get));
    let Ok(request) = decoded else {
        assert_eq!((has("ok"), has("error")), (Some("false"), Some("\"code\"")));
        return;
    };
    assert!(!request.channels.is_empty());
    let (named, other) = match request.verb {
        Verb::Subscribe => ("subscribed", "unsubscribed"),
        Verb::Unsubscribe => ("unsubscribed", "subscribed"),
    };
    assert_eq!((has("ok"), has(other)), (Some("true"), None));
    let named: Vec<String> = serde_json::from_str(answer[named].get()).expect("names");
    assert_eq!(named, request.channels);
}

/// What a query asks for is asked for again by a query made of it.
pub(crate) fn targets(data: &[u8]) {
    let Ok(query) = str::from_utf8(data) else {
        return;
    };
    let target = Target::parse(query);
    let mut again = form_urlencoded::Serializer::new(String::new());
    again.append_pair("namespace", &target.namespace);
    for channel in &target.channels {
        again.append_pair("channel", channel);
    }
    assert_eq!(Target::parse(&again.finish()), target);
}

//! What must hold for the messages of publishers of other families.

use serde_json::value::RawValue;
use womack_proto::{
    is_reserved_event,
    publishers::{Action, Instruction, addressed, emitter, juggernaut, laravel, python},
    socket_io::{self, Body},
};

use super::{assert_json, assert_json_list};

/// Whatever a publisher of another family sends, clients get what they take.
pub(crate) fn messages(data: &[u8]) {
    let decoded = [
        emitter::decode_broadcast(data, "/"),
        emitter::decode_request(data, "/"),
        python::decode(data),
        laravel::decode(data, "a\"b"),
    ];
    for instruction in decoded.into_iter().flatten() {
        look_at_instruction(&instruction);
    }
    if let Ok(addressed) = addressed::decode(data) {
        assert!(!addressed.channels.is_empty());
        assert_json(&addressed.envelope);
        look_at_message(&addressed.envelope);
    }
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    if let Ok(juggernaut::Request::Meta(json) | juggernaut::Request::Event(json)) =
        juggernaut::Request::decode(text)
    {
        assert_json(json);
    }
    if serde_json::from_str::<&RawValue>(text).is_ok() {
        look_at_message(text);
    }
}

fn look_at_message(json: &str) {
    let text = juggernaut::encode("a\"b", json.as_bytes());
    assert_json(str::from_utf8(&text).expect("text that is put around text"));
}

fn look_at_instruction(instruction: &Instruction) {
    let Action::Emit(emission) = &instruction.action else {
        return;
    };
    assert!(!is_reserved_event(&emission.name));
    assert!(emission.attachments.len() <= 10);
    assert_json_list(&emission.args);
    let packet = socket_io::encode_event(
        &instruction.clients.namespace,
        None,
        &emission.name,
        &emission.args,
        emission.attachments.len(),
    );
    // A namespace that no server has may be no path.
    if instruction.clients.namespace == "/" {
        let decoded = socket_io::Packet::decode(&packet).expect("an event");
        let Body::Event { args, .. } = decoded.body else {
            panic!("{packet}");
        };
        assert_eq!(args, emission.args, "{packet}");
    }
}

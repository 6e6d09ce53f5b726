use super::*;

/// `["emitter", {"type": 2, "data": <data>, "nsp": "/"}, <options>]`.
fn broadcast(data: &[u8], options: &[u8]) -> Vec<u8> {
    let packet = [b"\x83\xa4type\x02\xa4data", data, b"\xa3nsp\xa1/"].concat();
    [b"\x93\xa7emitter", &packet[..], options].concat()
}

fn emitted(message: &[u8], namespace: &str) -> (Selection, Emission) {
    match decode_broadcast(message, namespace) {
        Ok(Instruction {
            clients,
            action: Action::Emit(emission),
        }) => (clients, emission),
        other => panic!("{other:?} for {}", message.escape_ascii()),
    }
}

/// Bytes as `@socket.io/redis-emitter` 5.1.0 publishes them.
#[test]
fn emits_say_what_and_for_whom() {
    let (clients, emission) = emitted(
        b"\x93\xa7emitter\x83\xa4type\x02\xa4data\x94\xa5hello\xa5world\x01\x81\xa1a\x93\xc3\xc0\
          \xcb?\xf8\x00\x00\x00\x00\x00\x00\xa3nsp\xa1/\x83\xa5rooms\x90\xa5flags\x80\xa6except\x90",
        "/",
    );
    let everybody = Selection {
        namespace: "/".into(),
        rooms: None,
        except: Vec::new(),
    };
    assert_eq!(clients, everybody);
    assert_eq!(emission.name, "hello");
    assert_eq!(emission.args, r#""world",1,{"a":[true,null,1.5]}"#);

    let (clients, emission) = emitted(
        b"\x93\xa7emitter\x83\xa4type\x02\xa4data\x91\xa1x\xa3nsp\xa1/\x83\xa5rooms\x92\xa1a\xa1b\
          \xa5flags\x82\xa8volatile\xc3\xa8compress\xc3\xa6except\x92\xa1c\xa1d",
        "/",
    );
    assert_eq!(clients.rooms, Some(vec!["a".into(), "b".into()]));
    assert_eq!(clients.except, ["c", "d"]);
    assert_eq!(emission.args, "");

    let (clients, emission) = emitted(
        b"\x93\xa7emitter\x83\xa4type\x02\xa4data\x93\xa3bin\xc4\x03\x01\x02\xff\xc4\x01\x03\
          \xa3nsp\xa6/admin\x83\xa5rooms\x91\xa1a\xa5flags\x80\xa6except\x90",
        "/admin",
    );
    assert_eq!(clients.namespace, "/admin");
    let placeholders = r#"{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}"#;
    assert_eq!(emission.args, placeholders);
    assert_eq!(emission.attachments, [&[1_u8, 2, 255][..], &[3]]);
}

#[test]
fn ports_write_the_same_in_other_ways() {
    let event = b"\x92\xa1e\x01";
    for (options, rooms, except) in [
        (&b"\xc0"[..], None, &[][..]),
        (b"\x90", None, &[]),
        (b"\x80", None, &[]),
        (b"\x81\xa5rooms\xc0", None, &[]),
        (b"\x81\xa5rooms\x91\x07", Some(&["7"][..]), &[]),
        (
            b"\x82\xa6except\x81\x02\xa1b\xa5rooms\x82\x00\xa1a\x02\xff",
            Some(&["a", "-1"]),
            &["b"],
        ),
    ] {
        let (clients, emission) = emitted(&broadcast(event, options), "/");
        assert_eq!(emission.args, "1");
        let rooms = rooms.map(|rooms| rooms.iter().map(|room| (*room).to_owned()).collect());
        assert_eq!(clients.rooms, rooms, "{}", options.escape_ascii());
        assert_eq!(clients.except, except, "{}", options.escape_ascii());
    }
    // Type 5, a number for a name, the packet's members in another order, no namespace, and an
    // element that nobody knows.
    let message = b"\x94\xc0\x83\xa4data\x91\x05\xa4type\x05\xa2id\xc0\x80\xc0";
    assert_eq!(emitted(message, "/").1.name, "5");
}

#[test]
fn other_broadcasts_are_refused() {
    let everybody = b"\x80";
    for (message, error) in [
        (b"".to_vec(), PublicationError::NotMessagePack),
        (b"{}".to_vec(), PublicationError::Form),
        (b"\x92\xc0\x80".to_vec(), PublicationError::Form),
        (b"\x93\xc0\xc0\xc0".to_vec(), PublicationError::Form),
        (broadcast(b"\x90", everybody), PublicationError::Form),
        (broadcast(b"\x91\xc0", everybody), PublicationError::Form),
        (broadcast(b"\xa1e", everybody), PublicationError::Form),
        (broadcast(b"\x91\xa1e", b"\x01"), PublicationError::Form),
        (
            broadcast(b"\x91\xa1e", b"\x81\xa5rooms\xa1a"),
            PublicationError::Form,
        ),
        (
            broadcast(b"\x91\xa1e", b"\x81\xa5rooms\x91\xc0"),
            PublicationError::Form,
        ),
        (
            broadcast(b"\x91\xaadisconnect", everybody),
            PublicationError::ReservedEvent,
        ),
        (
            broadcast(b"\x91\xa1e", b"\x80\x00"),
            PublicationError::NotMessagePack,
        ),
        (
            b"\x93\xc0\x81\xa4data\x91\xa1e\x80".to_vec(),
            PublicationError::Form,
        ),
        (
            b"\x93\xc0\x82\xa4data\x91\xa1e\xa4type\x03\x80".to_vec(),
            PublicationError::Form,
        ),
    ] {
        let refused = decode_broadcast(&message, "/");
        assert_eq!(refused, Err(error), "{}", message.escape_ascii());
    }
    let elsewhere = decode_broadcast(&broadcast(b"\x91\xa1e", everybody), "/admin");
    assert_eq!(elsewhere, Err(PublicationError::Form));
    let unnamed = decode_broadcast(b"\x93\xc0\x82\xa4data\x91\xa1e\xa4type\x02\x80", "/admin");
    assert_eq!(unnamed, Err(PublicationError::Form));
}

#[test]
fn requests_say_what_shall_be_done() {
    let list = |names: &[&str]| -> Vec<String> { names.iter().map(|&name| name.into()).collect() };
    for (message, rooms, except, action) in [
        (
            r#"{"type":2,"opts":{"rooms":[],"except":[]},"rooms":["a"]}"#,
            None,
            &[][..],
            Action::Join(list(&["a"])),
        ),
        (
            r#"{"type":3,"opts":{"rooms":["a"],"except":["b"]},"rooms":["x",7]}"#,
            Some(&["a"][..]),
            &["b"],
            Action::Leave(list(&["x", "7"])),
        ),
        (
            r#"{"type":4,"opts":{"rooms":["s"],"except":[]},"close":true}"#,
            Some(&["s"]),
            &[],
            Action::Disconnect { close: true },
        ),
        (
            r#"{"type":4,"opts":{}}"#,
            None,
            &[],
            Action::Disconnect { close: false },
        ),
    ] {
        let instruction = decode_request(message.as_bytes(), "/admin").expect(message);
        assert_eq!(instruction.clients.namespace, "/admin");
        assert_eq!(instruction.clients.rooms, rooms.map(list), "{message}");
        assert_eq!(instruction.clients.except, except, "{message}");
        assert_eq!(instruction.action, action, "{message}");
    }
}

#[test]
fn other_requests_are_refused() {
    for (message, error) in [
        (
            &br#"{"uid":"emitter","type":6,"data":["x",1]}"#[..],
            PublicationError::Unsupported,
        ),
        (
            br#"{"type":5,"opts":{"rooms":[]},"requestId":"r"}"#,
            PublicationError::Unsupported,
        ),
        (
            br#"{"type":2,"sid":"s","room":"a","requestId":"r"}"#,
            PublicationError::Unsupported,
        ),
        (b"\x84\xa3uid\xc0", PublicationError::Unsupported),
        (b"{\"type\":2", PublicationError::NotJson),
        (b"{\"type\":\"\xff\"}", PublicationError::NotUtf8),
        (b"{}", PublicationError::Form),
        (b"{\"type\":-1}", PublicationError::Form),
        (br#"{"type":2,"opts":{"rooms":{}}}"#, PublicationError::Form),
    ] {
        let refused = decode_request(message, "/");
        assert_eq!(refused, Err(error), "{}", message.escape_ascii());
    }
}

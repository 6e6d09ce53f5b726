use super::*;

fn event<'a>(
    namespace: &'a str,
    ack: Option<u64>,
    name: &'a str,
    args: &'a str,
    attachments: usize,
) -> Packet<'a> {
    Packet {
        namespace,
        body: Body::Event {
            ack,
            name: name.into(),
            args,
            attachments,
        },
    }
}

#[test]
fn events_keep_the_text_of_their_arguments() {
    for (text, expected) in [
        (r#"2["m"]"#, event("/", None, "m", "", 0)),
        (
            r#"2["m",9007199254740993]"#,
            event("/", None, "m", "9007199254740993", 0),
        ),
        (
            r#"2 [ "m" , 1 ,"2" ] "#,
            event("/", None, "m", r#"1 ,"2""#, 0),
        ),
        (
            r#"2["é\n\"]",{"3":[true]}]"#,
            event("/", None, "é\n\"]", r#"{"3":[true]}"#, 0),
        ),
        (
            r#"2[12,1e999,"\ud83d"]"#,
            event("/", None, "12", r#"1e999,"\ud83d""#, 0),
        ),
        (r#"2456["m"]"#, event("/", Some(456), "m", "", 0)),
        (r#"20["",0]"#, event("/", Some(0), "", "0", 0)),
        (r#"2/another,["m"]"#, event("/another", None, "m", "", 0)),
        (
            r#"2/a/b?c=1,7["m"]"#,
            event("/a/b?c=1", Some(7), "m", "", 0),
        ),
        (r#"2/,["m"]"#, event("/", None, "m", "", 0)),
        (r#"52-["m",1]"#, event("/", None, "m", "1", 2)),
        (r#"51-/a,789["m",1]"#, event("/a", Some(789), "m", "1", 1)),
        (r#"50-["m"]"#, event("/", None, "m", "", 0)),
    ] {
        assert_eq!(Packet::decode(text), Ok(expected), "{text}");
    }
}

#[test]
fn the_other_packets_have_payloads_of_their_own() {
    let packet = |namespace, body| Ok(Packet { namespace, body });
    for (text, expected) in [
        ("0", packet("/", Body::Connect { payload: None })),
        (
            r#"0{"token":"123"}"#,
            packet(
                "/",
                Body::Connect {
                    payload: Some(r#"{"token":"123"}"#),
                },
            ),
        ),
        (
            "0/custom",
            packet("/custom", Body::Connect { payload: None }),
        ),
        (
            "0/custom,",
            packet("/custom", Body::Connect { payload: None }),
        ),
        (
            "0/custom, {} ",
            packet(
                "/custom",
                Body::Connect {
                    payload: Some("{}"),
                },
            ),
        ),
        ("1", packet("/", Body::Disconnect)),
        ("1/custom,", packet("/custom", Body::Disconnect)),
        (
            "37[]",
            packet(
                "/",
                Body::Ack {
                    id: 7,
                    args: "",
                    attachments: 0,
                },
            ),
        ),
        (
            "3/a,7[ 1, 2 ]",
            packet(
                "/a",
                Body::Ack {
                    id: 7,
                    args: "1, 2",
                    attachments: 0,
                },
            ),
        ),
        (
            "62-7[1]",
            packet(
                "/",
                Body::Ack {
                    id: 7,
                    args: "1",
                    attachments: 2,
                },
            ),
        ),
        (
            r#"4"no""#,
            packet("/", Body::ConnectError { payload: r#""no""# }),
        ),
    ] {
        assert_eq!(Packet::decode(text), expected, "{text}");
    }
}

#[test]
fn everything_else_is_refused_for_a_reason() {
    use DecodeError::{AckId, AttachmentCount, EmptyPacket, Payload, ReservedEvent, SocketIoType};
    for (text, expected) in [
        ("", EmptyPacket),
        ("abc", SocketIoType),
        ("7", SocketIoType),
        ("é", SocketIoType),
        ("0[]", Payload),
        ("0null", Payload),
        (r#"0"token""#, Payload),
        ("0{", Payload),
        ("0,", Payload),
        ("1{}", Payload),
        ("2", Payload),
        ("2[]", Payload),
        ("2{}", Payload),
        ("2abc[\"m\"]", Payload),
        ("2[\"m\"", Payload),
        ("2[\"m\",]", Payload),
        ("2[\"m\"]]", Payload),
        ("2[\"m\" 1]", Payload),
        ("2[\"m\"][1]", Payload),
        ("2[null]", Payload),
        ("2[[\"m\"]]", Payload),
        ("2[true]", Payload),
        (r#"2["\ud83d"]"#, Payload),
        (r#"2["connect"]"#, ReservedEvent),
        (r#"2["d\u0069sconnecting",1]"#, ReservedEvent),
        (r#"51-["newListener"]"#, ReservedEvent),
        ("3[]", AckId),
        ("3[1]", AckId),
        ("318446744073709551616[]", AckId),
        ("37", Payload),
        ("37{}", Payload),
        ("4", Payload),
        ("5[\"m\"]", AttachmentCount),
        ("5-[\"m\"]", AttachmentCount),
        ("51[\"m\"]", AttachmentCount),
        ("5+1-[\"m\"]", AttachmentCount),
        ("599999999999999999999-[\"m\"]", AttachmentCount),
    ] {
        assert_eq!(Packet::decode(text), Err(expected), "{text}");
    }
}

#[test]
fn the_servers_packets_are_those_that_clients_know() {
    let connect = |namespace, sid| encode_connect(Revision::V4, namespace, sid);
    assert_eq!(connect("/", "a-\""), r#"0{"sid":"a-\""}"#);
    assert_eq!(connect("/custom", "a"), r#"0/custom,{"sid":"a"}"#);
    assert_eq!(
        encode_connect_error("/random", "Invalid namespace", None),
        r#"4/random,{"message":"Invalid namespace"}"#,
    );
    assert_eq!(
        encode_connect_error("/", "no", Some("[1]")),
        r#"4{"message":"no","data":[1]}"#,
    );
    assert_eq!(encode_disconnect("/"), "1");
    assert_eq!(encode_disconnect("/a"), "1/a,");
    assert_eq!(encode_event("/", None, "auth", "{}", 0), r#"2["auth",{}]"#);
    assert_eq!(encode_event("/a", Some(1), "\n", "", 0), r#"2/a,1["\n"]"#);
    assert_eq!(
        encode_event("/a", None, "m", "1,2", 2),
        r#"52-/a,["m",1,2]"#
    );
    assert_eq!(encode_ack("/", 456, "1,\"2\"", 0), r#"3456[1,"2"]"#);
    assert_eq!(encode_ack("/", 789, "1", 2), "62-789[1]");
    assert_eq!(encode_ack("/a", 0, "", 0), "3/a,0[]");
}

#[test]
fn nesting_without_end_costs_no_stack() {
    let depth = 1_000_000;
    let args = "[".repeat(depth) + &"]".repeat(depth);
    let text = format!(r#"2["m",{args}]"#);
    assert_eq!(Packet::decode(&text), Ok(event("/", None, "m", &args, 0)));
    let text = format!(r#"2["m",{}"#, "[".repeat(depth));
    assert_eq!(Packet::decode(&text), Err(DecodeError::Payload));
    assert_eq!(
        Packet::decode(&format!("2{args}")),
        Err(DecodeError::Payload)
    );
    assert_eq!(
        Packet::decode(&format!("0{}", "{\"a\":".repeat(depth))),
        Err(DecodeError::Payload)
    );
}

#[test]
fn socket_io_4_joins_with_less() {
    assert_eq!(encode_connect(Revision::V3, "/", "a"), "0");
    assert_eq!(encode_connect(Revision::V3, "/custom", "a"), "0/custom,");
    assert_eq!(
        encode_error("/custom", "no \"a\"", None),
        r#"4/custom,"no \"a\"""#
    );
    assert_eq!(
        encode_error("/", "no", Some(r#"{"code":1}"#)),
        r#"4{"code":1}"#
    );
}

#[test]
fn a_query_follows_the_name_in_socket_io_4_only() {
    for (namespace, path, query) in [
        ("/a", "/a", None),
        ("/a?", "/a", Some("{}")),
        ("/a?token=1", "/a", Some(r#"{"token":"1"}"#)),
        (
            "/a?b=%C3%A9+%22&a&b=2?=",
            "/a",
            Some(r#"{"a":"","b":"2?="}"#),
        ),
    ] {
        let query = query.map(str::to_owned);
        assert_eq!(split_query(Revision::V3, namespace), (path, query));
        assert_eq!(split_query(Revision::V4, namespace), (namespace, None));
    }
}

use super::*;

fn json(message: &[u8]) -> Result<(String, Vec<Bytes>), PublicationError> {
    let (mut reader, mut json) = (Reader::new(message), Json::default());
    json.append(&mut reader, 1)?;
    reader.end()?;
    Ok(json.finish())
}

fn text_of(message: &[u8]) -> String {
    match json(message) {
        Ok((text, attachments)) => {
            assert!(attachments.is_empty());
            text
        }
        Err(error) => error.as_str().to_owned(),
    }
}

#[test]
fn values_are_what_javascript_makes_of_them() {
    for (message, expected) in [
        (&b"\xc0"[..], "null"),
        (b"\xc2", "false"),
        (b"\xc3", "true"),
        (b"\x00", "0"),
        (b"\x7f", "127"),
        (b"\xff", "-1"),
        (b"\xe0", "-32"),
        (b"\xcc\xff", "255"),
        (b"\xcd\xff\xff", "65535"),
        (b"\xce\xff\xff\xff\xff", "4294967295"),
        (b"\xcf\x00\x20\x00\x00\x00\x00\x00\x01", "9007199254740993"),
        (
            b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff",
            "18446744073709551615",
        ),
        (b"\xd0\x80", "-128"),
        (b"\xd1\x80\x00", "-32768"),
        (b"\xd2\x80\x00\x00\x00", "-2147483648"),
        (
            b"\xd3\x80\x00\x00\x00\x00\x00\x00\x00",
            "-9223372036854775808",
        ),
        (b"\xca\x3f\xc0\x00\x00", "1.5"),
        (b"\xca\x3d\xcc\xcc\xcd", "0.10000000149011612"),
        (b"\xcb\x3f\xb9\x99\x99\x99\x99\x99\x9a", "0.1"),
        (b"\xcb\x40\x14\x00\x00\x00\x00\x00\x00", "5"),
        (b"\xcb\x80\x00\x00\x00\x00\x00\x00\x00", "0"),
        (b"\xcb\x7e\x37\xe4\x3c\x88\x00\x75\x9c", "1e300"),
        (b"\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00", "null"),
        (b"\xcb\x7f\xf0\x00\x00\x00\x00\x00\x00", "null"),
        (b"\xa3a\"\n", "\"a\\\"\\n\""),
        (b"\xd9\x02\xc3\xa9", "\"é\""),
        (b"\xda\x00\x01a", "\"a\""),
        (b"\xdb\x00\x00\x00\x01a", "\"a\""),
        (b"\xa2a\xff", "\"a\u{fffd}\""),
        (b"\x90", "[]"),
        (b"\x93\x01\x91\x02\xc0", "[1,[2],null]"),
        (b"\xdc\x00\x01\x01", "[1]"),
        (b"\xdd\x00\x00\x00\x01\x01", "[1]"),
        (b"\x80", "{}"),
        (b"\x82\xa1a\x01\xa1b\x80", r#"{"a":1,"b":{}}"#),
        (b"\xde\x00\x01\xa1a\x01", r#"{"a":1}"#),
        (b"\xdf\x00\x00\x00\x01\xa1a\x01", r#"{"a":1}"#),
    ] {
        assert_eq!(text_of(message), expected, "{}", message.escape_ascii());
    }
}

#[test]
fn keys_are_strings_in_the_end() {
    for (message, expected) in [
        (&b"\x81\x07\x01"[..], r#"{"7":1}"#),
        (b"\x81\xff\x01", r#"{"-1":1}"#),
        (b"\x81\xc0\x01", r#"{"null":1}"#),
        (b"\x81\xc3\x01", r#"{"true":1}"#),
        (b"\x81\xc4\x01a\x01", r#"{"a":1}"#),
        (b"\x81\x90\x01", "form"),
        (b"\x81\xca\x3f\xc0\x00\x00\x01", "form"),
    ] {
        assert_eq!(text_of(message), expected, "{}", message.escape_ascii());
    }
}

#[test]
fn undefined_is_left_out_of_objects_only() {
    assert_eq!(text_of(b"\xd4\x00\x00"), "null");
    assert_eq!(text_of(b"\x92\xd4\x00\x00\x01"), "[null,1]");
    assert_eq!(
        text_of(b"\x83\xa1a\xd4\x00\x00\xa1b\x01\xa1c\xd4\x00\x00"),
        r#"{"b":1}"#
    );
}

#[test]
fn dates_are_text() {
    for (message, expected) in [
        // notepack's own: milliseconds.
        (
            &b"\xd7\x00\x00\x00\x01\x8b\xcf\xe5\x68\x00"[..],
            "\"2023-11-14T22:13:20.000Z\"",
        ),
        (
            b"\xd7\x00\xff\xff\xff\xff\xff\xff\xff\xff",
            "\"1969-12-31T23:59:59.999Z\"",
        ),
        (b"\xd7\x00\x7f\xff\xff\xff\xff\xff\xff\xff", "null"),
        // MessagePack's: seconds; nanoseconds and seconds.
        (b"\xd6\xff\x65\x53\xf1\x00", "\"2023-11-14T22:13:20.000Z\""),
        (
            b"\xd7\xff\x1d\x69\x36\x00\x65\x53\xf1\x00",
            "\"2023-11-14T22:13:20.123Z\"",
        ),
        (
            b"\xc7\x0c\xff\x07\x54\xd4\xc0\xff\xff\xff\xff\x00\x00\x00\x00",
            "\"1833-11-24T17:31:44.123Z\"",
        ),
        (
            b"\xc7\x0c\xff\x00\x00\x00\x00\x00\x00\x00\x3a\xff\xf4\x41\x80",
            "\"+010000-01-01T00:00:00.000Z\"",
        ),
        (
            b"\xc7\x0c\xff\x00\x00\x00\x00\xff\xff\xff\xf1\x00\x00\x00\x00",
            "\"-000072-06-20T22:56:00.000Z\"",
        ),
    ] {
        assert_eq!(text_of(message), expected, "{}", message.escape_ascii());
    }
}

#[test]
fn days_are_counted_across_leap_years() {
    for (days, expected) in [
        (0, (1970, 1, 1)),
        (11_016, (2000, 2, 29)),
        (11_017, (2000, 3, 1)),
        (-25_509, (1900, 2, 28)),
        (-25_508, (1900, 3, 1)),
        (100_000_000, (275_760, 9, 13)),
        (-100_000_000, (-271_821, 4, 20)),
    ] {
        assert_eq!(civil(days), expected);
    }
}

#[test]
fn bytes_become_attachments() {
    for (message, expected) in [
        (
            &b"\xc4\x02\x01\x02"[..],
            (r#"{"_placeholder":true,"num":0}"#, &[&[1, 2][..]][..]),
        ),
        // notepack's ArrayBuffer, and types that nobody knows.
        (
            b"\xc7\x02\x00\x01\x02",
            (r#"{"_placeholder":true,"num":0}"#, &[&[1, 2]]),
        ),
        (
            b"\x92\xc5\x00\x01\x01\xd5\x07\x02\x03",
            (
                r#"[{"_placeholder":true,"num":0},[7,{"_placeholder":true,"num":1}]]"#,
                &[&[1], &[2, 3]],
            ),
        ),
        (
            b"\x81\xa1a\xc6\x00\x00\x00\x00",
            (r#"{"a":{"_placeholder":true,"num":0}}"#, &[&[]]),
        ),
    ] {
        let (text, attachments) = json(message).unwrap();
        assert_eq!(text, expected.0);
        assert_eq!(attachments, expected.1);
    }
    let eleven = [&b"\x9b"[..], &b"\xc4\x00".repeat(11)].concat();
    assert_eq!(json(&eleven), Err(PublicationError::TooManyAttachments));
}

#[test]
fn what_is_cut_off_or_goes_on_is_refused() {
    for message in [
        &b""[..],
        b"\xc1",
        b"\xcd\x00",
        b"\xa2a",
        b"\xdb\xff\xff\xff\xffa",
        b"\x92\x01",
        b"\xdd\xff\xff\xff\xff\x01",
        b"\x81\xa1a",
        b"\xc9\xff\xff\xff\xff\x00a",
        b"\xd8\x00",
        b"\x01\x01",
    ] {
        let refused = json(message).map(|(text, _)| text);
        assert_eq!(
            refused,
            Err(PublicationError::NotMessagePack),
            "{}",
            message.escape_ascii()
        );
    }
}

#[test]
fn depth_has_a_limit_and_passing_over_has_none() {
    let nested = |depth: usize| [&b"\x91".repeat(depth)[..], b"\x01"].concat();
    assert!(json(&nested(MAX_DEPTH)).is_ok());
    assert_eq!(json(&nested(MAX_DEPTH + 1)), Err(PublicationError::TooDeep));
    let deep = nested(1_000_000);
    let mut reader = Reader::new(&deep);
    assert_eq!(reader.skip().and_then(|()| reader.end()), Ok(()));
}

use super::{cursor::MAX_LINE, *};

/// The most that a message may have here.
const MAX_MESSAGE_BYTES: usize = 1 << 20;

fn all(text: &str) -> Result<Vec<Reply>, NotAReply> {
    let mut input = BytesMut::from(text);
    let mut replies = Vec::new();
    let mut decoder = Decoder::default();
    while let Some(reply) = decoder.decode(&mut input, MAX_MESSAGE_BYTES)? {
        replies.push(reply);
    }
    Ok(replies)
}

#[test]
fn commands_count_their_arguments() {
    let mut out = b"x".to_vec();
    command(&mut out, "SUBSCRIBE", ["a", "\u{e9}"].into_iter());
    let expected = "x*3\r\n$9\r\nSUBSCRIBE\r\n$1\r\na\r\n$2\r\n\u{e9}\r\n";
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}

#[test]
fn messages_come_by_channel_shard_or_pattern() {
    for (rest, by_pattern) in [
        ("3\r\n$7\r\nmessage\r\n$1\r\na\r\n$4\r\n\r\n{}\r\n", false),
        ("3\r\n$8\r\nsmessage\r\n$1\r\na\r\n$4\r\n\r\n{}\r\n", false),
        (
            "4\r\n$8\r\npmessage\r\n$1\r\n*\r\n$1\r\na\r\n$4\r\n\r\n{}\r\n",
            true,
        ),
    ] {
        let text = format!("*{rest}>{rest}");
        let replies = all(&text).unwrap();
        assert_eq!(replies.len(), 2);
        for reply in replies {
            let Reply::Message(message) = reply else {
                panic!("{reply:?}");
            };
            assert_eq!(message.channel(), "a");
            assert_eq!(message.payload(), b"\r\n{}");
            assert_eq!(message.is_by_pattern(), by_pattern);
            assert_eq!(message.wire_bytes(), text.len() / 2);
        }
    }
}

fn confirmed(verb: Verb, name: &'static str) -> Reply {
    Reply::Confirmed(Confirmation {
        verb,
        name: Bytes::from_static(name.as_bytes()),
    })
}

fn text(text: &'static str) -> Reply {
    Reply::Text(Bytes::from_static(text.as_bytes()))
}

fn refused(reason: &str) -> Reply {
    Reply::Refused(reason.to_owned())
}

#[test]
fn confirmations_come_as_arrays_or_as_pushes() {
    for mark in ["*", ">"] {
        for (rest, expected) in [
            (
                "3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n",
                confirmed(Verb::Subscribe, "a"),
            ),
            (
                "3\r\n$10\r\npsubscribe\r\n$1\r\na\r\n:1\r\n",
                confirmed(Verb::SubscribePattern, "a"),
            ),
            (
                "3\r\n$10\r\nssubscribe\r\n$1\r\na\r\n:1\r\n",
                confirmed(Verb::SubscribeShard, "a"),
            ),
            (
                "3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:0\r\n",
                confirmed(Verb::Unsubscribe, "a"),
            ),
            (
                "3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n",
                confirmed(Verb::Unsubscribe, ""),
            ),
            (
                "3\r\n$11\r\nunsubscribe\r\n_\r\n:0\r\n",
                confirmed(Verb::Unsubscribe, ""),
            ),
            (
                "3\r\n$12\r\nsunsubscribe\r\n$1\r\na\r\n:0\r\n",
                confirmed(Verb::UnsubscribeShard, "a"),
            ),
        ] {
            let text = format!("{mark}{rest}");
            assert_eq!(all(&text), Ok(vec![expected]), "{text:?}");
        }
    }
}

#[test]
fn answers_to_commands_are_told_apart() {
    for (bytes, expected) in [
        ("+OK\r\n", Reply::Done),
        ("+PONG\r\n", Reply::Pong),
        (":7\r\n", Reply::Done),
        ("$-1\r\n", Reply::Done),
        ("$0\r\n\r\n", text("")),
        ("$4\r\na\r\nb\r\n", text("a\r\nb")),
        ("=4\r\ntxt:\r\n", text("")),
        ("=15\r\ntxt:role:master\r\n", text("role:master")),
        ("_\r\n", Reply::Done),
        ("#t\r\n", Reply::Done),
        ("#f\r\n", Reply::Done),
        (",1.5\r\n", Reply::Done),
        (",-inf\r\n", Reply::Done),
        (",nan\r\n", Reply::Done),
        (
            "(-3492890328409238509324850943850943825024385\r\n",
            Reply::Done,
        ),
        ("*-1\r\n", Reply::Done),
        ("*0\r\n", Reply::Done),
        ("~2\r\n+a\r\n:1\r\n", Reply::Done),
        ("%1\r\n$5\r\nproto\r\n:3\r\n", Reply::Done),
        ("*2\r\n$4\r\npong\r\n$0\r\n\r\n", Reply::Pong),
        ("-ERR no\r\n", refused("ERR no")),
        ("!6\r\nERR no\r\n", refused("ERR no")),
        (
            "-NOPERM this user has no permissions to access one of the channels used\r\n",
            refused("NOPERM this user has no permissions to access one of the channels used"),
        ),
    ] {
        assert_eq!(all(bytes), Ok(vec![expected]), "{bytes:?}");
    }
}

#[test]
fn the_answer_to_hello_is_one_answer_in_either_version() {
    let pairs = "$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$6\r\n7.0.15\r\n\
                 $5\r\nproto\r\n:3\r\n$2\r\nid\r\n:7\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n\
                 $4\r\nrole\r\n$6\r\nmaster\r\n$7\r\nmodules\r\n";
    let module = "%2\r\n$4\r\nname\r\n$1\r\na\r\n$4\r\nargs\r\n*1\r\n$1\r\nb\r\n";
    for bytes in [
        format!("%7\r\n{pairs}*0\r\n"),
        format!("%7\r\n{pairs}*2\r\n{module}{module}"),
        format!("*14\r\n{pairs}*0\r\n"),
    ] {
        assert_eq!(all(&bytes.repeat(2)), Ok(vec![Reply::Done, Reply::Done]));
    }
}

#[test]
fn attributes_and_other_pushes_are_no_answers() {
    for skipped in [
        "|1\r\n+ttl\r\n:3600\r\n",
        "|0\r\n",
        ">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\na\r\n",
        ">2\r\n$10\r\ninvalidate\r\n_\r\n",
        ">1\r\n+invalidate\r\n",
    ] {
        let bytes = format!("{skipped}+PONG\r\n{skipped}$1\r\na\r\n{skipped}");
        assert_eq!(all(&bytes), Ok(vec![Reply::Pong, text("a")]), "{skipped:?}");
    }
    let nested = "*2\r\n|1\r\n+a\r\n+b\r\n:1\r\n:2\r\n+PONG\r\n";
    assert_eq!(all(nested), Ok(vec![Reply::Done, Reply::Pong]));
}

#[test]
fn invalid_replies_are_errors() {
    for text in [
        "HTTP/1.1 400\r\n",
        ">0\r\n",
        ">-1\r\n",
        ">2\r\n$3\r\nabc\r\n>1\r\n",
        "*1\r\n>1\r\n",
        ">3\r\n$7\r\nmessage\r\n_\r\n",
        "*3\r\n$-2\r\n",
        "*4\r\n$7\r\nmessage\r\n",
        "$5\r\nabcdefg\r\n",
        "$x\r\n",
        "$\r\n",
        ":1\rx",
        "_x\r\n",
        "#x\r\n",
        ",x\r\n",
        "(\r\n",
        "=3\r\ntxt\r\n",
        "=5\r\nabcde\r\n",
        "=-1\r\n",
        "!-1\r\n",
        "%-2\r\n",
        "$?\r\n",
    ] {
        assert_eq!(all(text), Err(NotAReply), "{text:?}");
    }
}

#[test]
fn announced_lengths_are_limited_before_anything_else_comes() {
    for text in [
        "$1048577\r\n",
        "=1048577\r\n",
        "!65537\r\n",
        "*4097\r\n",
        "%2049\r\n",
        "|2049\r\n",
        "~4097\r\n",
        ">4097\r\n+a\r\n",
        "*1\r\n$65537\r\n",
        "%999999999999999999\r\n",
        ">3\r\n$7\r\nmessage\r\n$536870913\r\n",
    ] {
        assert_eq!(all(text), Err(NotAReply), "{text:?}");
    }
    let many = format!("*2\r\n*4000\r\n{}*100\r\n", "_\r\n".repeat(4000));
    assert_eq!(all(&many), Err(NotAReply));
    assert_eq!(all(&"+".repeat(MAX_LINE + 1)), Err(NotAReply));
}

#[test]
fn a_message_that_is_too_long_is_passed_over_as_it_comes() {
    let long = ">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$5\r\n12345\r\n";
    let next = ">3\r\n$7\r\nmessage\r\n$1\r\nb\r\n$4\r\n1234\r\n";
    let text = [long, next].concat();
    for size in 1..text.len() {
        let (mut decoder, mut input) = (Decoder::default(), BytesMut::new());
        let mut found = Vec::new();
        for part in text.as_bytes().chunks(size) {
            input.extend_from_slice(part);
            while let Some(reply) = decoder.decode(&mut input, 4).unwrap() {
                found.push(reply);
                assert!(input.len() < size, "nothing of it is kept");
            }
        }
        let [Reply::TooLong(too_long), Reply::Message(message)] = &found[..] else {
            panic!("{found:?}");
        };
        assert_eq!((&*too_long.channel, too_long.bytes), (&b"a"[..], 5));
        assert_eq!(message.payload(), b"1234");
    }
}

#[test]
fn nesting_is_limited() {
    for head in ["*1\r\n", "~1\r\n", "%1\r\n+a\r\n"] {
        let nested = |depth| format!("{}:1\r\n", head.repeat(depth));
        assert_eq!(all(&nested(16)), Ok(vec![Reply::Done]));
        assert_eq!(all(&nested(17)), Err(NotAReply));
        assert_eq!(all(&head.repeat(100_000)), Err(NotAReply));
    }
}

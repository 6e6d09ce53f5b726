//! The WebSocket layer by itself, as RFC 6455 has it: what Autobahn|Testsuite looks at in its
//! groups 1 to 7, 9 and 10, against an example that sends every message back.

use womack_test_support::raw::{self, Frame, Raw};
use womack_test_support::{Server, conformance};

const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;
const CLOSE: u8 = 0x88;
/// The first byte of a frame that is not the message's last one.
const TEXT_BEGINS: u8 = 0x01;
const BINARY_BEGINS: u8 = 0x02;
const GOES_ON: u8 = 0x00;
const ENDS: u8 = 0x80;

const NORMAL: u16 = 1000;
const PROTOCOL_ERROR: u16 = 1002;
const NOT_UTF8: u16 = 1007;

/// How bytes are given to the server.
#[derive(Clone, Copy, Debug)]
enum Pieces {
    /// Everything with one write.
    Whole,
    /// A frame with each write.
    Frames,
    /// One byte with each write.
    Octets,
}

/// What is sent, and what has to come of it.
struct Case {
    name: String,
    frames: Vec<Vec<u8>>,
    answers: Vec<Frame>,
    /// The code of the close frame at the end.
    code: u16,
}

impl Case {
    /// A case without mistakes.
    fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            frames: Vec::new(),
            answers: Vec::new(),
            code: NORMAL,
        }
    }

    fn sends(mut self, first: u8, payload: &[u8]) -> Self {
        self.frames.push(raw::frame(first, payload));
        self
    }

    fn gets(mut self, first: u8, payload: &[u8]) -> Self {
        self.answers.push(Frame {
            first,
            payload: payload.to_vec(),
        });
        self
    }

    /// A message in one frame, and its echo.
    fn echo(self, first: u8, payload: &[u8]) -> Self {
        self.sends(first, payload).gets(first, payload)
    }

    /// A ping, and its pong.
    fn ping(self, payload: &[u8]) -> Self {
        self.sends(PING, payload).gets(PONG, payload)
    }

    /// What was sent last must end the connection.
    fn fails(mut self, code: u16) -> Self {
        self.code = code;
        self
    }

    async fn run(&self, server: &Server, pieces: Pieces) {
        let mut socket = Raw::upgraded(server.address(), "/any/path?at=all").await;
        let mut frames = self.frames.clone();
        if self.code == NORMAL {
            frames.push(raw::frame(CLOSE, &NORMAL.to_be_bytes()));
        }
        match pieces {
            Pieces::Whole => socket.send(&frames.concat()).await,
            Pieces::Frames => {
                for frame in &frames {
                    socket.send(frame).await;
                }
            }
            Pieces::Octets => {
                for byte in frames.concat() {
                    socket.send(&[byte]).await;
                }
            }
        }
        let case = format!("{} in {pieces:?}", self.name);
        let mut got = socket.frames().await;
        let last = got.pop();
        let code = last.as_ref().and_then(Frame::close_code);
        assert_eq!(code, Some(self.code), "{case}: {last:?} after {got:?}");
        assert_eq!(got, self.answers, "{case}");
    }
}

async fn run(cases: &[Case]) {
    let server = conformance::start_echo().await;
    for case in cases {
        case.run(&server, Pieces::Whole).await;
        case.run(&server, Pieces::Frames).await;
        if case.frames.concat().len() < 200 {
            case.run(&server, Pieces::Octets).await;
        }
    }
}

#[tokio::test]
async fn messages_of_every_length_form_come_back() {
    let mut cases = Vec::new();
    for length in [0, 1, 125, 126, 127, 128, 65_535, 65_536] {
        let text = "*".repeat(length);
        cases.push(Case::new(format!("text of {length}")).echo(TEXT, text.as_bytes()));
        let binary = vec![0xfe; length];
        cases.push(Case::new(format!("binary of {length}")).echo(BINARY, &binary));
    }
    run(&cases).await;
}

#[tokio::test]
async fn every_ping_gets_its_pong_and_no_pong_an_answer() {
    let ten = (0..10).fold(Case::new("ten pings"), |case, n| {
        case.ping(format!("payload-{n}").as_bytes())
    });
    run(&[
        Case::new("empty").ping(b""),
        Case::new("text").ping(b"Hello, world!"),
        Case::new("bytes").ping(&[0x00, 0xff, 0xfe, 0xfd, 0xfc, 0xfb, 0x00, 0xff]),
        Case::new("125 bytes").ping(&[0xfe; 125]),
        Case::new("126 bytes")
            .sends(PING, &[0xfe; 126])
            .fails(PROTOCOL_ERROR),
        Case::new("unasked pong").sends(PONG, b""),
        Case::new("unasked pong with payload").sends(PONG, b"unasked"),
        Case::new("unasked pong, then a ping")
            .sends(PONG, b"unasked")
            .ping(b"ping"),
        ten,
    ])
    .await;
}

#[tokio::test]
async fn reserved_bits_and_opcodes_end_the_connection_after_what_came_before() {
    let mut cases = Vec::new();
    for bits in 1..=7_u8 {
        for opcode in [TEXT, BINARY, PING, CLOSE] {
            cases.push(
                Case::new(format!("reserved bits {bits} on {opcode:x}"))
                    .echo(TEXT, b"before")
                    .sends(opcode | bits << 4, b"")
                    .sends(PING, b"after")
                    .fails(PROTOCOL_ERROR),
            );
        }
    }
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        for payload in [&b""[..], b"reserved opcode"] {
            cases.push(
                Case::new(format!("opcode {opcode} with {} bytes", payload.len()))
                    .echo(TEXT, b"before")
                    .sends(0x80 | opcode, payload)
                    .sends(PING, b"after")
                    .fails(PROTOCOL_ERROR),
            );
        }
    }
    run(&cases).await;
}

#[tokio::test]
async fn fragments_make_one_message_and_control_frames_may_come_between() {
    let fragmented = |name: &str| {
        Case::new(name)
            .sends(TEXT_BEGINS, b"fragment1")
            .sends(ENDS, b"fragment2")
            .gets(TEXT, b"fragment1fragment2")
    };
    let mut five = Case::new("pings among five fragments");
    for (first, payload) in [
        (TEXT_BEGINS, "fragment1"),
        (GOES_ON, "fragment2"),
        (GOES_ON, "fragment3"),
        (GOES_ON, "fragment4"),
    ] {
        five = five
            .sends(first, payload.as_bytes())
            .ping(payload.as_bytes());
    }
    run(&[
        fragmented("two fragments"),
        Case::new("two binary fragments")
            .sends(BINARY_BEGINS, &[0xff])
            .sends(ENDS, &[0xfe])
            .gets(BINARY, &[0xff, 0xfe]),
        Case::new("a ping between")
            .sends(TEXT_BEGINS, b"fragment1")
            .ping(b"ping")
            .sends(ENDS, b"fragment2")
            .gets(TEXT, b"fragment1fragment2"),
        five.sends(ENDS, b"fragment5")
            .gets(TEXT, b"fragment1fragment2fragment3fragment4fragment5"),
        Case::new("empty fragments")
            .sends(TEXT_BEGINS, b"")
            .sends(GOES_ON, b"")
            .sends(ENDS, b"")
            .gets(TEXT, b""),
        Case::new("an empty first and last fragment")
            .sends(TEXT_BEGINS, b"")
            .sends(GOES_ON, b"middle")
            .sends(ENDS, b"")
            .gets(TEXT, b"middle"),
        Case::new("a ping in fragments")
            .sends(PING & 0x7f, b"fragment1")
            .sends(ENDS, b"fragment2")
            .fails(PROTOCOL_ERROR),
        Case::new("a pong in fragments")
            .sends(PONG & 0x7f, b"fragment1")
            .sends(ENDS, b"fragment2")
            .fails(PROTOCOL_ERROR),
        Case::new("a last fragment of nothing")
            .sends(ENDS, b"no beginning")
            .echo_after_failure(),
        Case::new("a fragment of nothing")
            .sends(GOES_ON, b"no beginning")
            .echo_after_failure(),
        fragmented("a fragment after the last")
            .sends(GOES_ON, b"fragment3")
            .echo_after_failure(),
        fragmented("a last fragment after the last")
            .sends(ENDS, b"fragment3")
            .echo_after_failure(),
        Case::new("text within a message")
            .sends(TEXT_BEGINS, b"fragment1")
            .sends(TEXT, b"fragment2")
            .fails(PROTOCOL_ERROR),
        Case::new("the beginning of text within a message")
            .sends(TEXT_BEGINS, b"fragment1")
            .sends(GOES_ON, b"fragment2")
            .sends(BINARY_BEGINS, b"fragment3")
            .fails(PROTOCOL_ERROR),
    ])
    .await;
}

impl Case {
    /// The last frame fails, and a message after it has no echo.
    fn echo_after_failure(self) -> Self {
        self.sends(TEXT, b"after").fails(PROTOCOL_ERROR)
    }
}

/// Texts with characters of every length.
const TEXTS: &[&str] = &[
    "Hello-µ@ßöäüàá-UTF-8!!",
    "κόσμε",
    "\u{0}",
    "\u{7f}",
    "\u{80}",
    "\u{7ff}",
    "\u{800}",
    "\u{ffff}",
    "\u{fffd}",
    "\u{fffe}",
    "\u{d7ff}",
    "\u{e000}",
    "\u{10000}",
    "\u{1fffe}",
    "\u{10ffff}",
    "\u{feff}",
];

/// Bytes that are no UTF-8, for different reasons.
const BROKEN: &[&[u8]] = &[
    // Continuations of nothing.
    b"\x80",
    b"\xbf",
    b"\x80\xbf\x80\xbf\x80\xbf",
    // First bytes that are not continued.
    b"\xc0 \xc1 \xc2 ",
    b"\xe0 \xe1 ",
    b"\xf0 \xf1 ",
    // Characters that end too early.
    b"\xc3",
    b"\xe0\xa0",
    b"\xef\xbf",
    b"\xf0\x90\x80",
    b"\xce\xba\xe1\xbd",
    // Lengths that there are no longer.
    b"\xf8\x88\x80\x80\x80",
    b"\xfc\x84\x80\x80\x80\x80",
    // Bytes that cannot be.
    b"\xfe",
    b"\xff",
    b"\xfe\xfe\xff\xff",
    // Overlong forms.
    b"\xc0\xaf",
    b"\xe0\x80\xaf",
    b"\xf0\x80\x80\xaf",
    b"\xc1\xbf",
    b"\xe0\x9f\xbf",
    b"\xf0\x8f\xbf\xbf",
    b"\xc0\x80",
    // Surrogates, alone and in pairs.
    b"\xed\xa0\x80",
    b"\xed\xaf\xbf",
    b"\xed\xbf\xbf",
    b"\xed\xa0\x80\xed\xb0\x80",
    // Beyond Unicode.
    b"\xf4\x90\x80\x80",
    b"\xf7\xbf\xbf\xbf",
];

#[tokio::test]
async fn text_is_utf8_however_it_is_cut() {
    let mut cases = Vec::new();
    for text in TEXTS {
        let bytes = text.as_bytes();
        cases.push(Case::new(format!("{text:?}")).echo(TEXT, bytes));
        cases.push(in_fragments(text, bytes).gets(TEXT, bytes));
    }
    run(&cases).await;
}

#[tokio::test]
async fn other_bytes_are_no_text_however_they_are_cut() {
    let mut cases = Vec::new();
    for broken in BROKEN {
        let bytes = [b"before ", *broken].concat();
        let name = broken.escape_ascii().to_string();
        cases.push(Case::new(&name).sends(TEXT, &bytes).fails(NOT_UTF8));
        cases.push(in_fragments(&name, &bytes).fails(NOT_UTF8));
        cases.push(Case::new(name).echo(BINARY, &bytes));
    }
    run(&cases).await;
}

/// A text message with one byte in each fragment.
fn in_fragments(name: &str, bytes: &[u8]) -> Case {
    let case = Case::new(format!("{name:?}, byte by byte"));
    let case = bytes.iter().enumerate().fold(case, |case, (at, byte)| {
        let first = if at == 0 { TEXT_BEGINS } else { GOES_ON };
        case.sends(first, &[*byte])
    });
    case.sends(ENDS, b"")
}

#[tokio::test]
async fn a_broken_fragment_ends_the_connection_before_the_message_ends() {
    let server = conformance::start_echo().await;
    for broken in [&b"\xce\xba\xf4\x90"[..], b"\xce\xba\xed\xa0", b"\xff"] {
        let mut socket = Raw::upgraded(server.address(), "/").await;
        socket.send(&raw::frame(TEXT_BEGINS, b"valid")).await;
        socket.send(&raw::frame(GOES_ON, broken)).await;
        let frames = socket.frames().await;
        assert_eq!(frames[0].close_code(), Some(NOT_UTF8), "{frames:?}");
    }
}

#[tokio::test]
async fn close_is_answered_and_what_follows_is_not() {
    let server = conformance::start_echo().await;
    let after: [(&str, &[Vec<u8>]); 5] = [
        ("nothing", &[]),
        ("text", &[raw::frame(TEXT, b"after")]),
        ("a ping", &[raw::frame(PING, b"after")]),
        ("a close", &[raw::frame(CLOSE, &[3, 232])]),
        ("the rest of a message", &[raw::frame(ENDS, b"fragment2")]),
    ];
    for (name, after) in after {
        let mut socket = Raw::upgraded(server.address(), "/").await;
        let mut bytes = [
            raw::frame(TEXT, b"before"),
            raw::frame(TEXT_BEGINS, b"fragment1"),
            raw::frame(CLOSE, &NORMAL.to_be_bytes()),
        ]
        .concat();
        bytes.extend(after.concat());
        socket.send(&bytes).await;
        let frames = socket.frames().await;
        let expected = [(TEXT, &b"before"[..]), (CLOSE, &[3, 232])];
        let got: Vec<_> = frames.iter().map(|f| (f.first, &*f.payload)).collect();
        assert_eq!(got, expected, "{name}");
    }
}

#[tokio::test]
async fn echoes_that_wait_go_out_before_the_answer_to_a_close() {
    let server = conformance::start_echo().await;
    let mut socket = Raw::upgraded(server.address(), "/").await;
    let large = vec![b'*'; 8 << 20];
    let mut bytes = raw::frame(TEXT, &large);
    bytes.extend(raw::frame(CLOSE, &NORMAL.to_be_bytes()));
    bytes.extend(raw::frame(PING, b"after"));
    socket.send(&bytes).await;
    let frames = socket.frames().await;
    assert_eq!(frames.len(), 2);
    assert!(frames[0].payload == large, "another text comes back");
    assert_eq!(frames[1].close_code(), Some(NORMAL));
}

#[tokio::test]
async fn close_codes_and_reasons_are_checked() {
    let server = conformance::start_echo().await;
    let with_reason = |reason: &[u8]| [&NORMAL.to_be_bytes(), reason].concat();
    let mut closes: Vec<(Vec<u8>, Vec<u8>)> = vec![
        (Vec::new(), Vec::new()),
        (with_reason(b"Hello World!"), with_reason(b"Hello World!")),
        (with_reason(&[b'*'; 123]), with_reason(&[b'*'; 123])),
    ];
    for code in [
        1000_u16, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999,
    ] {
        let code = code.to_be_bytes().to_vec();
        closes.push((code.clone(), code));
    }
    for (sent, expected) in closes {
        let mut socket = Raw::upgraded(server.address(), "/").await;
        socket.send(&raw::frame(CLOSE, &sent)).await;
        let frames = socket.frames().await;
        assert_eq!(frames.len(), 1, "{sent:?}");
        assert_eq!((frames[0].first, &frames[0].payload), (CLOSE, &expected));
    }
    let mut wrong: Vec<(Vec<u8>, &[u16])> = vec![
        (vec![3], &[PROTOCOL_ERROR]),
        (with_reason(&[b'*'; 124]), &[PROTOCOL_ERROR]),
        (
            with_reason(b"\xce\xba\xf4\x90\x80\x80"),
            &[NOT_UTF8, PROTOCOL_ERROR],
        ),
    ];
    for code in [
        0_u16, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65_535,
    ] {
        wrong.push((code.to_be_bytes().to_vec(), &[PROTOCOL_ERROR]));
    }
    for (sent, codes) in wrong {
        let mut socket = Raw::upgraded(server.address(), "/").await;
        socket.send(&raw::frame(CLOSE, &sent)).await;
        let frames = socket.frames().await;
        let code = frames.first().and_then(Frame::close_code);
        assert!(
            code.is_some_and(|code| codes.contains(&code)),
            "{sent:?}: {frames:?}"
        );
    }
}

#[tokio::test]
async fn a_client_that_goes_without_a_word_harms_nobody() {
    let server = conformance::start_echo().await;
    let mut socket = Raw::upgraded(server.address(), "/").await;
    socket.send(&raw::frame(TEXT_BEGINS, b"half a mess")).await;
    socket.finish().await;
    socket.end().await;
    Case::new("the next")
        .echo(TEXT, b"fine")
        .run(&server, Pieces::Whole)
        .await;
}

#[tokio::test]
async fn large_messages_come_back_in_any_fragments() {
    let server = conformance::start_echo().await;
    for (kilobytes, fragments) in [
        (64, &[64 << 10][..]),
        (256, &[256 << 10]),
        (1024, &[64, 1 << 20]),
        (
            4096,
            &[64, 256, 1 << 10, 4 << 10, 64 << 10, 1 << 20, 4 << 20],
        ),
        (8192, &[8 << 20]),
        (16_384, &[64, 64 << 10, 16 << 20]),
    ] {
        let payload = payload(kilobytes << 10);
        for &fragment in fragments {
            for (begins, whole) in [(TEXT_BEGINS, TEXT), (BINARY_BEGINS, BINARY)] {
                let mut socket = Raw::upgraded(server.address(), "/").await;
                socket.send(&fragmented(begins, &payload, fragment)).await;
                let frame = socket.frame().await.expect("an echo");
                assert_eq!(frame.first, whole);
                assert!(
                    frame.payload == payload,
                    "{kilobytes} KiB by {fragment} comes back as another message"
                );
            }
        }
    }
}

#[tokio::test]
async fn one_byte_too_many_is_refused_with_its_code() {
    let server = conformance::start_echo().await;
    let mut socket = Raw::upgraded(server.address(), "/").await;
    socket.send(&raw::claim(TEXT, (16 << 20) + 1)).await;
    let frames = socket.frames().await;
    assert_eq!(frames[0].close_code(), Some(1009), "{frames:?}");
}

#[tokio::test]
async fn messages_in_small_writes_come_back() {
    let server = conformance::start_echo().await;
    let payload = payload(1 << 20);
    for chop in [64, 2048] {
        let mut socket = Raw::upgraded(server.address(), "/").await;
        for piece in raw::frame(TEXT, &payload).chunks(chop) {
            socket.send(piece).await;
        }
        let frame = socket.frame().await.expect("an echo");
        assert!(frame.payload == payload, "chopped by {chop}");
    }
}

#[tokio::test]
async fn a_thousand_messages_come_back_one_by_one() {
    let server = conformance::start_echo().await;
    let mut socket = Raw::upgraded(server.address(), "/").await;
    for length in [0, 16, 64, 256, 1024, 4096, 16_384] {
        let payload = payload(length);
        for first in [TEXT, BINARY] {
            for _ in 0..1000 {
                socket.send(&raw::frame(first, &payload)).await;
                let frame = socket.frame().await.expect("an echo");
                assert!(frame.first == first && frame.payload == payload);
            }
        }
    }
}

#[tokio::test]
async fn a_message_that_the_client_cuts_by_itself_comes_back() {
    let server = conformance::start_echo().await;
    let mut socket = Raw::upgraded(server.address(), "/").await;
    let payload = payload(65_536);
    socket.send(&fragmented(TEXT_BEGINS, &payload, 1300)).await;
    let frame = socket.frame().await.expect("an echo");
    assert!(frame.first == TEXT && frame.payload == payload);
}

/// Text in which no place looks like its neighbours.
fn payload(length: usize) -> Vec<u8> {
    let digits = (0_u32..).flat_map(|number| number.to_string().into_bytes());
    digits.take(length).collect()
}

/// A message in fragments of some size.
fn fragmented(begins: u8, payload: &[u8], size: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(payload.len() + payload.len() / size * 14);
    let count = payload.len().div_ceil(size);
    for (at, fragment) in payload.chunks(size).enumerate() {
        let opcode = if at == 0 { begins } else { GOES_ON };
        let fin = if at + 1 == count { 0x80 } else { 0 };
        bytes.extend(raw::frame(fin | opcode, fragment));
    }
    bytes
}

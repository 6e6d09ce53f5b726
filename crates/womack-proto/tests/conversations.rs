//! Whole dialogues between a client and its session, on a virtual clock.
//!
//! Each file in `conversations/` is one behaviour. Its lines are what happens:
//!
//! | line | meaning |
//! |---|---|
//! | `C> text`, `C= hex` | a text or binary packet comes over a WebSocket |
//! | `P> text` | a text packet comes in a polling body |
//! | `+ 300` | milliseconds pass, and every deadline in them is met on the dot |
//! | `~ 300` | milliseconds pass, and only then the session is told |
//! | `accept /path sid`, `refuse /path message`, `leave /path` | commands of the server |
//! | `emit /path name args`, `ack /path 7 args` | more of them; a last `+hex` is an attachment |
//! | `close reason` | the server ends the session |
//! | `transport websocket`, `transport poll`, `transport answered` | a WebSocket is open, a poll waits or has been answered |
//!
//! and what the session must say to it, in order, before anything else happens:
//!
//! | line | meaning |
//! |---|---|
//! | `S> text`, `S= hex` | a packet for the client |
//! | `! connect /path auth`, `! left /path` | a namespace is wanted, or left |
//! | `! event /path name args`, `! event /path #7 name args` | an event, wanting an acknowledgement |
//! | `! ack /path #7 args` | an acknowledgement; attachments follow as `+hex` here too |
//! | `! text ..`, `! binary hex` | a message of Engine.IO alone |
//! | `! closed reason` | the end |
//!
//! Lines `set name=value` come first and change the rules. The name of a file begins with the
//! revision that is spoken.

use std::{
    collections::VecDeque,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use bytes::Bytes;
use womack_proto::{
    CloseReason, Frame, Layer, Limits, Message, Namespaces, Output, Revision, Rules, Session,
    Timing, frame,
};

#[test]
fn sessions_say_what_the_conversations_say() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conversations");
    let mut files: Vec<PathBuf> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(files.len() > 10, "the conversations are missing");
    let failures: Vec<String> = files.iter().filter_map(|file| run(file).err()).collect();
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

/// Plays one file; the error names the line.
fn run(file: &Path) -> Result<(), String> {
    let text = fs::read_to_string(file).expect("a text file");
    let name = file.file_name().expect("a file").to_string_lossy();
    let lines = text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.is_empty());
    let mut lines = lines.filter(|(_, line)| !line.starts_with('#')).peekable();
    let mut setting = Setting::of(&name);
    while let Some((_, line)) = lines.next_if(|(_, line)| line.starts_with("set ")) {
        setting.set(line.trim_start_matches("set "));
    }
    let mut conversation = Conversation::new(setting);
    conversation.start();
    for (number, line) in lines {
        conversation
            .line(line)
            .map_err(|error| format!("{name}:{}: {error}", number + 1))?;
    }
    conversation
        .nothing_more()
        .map_err(|error| format!("{name}, at its end: {error}"))
}

/// What a session is opened with; the same as in the official conformance suites unless a file
/// changes it.
struct Setting {
    rules: Rules,
    revision: Revision,
    layer: Layer,
}

impl Setting {
    fn of(file: &str) -> Self {
        let revision = match file.split_once('_') {
            Some(("legacy", _)) => Revision::Legacy,
            Some(("v3", _)) => Revision::V3,
            Some(("v4", _)) => Revision::V4,
            _ => panic!("{file} names no revision"),
        };
        let timing = Timing {
            ping_interval: Duration::from_millis(300),
            ping_timeout: Duration::from_millis(200),
            connect_timeout: Duration::from_millis(1000),
            message_timeout: Duration::from_millis(500),
            poll_duration: Duration::from_millis(250),
            close_timeout: Duration::from_millis(700),
        };
        let namespaces = Namespaces::new(["/custom", "/other"]);
        Self {
            rules: Rules {
                timing,
                limits: Limits::default(),
                namespaces,
            },
            revision,
            layer: Layer::SocketIo,
        }
    }

    fn set(&mut self, assignment: &str) {
        let (name, value) = assignment.split_once('=').expect("name=value");
        if (name, value) == ("layer", "engine_io") {
            self.layer = Layer::EngineIo;
            return;
        }
        let number = value.parse().expect("a number");
        let (timing, limits) = (&mut self.rules.timing, &mut self.rules.limits);
        match name {
            "ping_interval" => timing.ping_interval = Duration::from_millis(number),
            "ping_timeout" => timing.ping_timeout = Duration::from_millis(number),
            "connect_timeout" => timing.connect_timeout = Duration::from_millis(number),
            "max_attachments" => limits.max_attachments = number as usize,
            "max_attachment_bytes" => limits.max_attachment_bytes = number as usize,
            "max_namespaces" => limits.max_namespaces = number as usize,
            _ => panic!("no rule named {name}"),
        }
    }
}

struct Conversation {
    rules: Rules,
    session: Session,
    now: Instant,
    said: VecDeque<String>,
}

impl Conversation {
    fn new(setting: Setting) -> Self {
        let Setting {
            rules,
            revision,
            layer,
        } = setting;
        #[expect(
            clippy::disallowed_methods,
            reason = "a start for time; only differences count"
        )]
        let now = Instant::now();
        let session = Session::open(revision, layer, &rules, now);
        Self {
            rules,
            session,
            now,
            said: VecDeque::new(),
        }
    }

    fn start(&mut self) {
        let mut out = Vec::new();
        self.session.start(&self.rules, &mut out);
        self.hear(&out);
    }

    fn line(&mut self, line: &str) -> Result<(), String> {
        if line.starts_with("S") || line.starts_with('!') {
            return match self.said.pop_front() {
                Some(said) if said == line => Ok(()),
                said => Err(format!("expected {line:?}, but the session said {said:?}")),
            };
        }
        self.nothing_more()?;
        let mut out = Vec::new();
        self.happen(line, &mut out);
        self.hear(&out);
        Ok(())
    }

    fn hear(&mut self, out: &[Output]) {
        self.said
            .extend(out.iter().map(|output| render(output, &self.rules)));
    }

    fn nothing_more(&self) -> Result<(), String> {
        match self.said.front() {
            None => Ok(()),
            Some(_) => Err(format!("the session also said {:?}", self.said)),
        }
    }

    fn happen(&mut self, line: &str, out: &mut Vec<Output>) {
        let Self {
            rules,
            session,
            now,
            ..
        } = self;
        let (verb, rest) = line.split_once(' ').expect("a verb and more");
        let mut words = rest.splitn(3, ' ');
        let mut word = || words.next().unwrap_or_default();
        match verb {
            "C>" => session.handle_text(*now, rest, rules, out),
            "P>" => session.handle_polling_packet(*now, rest, rules, out),
            "C=" => session.handle_binary(*now, bytes(rest), rules, out),
            "+" => {
                let then = *now + milliseconds(rest);
                while session.deadline() <= then && !session.is_closed() {
                    *now = session.deadline();
                    let before = out.len();
                    session.handle_timeout(*now - Duration::from_nanos(1), rules, out);
                    assert_eq!(out.len(), before, "too early");
                    session.handle_timeout(*now, rules, out);
                    assert!(out.len() > before, "a deadline must act at once");
                }
                *now = then;
                session.handle_timeout(then, rules, out);
            }
            "~" => {
                *now += milliseconds(rest);
                session.handle_timeout(*now, rules, out);
            }
            "transport" => match rest {
                "websocket" => session.handle_websocket(*now, rules),
                "poll" => session.handle_poll(*now, rules),
                "answered" => session.handle_poll_answered(*now, rules),
                _ => panic!("no transport {rest}"),
            },
            "close" => {
                let named = |reason: &&CloseReason| reason.as_str() == rest;
                session.close(*CloseReason::ALL.iter().find(named).expect("a reason"), out);
            }
            _ => {
                let namespace = rules.namespaces.id(word()).expect("a namespace");
                match verb {
                    "accept" => session.accept(namespace, word(), rules, out),
                    "refuse" => session.refuse(namespace, word(), None, rules, out),
                    "leave" => session.leave(namespace, rules, out),
                    "emit" | "ack" => {
                        let (name, rest) = (word(), word());
                        let mut parts = rest.split(" +");
                        let args = parts.next().unwrap_or_default();
                        let attachments: Vec<Bytes> = parts.map(bytes).collect();
                        if verb == "emit" {
                            session.emit(namespace, name, args, &attachments, rules, out);
                        } else {
                            let id = name.parse().expect("a number");
                            session.acknowledge(namespace, id, args, &attachments, rules, out);
                        }
                    }
                    _ => panic!("no verb {verb}"),
                }
            }
        }
    }
}

fn render(output: &Output, rules: &Rules) -> String {
    let path = |namespace| rules.namespaces.path(namespace);
    match output {
        Output::Send(frame) => packet(frame),
        Output::Connect { namespace, auth } => {
            format!(
                "! connect {} {}",
                path(*namespace),
                auth.as_deref().unwrap_or("-")
            )
        }
        Output::Event { namespace, event } => {
            let ack = event.ack.map(|ack| format!("#{ack} ")).unwrap_or_default();
            let name = &event.name;
            let event = list(&event.args, &event.attachments);
            format!("! event {} {ack}{name}{event}", path(*namespace))
        }
        Output::Ack {
            namespace,
            id,
            args,
            attachments,
        } => {
            format!(
                "! ack {} #{id}{}",
                path(*namespace),
                list(args, attachments)
            )
        }
        Output::Left(namespace) => format!("! left {}", path(*namespace)),
        Output::Message(Message::Text(text)) => format!("! text {text}"),
        Output::Message(Message::Binary(data)) => format!("! binary {}", hex(data)),
        Output::Closed(reason) => format!("! closed {}", reason.as_str()),
    }
}

fn packet(frame: &Frame) -> String {
    let packets: Vec<_> = frame::packets(frame.as_bytes()).collect();
    match packets[..] {
        [(frame::Opcode::Text, text)] => format!(
            "S> {}",
            str::from_utf8(text).expect("text frames hold UTF-8")
        ),
        [(frame::Opcode::Binary, data)] => format!("S= {}", hex(data)),
        _ => format!("S? {frame:?}"),
    }
}

fn list(args: &str, attachments: &[Bytes]) -> String {
    let mut list = if args.is_empty() {
        String::new()
    } else {
        format!(" {args}")
    };
    list.extend(attachments.iter().map(|data| format!(" +{}", hex(data))));
    list
}

fn hex(data: &[u8]) -> String {
    data.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(hex: &str) -> Bytes {
    let digits = hex.trim();
    let starts = (0..digits.len()).step_by(2);
    let byte = |start| u8::from_str_radix(&digits[start..start + 2], 16).expect("hex digits");
    starts.map(byte).collect()
}

fn milliseconds(number: &str) -> Duration {
    Duration::from_millis(number.trim().parse().expect("milliseconds"))
}

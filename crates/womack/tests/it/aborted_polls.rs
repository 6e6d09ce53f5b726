//! Polls that are given up just as they are answered, and repeated as proxies do it: each number
//! arrives, or the session ends. A client that reads its answers keeps its session however it
//! closes its connections.

use std::env;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use womack_test_support::balancer::Balancer;
use womack_test_support::http::Method;
use womack_test_support::metrics::Metrics;
use womack_test_support::{Polling, Redis, Server, counted, http, within};

const CLOSED: &str = "womack_connections_closed_total";
/// Polls of each client; `ABORTED_POLLS` says how many more of them a longer run has.
const ROUNDS: usize = 20;
/// Clients at a time.
const CLIENTS: u64 = 8;
/// An answer comes within so many microseconds of its message, mostly.
const AROUND: u64 = 1500;

/// A client's words, and whether its requests have stamps, as those of all official clients have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flavour {
    V4,
    V4Unstamped,
    V3,
    V3Scripts,
    Legacy,
    LegacyScripts,
}

const FLAVOURS: [Flavour; 6] = [
    Flavour::V4,
    Flavour::V4Unstamped,
    Flavour::V3,
    Flavour::V3Scripts,
    Flavour::Legacy,
    Flavour::LegacyScripts,
];

impl Flavour {
    fn is_legacy(self) -> bool {
        matches!(self, Self::Legacy | Self::LegacyScripts)
    }

    /// A packet as the body of a POST.
    fn body(self, packet: &str) -> String {
        let counted = counted(packet);
        match self {
            Self::V4 | Self::V4Unstamped => packet.to_owned(),
            Self::V3 => counted,
            Self::V3Scripts => format!("d={}", escaped(&counted)),
            Self::Legacy => packet.to_owned(),
            Self::LegacyScripts => format!("d={}", escaped(&json!(packet).to_string())),
        }
    }
}

fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// Opens a session at `owner` that is subscribed to `channel` by way of `ingress`; returns the path
/// of its requests.
async fn open(flavour: Flavour, [owner, ingress]: [SocketAddr; 2], channel: &str) -> String {
    let (path, subscribe, answer) = if flavour.is_legacy() {
        let line = http::get(owner, "/socket.io/1/").await.text();
        let sid = line.split(':').next().expect("a sid");
        let path = match flavour {
            Flavour::Legacy => format!("/socket.io/1/xhr-polling/{sid}?"),
            _ => format!("/socket.io/1/jsonp-polling/{sid}?i=0"),
        };
        let event = json!({"name": "subscribe", "args": [{"channel": channel}]});
        (path, format!("5:1+::{event}"), "6:::1+")
    } else {
        let query = match flavour {
            Flavour::V4 | Flavour::V4Unstamped => "EIO=4&transport=polling",
            Flavour::V3 => "EIO=3&transport=polling",
            _ => "EIO=3&transport=polling&j=0",
        };
        let path = format!("/socket.io/?{query}");
        let text = http::get(owner, &path).await.text().replace('\\', "");
        let sid = text.split(r#""sid":""#).nth(1).expect("a sid");
        let path = format!("{path}&sid={}", &sid[..24]);
        if query.contains("EIO=4") {
            assert_eq!(http::post(owner, &path, "40").await.status, 200);
        }
        let event = json!(["subscribe", {"channel": channel}]);
        (path, format!("420{event}"), "430[")
    };
    let kind = match flavour {
        Flavour::V3Scripts | Flavour::LegacyScripts => "application/x-www-form-urlencoded",
        _ => "text/plain;charset=UTF-8",
    };
    let headers = [("content-type", kind)];
    let body = flavour.body(&subscribe);
    let posted = http::request(ingress, Method::POST, &path, &headers, &body).await;
    assert_eq!(posted.status, 200, "{flavour:?}: {}", posted.text());
    within("a subscription", async {
        while !http::get(ingress, &path).await.text().contains(answer) {}
    })
    .await;
    path
}

/// How often what happened.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    aborted: usize,
    /// Sessions that ended with a poll that was given up.
    ended: usize,
    /// Numbers that were lost, after which the session ended.
    told: usize,
}

/// Made up at random, from a seed.
struct Random(u64);

impl Random {
    fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % most
    }
}

/// A client that gives polls up and repeats them.
struct Impatient<'a> {
    redis: &'a Redis,
    /// The node of its sessions, and the one that its requests reach.
    owner: SocketAddr,
    ingress: SocketAddr,
    flavour: Flavour,
    random: Random,
    channel: String,
    number: usize,
    polls: usize,
    tally: Tally,
}

impl Impatient<'_> {
    async fn run(mut self, rounds: usize) -> Tally {
        let mut session = self.open().await;
        for _ in 0..rounds {
            if !self.round(&session).await {
                session = self.open().await;
            }
        }
        self.tally
    }

    async fn open(&self) -> String {
        open(self.flavour, [self.owner, self.ingress], &self.channel).await
    }

    /// Gives up a poll while a number is published, repeats it, and polls until the next number has
    /// come. False if the session has ended.
    async fn round(&mut self, session: &str) -> bool {
        let first = self.number;
        let path = self.path(session);
        self.abort(&path).await;
        self.publish().await;
        let (mut path, mut came) = (path, Vec::new());
        while came.last() != Some(&(first + 1)) {
            let Some(numbers) = self.numbers(&path).await else {
                self.tally.ended += 1;
                return false;
            };
            came.extend(numbers);
            path = self.path(session);
        }
        if came == [first, first + 1] {
            return true;
        }
        self.tally.told += 1;
        within("a session that has lost a number to end", async {
            loop {
                self.publish().await;
                let path = self.path(session);
                if self.numbers(&path).await.is_none() {
                    return;
                }
            }
        })
        .await;
        false
    }

    /// Polls, and closes the connection at some moment around the answer, read or not.
    async fn abort(&mut self, path: &str) {
        let stream = self.send(path).await;
        let wait = Duration::from_micros(self.random.below(AROUND));
        self.publish().await;
        // Timers are too coarse for this.
        let begin = Instant::now();
        while begin.elapsed() < wait {
            tokio::task::yield_now().await;
        }
        if self.random.below(4) == 0 {
            // Part of the answer was read.
            drop(stream.try_read(&mut [0; 40]));
        }
        drop(stream);
        self.tally.aborted += 1;
    }

    async fn send(&mut self, path: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.ingress).await.expect("a server");
        stream.set_nodelay(true).expect("a TCP connection");
        let version = ["1.1", "1.0"][self.random.below(2) as usize];
        let request = format!("GET {path} HTTP/{version}\r\nHost: a\r\n\r\n");
        let sent = stream.write_all(request.as_bytes()).await;
        sent.expect("the server reads");
        stream
    }

    async fn publish(&mut self) {
        let number = self.number.to_string();
        self.number += 1;
        self.redis.publish(&self.channel, &number).await;
    }

    fn path(&mut self, session: &str) -> String {
        self.polls += 1;
        match self.flavour {
            Flavour::V4Unstamped => session.to_owned(),
            _ => format!("{session}&t={}", self.polls),
        }
    }

    /// The numbers that one poll brings; `None` if the session has ended.
    async fn numbers(&self, path: &str) -> Option<Vec<usize>> {
        let answer = http::get(self.ingress, path).await;
        let text = answer.text().replace('\\', "");
        let ends = ["1", "1:1", r#"___eio[0]("1:1");"#];
        if answer.status != 200 || ends.contains(&&*text) || text.contains("7:::") {
            return None;
        }
        let head = match self.flavour.is_legacy() {
            true => format!(r#"{{"name":"{}","args":["#, self.channel),
            false => format!(r#"42["{}","#, self.channel),
        };
        let numbers = text.split(&head).skip(1).map(|rest| {
            let (number, _) = rest.split_once(']').expect("the end of an event");
            number.parse().expect("a number")
        });
        Some(numbers.collect())
    }
}

async fn aborted_polls(owner: &Server, ingress: &Server, redis: &Redis, flavour: Flavour) {
    let longer = env::var("ABORTED_POLLS").ok();
    let longer = longer.map_or(1, |times| times.parse().expect("a number"));
    let client = |seed| Impatient {
        redis,
        owner: owner.address(),
        ingress: ingress.address(),
        flavour,
        random: Random(0x9e37_79b9_7f4a_7c15 ^ (seed + 1)),
        channel: format!("a{seed}"),
        number: 0,
        polls: 0,
        tally: Tally::default(),
    };
    let mut sum = Tally::default();
    let each = (0..CLIENTS).map(|seed| client(seed).run(ROUNDS * longer));
    for tally in join_all(each).await {
        sum.aborted += tally.aborted;
        sum.ended += tally.ended;
        sum.told += tally.told;
    }
    println!("{flavour:?}: {sum:?}");
    assert!(
        sum.ended + sum.told > 0,
        "nothing was given up in time: {sum:?}"
    );
}

#[tokio::test]
async fn a_poll_that_is_given_up_as_it_is_answered_loses_nothing_in_silence() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    for flavour in FLAVOURS {
        aborted_polls(&server, &server, &redis, flavour).await;
    }
}

#[tokio::test]
async fn a_poll_that_is_given_up_at_another_node_loses_nothing_in_silence() {
    let redis = Redis::start().await;
    let (owner, ingress) = tokio::join!(Server::start(&redis), Server::start(&redis));
    for flavour in FLAVOURS {
        aborted_polls(&owner, &ingress, &redis, flavour).await;
    }
}

/// How a client that reads its answers ends its connections.
#[derive(Clone, Copy, Debug)]
enum Ends {
    /// It closes one that would have gone on.
    ByClient,
    /// It asks the server to close it.
    ByServer,
    /// It knows no others, as Python's and nginx's do by default.
    OldHttp,
}

async fn poll_and_close(address: SocketAddr, path: &str, ends: Ends) -> String {
    let mut stream = TcpStream::connect(address).await.expect("a server");
    let (version, header) = match ends {
        Ends::ByClient => ("1.1", ""),
        Ends::ByServer => ("1.1", "Connection: close\r\n"),
        Ends::OldHttp => ("1.0", ""),
    };
    let request = format!("GET {path} HTTP/{version}\r\nHost: a\r\n{header}\r\n");
    let sent = stream.write_all(request.as_bytes()).await;
    sent.expect("the server reads");
    let mut read = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&read).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(": ")?;
                let is_it = name.eq_ignore_ascii_case("content-length");
                is_it.then(|| value.parse::<usize>().expect("a number"))
            });
            if length == Some(body.len()) {
                assert!(head.contains(" 200 "), "{head}");
                return body.to_owned();
            }
        }
        let count = within("an answer", stream.read_buf(&mut read)).await;
        assert!(
            count.expect("an answer") > 0,
            "the end within an answer: {text}"
        );
    }
}

#[tokio::test]
async fn a_client_that_reads_its_answers_keeps_its_session_however_it_closes() {
    let redis = Redis::start().await;
    let (one, other) = tokio::join!(Server::start(&redis), Server::start(&redis));
    let nodes = [one.address(), other.address()];
    // HAProxy resets its connections to servers, and does not always say that it is there.
    let silent = |text: String| text.replace("option forwardfor", "http-reuse never");
    let telling = |text: String| text.replace("leastconn", "leastconn\n    http-reuse never");
    let (nginx, haproxy, silent) = tokio::join!(
        Balancer::nginx(nodes),
        Balancer::haproxy_with(nodes, telling),
        Balancer::haproxy_with(nodes, silent)
    );
    let ways = [
        (one.address(), "t"),
        (one.address(), "unstamped"),
        (other.address(), "t"),
        (other.address(), "unstamped"),
        (nginx.address(), "t"),
        (nginx.address(), "unstamped"),
        (haproxy.address(), "t"),
        (haproxy.address(), "unstamped"),
        (silent.address(), "t"),
    ];
    for (way, (address, stamp)) in ways.into_iter().enumerate() {
        for ends in [Ends::ByClient, Ends::ByServer, Ends::OldHttp] {
            let channel = format!("{way}{ends:?}");
            let mut client = Polling::connect(one.address()).await;
            client.subscribe(&channel).await;
            for number in 0..10 {
                redis.publish(&channel, &number.to_string()).await;
                let path = format!("{}&{stamp}={number}", client.path());
                let body = poll_and_close(address, &path, ends).await;
                assert_eq!(body, format!(r#"42["{channel}",{number}]"#));
            }
        }
    }
    for server in [&one, &other] {
        let metrics = Metrics::of(server.address()).await;
        assert!(metrics.sum(CLOSED, "poll_aborted") < 0.5);
    }
}

//! The Python roster, at work on a real server's events and records.

use std::process::Stdio;

use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};
use womack_test_support::events::{KEY, ServerEvents};
use womack_test_support::{Broker, Client, Launch, Redis, Server, Signal, repository, within};

/// `python -m womack.roster`, which says who signs in and out. Killed when dropped.
struct Roster {
    _child: Child,
    lines: Lines<BufReader<ChildStderr>>,
}

impl Roster {
    fn start(redis: &Redis) -> Self {
        let mut child = Command::new(repository().join("target/venv/bin/python"))
            .args(["-m", "womack.roster", "--ttl", "1"])
            .args(["--redis-url", &redis.url(), "--events-key", KEY])
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the virtual environment is there (make deps)");
        let stderr = child.stderr.take().expect("stderr is piped");
        Self {
            _child: child,
            lines: BufReader::new(stderr).lines(),
        }
    }

    async fn says(&mut self, words: &str) {
        let line = within("a line of the roster", self.lines.next_line()).await;
        let line = line.expect("a pipe").expect("the roster runs");
        assert!(line.ends_with(words), "{words:?} is not in {line:?}");
    }
}

async fn tab(server: &Server, user: &str) -> Client {
    let mut client = Client::connect(server.address()).await;
    client.call("meta", &json!({ "user_id": user })).await;
    client.subscribe("news").await;
    client
}

#[tokio::test]
async fn users_sign_in_and_out_on_all_nodes() {
    let redis = Redis::start().await;
    let launch = Launch::new(&redis)
        .flag("--events-key", KEY)
        .flag("--node-timeout-seconds", "1");
    let (one, mut other) = (launch.clone().start().await, launch.start().await);
    let mut events = ServerEvents::of(&redis).await;
    let early = tab(&one, "early").await;
    let mut roster = Roster::start(&redis);
    roster.says("signed in: early").await;
    let first = tab(&one, "ann").await;
    roster.says("signed in: ann").await;
    let second = tab(&other, "ann").await;
    // Two nodes publish in no order of their own, and the roster says nothing of a second tab.
    events.sorted(3).await;
    first.close().await;
    early.close().await;
    roster.says("signed out: early").await;
    let _ghost = tab(&other, "bob").await;
    roster.says("signed in: bob").await;
    second.close().await;
    roster.says("signed out: ann").await;
    other.signal(Signal::Kill).await;
    other.exit().await;
    roster.says("signed out: bob").await;
}

#[tokio::test]
async fn a_roster_that_was_away_and_servers_that_died_leave_no_ghosts() {
    let redis = Redis::start().await;
    let launch = Launch::new(&redis)
        .flag("--events-key", KEY)
        .flag("--node-timeout-seconds", "1");
    let mut server = launch.start().await;
    let mut roster = Roster::start(&redis);
    let _ghost = tab(&server, "ann").await;
    roster.says("signed in: ann").await;
    drop(roster);
    server.signal(Signal::Kill).await;
    server.exit().await;
    // No node is left to speak for the dead one.
    let mut roster = Roster::start(&redis);
    roster.says("signed out: ann").await;
}

//! Connections, from their first byte to their end.

use std::io;
use std::net::TcpStream;
use std::thread;

use crate::support::{Broker, RawClient, RealRedis, command};

#[test]
fn ten_thousand_names_in_one_command() {
    let broker = Broker::start();
    let mut client = broker.client();
    let names: Vec<String> = (1..=10_000)
        .map(|number| format!("channel:{number}"))
        .collect();
    let mut arguments: Vec<&[u8]> = vec![b"SUBSCRIBE"];
    arguments.extend(names.iter().map(String::as_bytes));
    client.send(command(&arguments));
    for (name, count) in names.iter().zip(1..) {
        let length = name.len();
        client.expect(format!(
            "*3\r\n$9\r\nsubscribe\r\n${length}\r\n{name}\r\n:{count}\r\n"
        ));
    }
    let mut publisher = broker.client();
    publisher.send("PUBLISH channel:10000 x\r\n");
    publisher.expect(":1\r\n");
    client.expect("*3\r\n$7\r\nmessage\r\n$13\r\nchannel:10000\r\n$1\r\nx\r\n");
    arguments[0] = b"UNSUBSCRIBE";
    client.send(command(&arguments));
    for (name, count) in names.iter().zip((0..10_000).rev()) {
        let length = name.len();
        client.expect(format!(
            "*3\r\n$11\r\nunsubscribe\r\n${length}\r\n{name}\r\n:{count}\r\n"
        ));
    }
    client.send("PING\r\n");
    client.expect("+PONG\r\n");
}

#[test]
fn a_large_message_arrives_whole() {
    let broker = Broker::start();
    let mut subscriber = broker.client();
    subscriber.send("SUBSCRIBE a\r\n");
    subscriber.expect("*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n");
    let payload: Vec<u8> = (0..=255).cycle().take(1 << 20).collect();
    let mut publisher = broker.client();
    publisher.send(command(&[b"PUBLISH", b"a", &payload]));
    publisher.expect(":1\r\n");
    subscriber.expect("*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1048576\r\n");
    subscriber.expect(payload);
    subscriber.expect("\r\n");
}

#[test]
fn each_publisher_is_heard_in_order() {
    const PUBLISHERS: usize = 4;
    const MESSAGES: usize = 2_000;

    let broker = Broker::start();
    let mut subscriber = broker.client();
    subscriber.send("SUBSCRIBE a\r\n");
    subscriber.expect("*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n");
    let publishers: Vec<_> = (0..PUBLISHERS)
        .map(|publisher| {
            let mut client = broker.client();
            thread::spawn(move || {
                for message in 0..MESSAGES {
                    client.send(format!("PUBLISH a {publisher}:{message}\r\n"));
                }
                client.expect(":1\r\n".repeat(MESSAGES));
            })
        })
        .collect();
    let mut next = [0; PUBLISHERS];
    for _ in 0..PUBLISHERS * MESSAGES {
        let frame: Vec<_> = (0..7).map(|_| subscriber.line()).collect();
        let (publisher, message) = frame[6].trim_end().split_once(':').unwrap();
        let publisher: usize = publisher.parse().unwrap();
        assert_eq!(message, next[publisher].to_string());
        next[publisher] += 1;
    }
    publishers
        .into_iter()
        .for_each(|publisher| publisher.join().unwrap());
}

#[test]
fn a_long_pipeline_is_answered_before_it_is_read() {
    let broker = Broker::start();
    let mut client = broker.client();
    // Nothing is read until everything is written, as many client libraries do it.
    client.send("PUBLISH a b\r\n".repeat(200_000));
    client.expect(":0\r\n".repeat(200_000));
}

#[test]
fn a_half_closed_client_still_gets_its_answers() {
    let broker = Broker::start();
    let mut client = broker.client();
    client.send("PING\r\n".repeat(10_000));
    client.finish();
    client.expect("+PONG\r\n".repeat(10_000));
    assert_eq!(client.rest(), b"");
}

#[test]
fn a_client_that_goes_away_is_no_longer_subscribed() {
    let broker = Broker::start();
    let mut leaving = broker.client();
    leaving.send("SUBSCRIBE a\r\nPSUBSCRIBE a*\r\n");
    leaving.expect("*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n");
    leaving.expect("*3\r\n$10\r\npsubscribe\r\n$2\r\na*\r\n:2\r\n");
    // A client that the broker closes is gone once it sees the end.
    leaving.finish();
    assert_eq!(leaving.rest(), b"");
    let mut client = broker.client();
    client.send("PUBLISH a x\r\nPUBSUB CHANNELS\r\nPUBSUB NUMPAT\r\n");
    client.expect(":0\r\n*0\r\n:0\r\n");
}

#[test]
fn an_unfinished_command_waits_for_its_end_and_disturbs_nobody() {
    let broker = Broker::start();
    let mut slow = broker.client();
    slow.send("*2\r\n$4\r\nECHO\r\n$2\r\nh");
    let mut other = broker.client();
    other.send("PING\r\n");
    other.expect("+PONG\r\n");
    slow.send("i\r\n");
    slow.expect("$2\r\nhi\r\n");
}

#[test]
fn the_last_words_to_a_client_that_talks_on_arrive() {
    let broker = Broker::start();
    let mut client = broker.client();
    let mut talking = client.split();
    let talk = thread::spawn(move || while talking.try_send([b'x'; 4096]).is_ok() {});
    let rest = client.rest();
    assert_eq!(rest, b"-ERR Protocol error: too big inline request\r\n");
    client.finish();
    drop(client);
    drop(broker);
    talk.join().unwrap();
}

#[test]
fn what_a_resp3_client_publishes_to_itself_follows_the_reply() {
    let broker = Broker::start();
    let mut client = broker.client();
    client.send("HELLO 3\r\n");
    while client.line() != "$7\r\n" {}
    while client.line() != "*0\r\n" {}
    client.send("SUBSCRIBE a\r\n");
    client.expect(">3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n");
    client.send("MULTI\r\nPUBLISH a 1\r\nPUBLISH a 2\r\nEXEC\r\n");
    client.expect("+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:1\r\n:1\r\n");
    client.expect(">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\n1\r\n");
    client.expect(">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\n2\r\n");
}

#[test]
fn a_resp3_subscriber_may_ask_for_the_replication_id() {
    let broker = Broker::start();
    let id = subscriber_asks_for_replication_id(broker.client());
    assert_eq!(id, subscriber_asks_for_replication_id(broker.client()));
    let other = Broker::start();
    assert_ne!(id, subscriber_asks_for_replication_id(other.client()));
}

#[test]
fn a_resp3_subscriber_asks_a_real_redis_alike() {
    if let Some(redis) = RealRedis::start() {
        subscriber_asks_for_replication_id(RawClient::connect(redis.address));
    }
}

/// Asks as a subscription link does, on a connection that messages arrive on. Returns the id.
fn subscriber_asks_for_replication_id(mut client: RawClient) -> String {
    client.send("HELLO 3\r\n");
    while client.line() != "$7\r\n" {}
    while client.line() != "*0\r\n" {}
    client.send("SUBSCRIBE a\r\nPING\r\nINFO replication\r\nPING\r\n");
    client.expect(">3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n");
    client.expect("+PONG\r\n=");
    let length: usize = client.line().trim_end().parse().unwrap();
    let text = client.until("\r\n+PONG\r\n");
    let text = text.strip_suffix("\r\n+PONG\r\n").unwrap();
    assert_eq!(text.len(), length);
    let lines: Vec<_> = text.split("\r\n").collect();
    assert_eq!(
        lines[..3],
        ["txt:# Replication", "role:master", "connected_slaves:0"]
    );
    let field = |name| lines.iter().find_map(|line| line.strip_prefix(name));
    let id = field("master_replid:").unwrap();
    assert!(id.len() == 40 && id.bytes().all(|digit| digit.is_ascii_hexdigit()));
    assert_eq!(field("master_replid2:"), Some(&*"0".repeat(40)));
    id.to_owned()
}

#[test]
fn a_client_can_be_closed_by_another() {
    let broker = Broker::start();
    let mut victim = broker.client();
    victim.send("CLIENT ID\r\n");
    let id = victim.line();
    let mut client = broker.client();
    client.send(format!("CLIENT KILL ID {}\r\n", id[1..].trim_end()));
    client.expect(":1\r\n");
    assert_eq!(victim.rest(), b"");
}

#[test]
fn the_end_of_serve_closes_all_clients_and_the_port() {
    let broker = Broker::start();
    let address = broker.address;
    let mut client = broker.client();
    client.send("SUBSCRIBE a\r\n");
    client.expect("*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n");
    drop(broker);
    assert_eq!(client.rest(), b"");
    let refused = TcpStream::connect(address).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
}

#[test]
fn client_list_shows_who_is_there() {
    let broker = Broker::start();
    let mut subscriber = broker.client();
    subscriber.send("CLIENT SETNAME me\r\nCLIENT SETINFO lib-name you\r\nSUBSCRIBE a\r\n");
    subscriber.expect("+OK\r\n+OK\r\n*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n");
    let mut client = broker.client();
    client.send("CLIENT LIST TYPE pubsub\r\n");
    let length = client.line();
    let line = client.until("\n");
    assert_eq!(length, format!("${}\r\n", line.len()));
    for field in [
        " name=me ",
        " flags=P ",
        " sub=1 ",
        " psub=0 ",
        " cmd=subscribe ",
        " lib-name=you ",
    ] {
        assert!(line.contains(field), "{field} in {line}");
    }
}

//! Every limit, and what happens at it.

use womack_broker::Limits;

use crate::support::{Broker, command};

#[test]
fn a_subscriber_who_does_not_read_is_cut_off_and_slows_nobody() {
    let broker = Broker::with_limits(limits(|limits| limits.max_output_bytes = 1 << 20));
    let subscribe = "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n";
    let mut slow = broker.client();
    slow.send("SUBSCRIBE a\r\n");
    slow.expect(subscribe);
    let mut quick = broker.client();
    quick.send("SUBSCRIBE a\r\n");
    quick.expect(subscribe);

    let payload = [b'x'; 64 * 1024];
    let mut publisher = broker.client();
    let mut published = 0;
    loop {
        publisher.send(command(&[b"PUBLISH", b"a", &payload]));
        let receivers = publisher.line();
        quick.expect("*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$65536\r\n");
        quick.expect(payload);
        quick.expect("\r\n");
        if receivers == ":1\r\n" {
            break;
        }
        published += 1;
        assert!(published < 10_000, "the slow subscriber is still there");
    }
    let got = slow.rest().len();
    assert!(
        got > 0 && got < published * payload.len(),
        "{got} bytes of {published} messages"
    );
}

#[test]
fn a_message_over_the_limit_cuts_only_its_subscribers() {
    let broker = Broker::with_limits(limits(|limits| limits.max_output_bytes = 1000));
    let mut subscriber = broker.client();
    subscriber.send("SUBSCRIBE a\r\n");
    subscriber.expect("*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n");
    let mut publisher = broker.client();
    publisher.send(command(&[b"PUBLISH", b"a", &[b'x'; 1000]]));
    publisher.expect(":1\r\n");
    assert_eq!(subscriber.rest(), b"");
    publisher.send("PING\r\n");
    publisher.expect("+PONG\r\n");
}

#[test]
fn a_reply_over_the_limit_ends_its_client() {
    let broker = Broker::with_limits(limits(|limits| limits.max_output_bytes = 1000));
    let mut client = broker.client();
    client.send("COMMAND\r\n");
    assert_eq!(client.rest(), b"");
}

#[test]
fn one_client_too_many_is_told_so() {
    let broker = Broker::with_limits(limits(|limits| limits.max_connections = 2));
    let mut first = broker.client();
    first.send("PING\r\n");
    first.expect("+PONG\r\n");
    let mut second = broker.client();
    second.send("PING\r\n");
    second.expect("+PONG\r\n");
    let mut third = broker.client();
    assert_eq!(third.rest(), b"-ERR max number of clients reached\r\n");
    second.finish();
    assert_eq!(second.rest(), b"");
    let mut fourth = broker.client();
    fourth.send("PING\r\n");
    fourth.expect("+PONG\r\n");
}

#[test]
fn too_long_a_command_is_refused_before_it_is_sent() {
    let broker = Broker::with_limits(limits(|limits| limits.max_command_bytes = 100));
    let mut client = broker.client();
    client.send(command(&[b"ECHO", &[b'x'; 96]]));
    client.expect(["$96\r\n", &"x".repeat(96), "\r\n"].concat());
    client.send("*2\r\n$4\r\nECHO\r\n$97\r\n");
    client.expect("-ERR Protocol error: invalid bulk length\r\n");
    assert_eq!(client.rest(), b"");
}

#[test]
fn too_many_arguments_are_refused_before_they_are_sent() {
    let broker = Broker::with_limits(limits(|limits| limits.max_command_arguments = 2));
    let mut client = broker.client();
    client.send("*3\r\n");
    client.expect("-ERR Protocol error: invalid multibulk length\r\n");
    assert_eq!(client.rest(), b"");
}

#[test]
fn subscriptions_over_the_limit_are_refused_one_by_one() {
    let broker = Broker::with_limits(limits(|limits| limits.max_subscription_bytes = 300));
    let refusal = "-ERR this client's subscriptions are over their limit\r\n";
    let mut client = broker.client();
    client.send("SUBSCRIBE a b c a\r\n");
    client.expect("*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n");
    client.expect("*3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:2\r\n");
    client.expect(refusal);
    client.expect("*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:2\r\n");
    client.send("UNSUBSCRIBE a\r\nPSUBSCRIBE c\r\nPSUBSCRIBE d\r\n");
    client.expect("*3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:1\r\n");
    client.expect("*3\r\n$10\r\npsubscribe\r\n$1\r\nc\r\n:2\r\n");
    client.expect(refusal);
}

#[test]
fn a_transaction_over_the_limit_is_aborted() {
    let broker = Broker::with_limits(limits(|limits| limits.max_command_bytes = 1000));
    let mut client = broker.client();
    let echo = command(&[b"ECHO", &[b'x'; 500]]);
    client.send(
        [
            "MULTI\r\n".as_bytes(),
            &echo,
            &echo,
            b"PING\r\nEXEC\r\nPING\r\n",
        ]
        .concat(),
    );
    client.expect("+OK\r\n+QUEUED\r\n");
    client.expect("-ERR this transaction is over its limit\r\n".repeat(2));
    client.expect("-EXECABORT Transaction discarded because of previous errors.\r\n+PONG\r\n");
}

fn limits(change: impl FnOnce(&mut Limits)) -> Limits {
    let mut limits = Limits::default();
    change(&mut limits);
    limits
}

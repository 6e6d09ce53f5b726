use super::*;
use crate::{
    frame::PING,
    rules::{Namespaces, Timing},
};

const SECOND: Duration = Duration::from_secs(1);

#[expect(
    clippy::disallowed_methods,
    reason = "a start for time; only differences count"
)]
fn start() -> Instant {
    Instant::now()
}

fn rules() -> Rules {
    Rules {
        namespaces: Namespaces::new(["/a", "/b"]),
        ..Rules::default()
    }
}

fn joined(rules: &Rules, now: Instant) -> Session {
    let mut session = Session::open(Revision::V4, Layer::SocketIo, rules, now);
    let mut out = Vec::new();
    session.handle_text(now, "40", rules, &mut out);
    session.accept(NamespaceId(0), "sid", rules, &mut out);
    session
}

/// A session of Engine.IO 3, in `/` without having asked.
fn older(rules: &Rules, now: Instant) -> Session {
    let mut session = Session::open(Revision::V3, Layer::SocketIo, rules, now);
    let mut out = Vec::new();
    session.start(rules, &mut out);
    session.accept(NamespaceId(0), "sid", rules, &mut out);
    session
}

#[test]
fn an_idle_client_costs_little() {
    assert!(size_of::<Session>() <= 64, "{}", size_of::<Session>());
}

#[test]
fn timing_without_end_is_no_overflow() {
    let endless = Timing {
        ping_interval: Duration::MAX,
        ping_timeout: Duration::MAX,
        connect_timeout: Duration::MAX,
        message_timeout: Duration::MAX,
        poll_duration: Duration::MAX,
        close_timeout: Duration::MAX,
    };
    let rules = Rules {
        timing: endless,
        ..rules()
    };
    let now = start();
    let mut session = joined(&rules, now);
    let mut out = Vec::new();
    session.handle_text(now + SECOND, "3", &rules, &mut out);
    session.handle_text(now + SECOND, "451-[\"m\"]", &rules, &mut out);
    session.handle_timeout(now + SECOND, &rules, &mut out);
    assert_eq!(out, []);
    for _ in 0..2 {
        let deadline = session.deadline();
        assert!(deadline > now + 1_000_000_000 * SECOND);
        session.handle_timeout(deadline, &rules, &mut out);
    }
}

#[test]
fn timing_of_nothing_closes_at_once() {
    let none = Timing {
        ping_interval: Duration::ZERO,
        ping_timeout: Duration::ZERO,
        connect_timeout: Duration::ZERO,
        message_timeout: Duration::ZERO,
        poll_duration: Duration::ZERO,
        close_timeout: Duration::ZERO,
    };
    let rules = Rules {
        timing: none,
        ..rules()
    };
    let now = start();
    let mut session = joined(&rules, now);
    let mut out = Vec::new();
    session.handle_timeout(now, &rules, &mut out);
    session.handle_timeout(now, &rules, &mut out);
    assert_eq!(
        out,
        [Output::Send(PING), Output::Closed(CloseReason::PingTimeout)]
    );
}

#[test]
fn clients_that_ping_are_heard_by_any_packet() {
    let mut rules = rules();
    let now = start();
    let patience = rules.timing.ping_interval + rules.timing.ping_timeout;
    rules.timing.message_timeout = patience;
    let mut session = older(&rules, now);
    let mut out = Vec::new();
    assert_eq!(session.deadline(), now + patience);
    for (second, text) in [
        (1, "2"),
        (2, "42[\"m\"]"),
        (3, "451-[\"m\"]"),
        (4, "b4AQ=="),
    ] {
        let now = now + second * SECOND;
        session.handle_polling_packet(now, text, &rules, &mut out);
        assert_eq!(session.deadline(), now + patience, "{text}");
    }
    session.handle_timeout(session.deadline(), &rules, &mut out);
    let last = out.last();
    assert_eq!(last, Some(&Output::Closed(CloseReason::PingTimeout)));
}

#[test]
fn time_that_runs_backwards_does_no_harm() {
    let rules = rules();
    let now = start() + SECOND;
    let mut session = joined(&rules, now);
    let mut out = Vec::new();
    session.handle_text(now - SECOND, "3", &rules, &mut out);
    session.handle_timeout(now - SECOND, &rules, &mut out);
    assert_eq!((session.deadline(), out), (now + 25 * SECOND, Vec::new()));
}

#[test]
fn nothing_follows_the_end() {
    let rules = rules();
    let now = start();
    let mut session = joined(&rules, now);
    let mut out = Vec::new();
    session.handle_text(now, "40/a", &rules, &mut out);
    session.close(CloseReason::Shutdown, &mut out);
    assert_eq!(out.pop(), Some(Output::Closed(CloseReason::Shutdown)));
    out.clear();

    let (root, a) = (NamespaceId(0), NamespaceId(1));
    session.close(CloseReason::SlowConsumer, &mut out);
    session.handle_text(now, "abc", &rules, &mut out);
    session.handle_polling_packet(now, "b!", &rules, &mut out);
    session.handle_binary(now, Bytes::new(), &rules, &mut out);
    session.handle_timeout(now + 100 * SECOND, &rules, &mut out);
    session.accept(a, "sid", &rules, &mut out);
    session.refuse(a, "no", None, &rules, &mut out);
    session.emit(root, "m", "", &[], &rules, &mut out);
    session.acknowledge(root, 1, "", &[], &rules, &mut out);
    session.leave(root, &rules, &mut out);
    session.start(&rules, &mut out);
    assert_eq!(out, []);
    assert!(session.is_closed());
    assert_eq!(
        session.joined().collect::<Vec<_>>(),
        [root],
        "who has to be told"
    );
}

#[test]
fn commands_that_do_not_fit_do_nothing() {
    let rules = rules();
    let now = start();
    let mut session = joined(&rules, now);
    let mut out = Vec::new();
    let (root, a, unknown) = (NamespaceId(0), NamespaceId(1), NamespaceId(9));
    session.accept(root, "again", &rules, &mut out);
    session.refuse(root, "too late", None, &rules, &mut out);
    for namespace in [a, unknown] {
        session.accept(namespace, "sid", &rules, &mut out);
        session.refuse(namespace, "no", None, &rules, &mut out);
        session.emit(namespace, "m", "", &[], &rules, &mut out);
        session.acknowledge(namespace, 1, "", &[], &rules, &mut out);
        session.leave(namespace, &rules, &mut out);
    }
    assert_eq!(out, []);
    assert!(session.is_joined(root) && !session.is_joined(a));
}

#[test]
fn a_late_ping_leaves_half_the_time_to_answer() {
    let rules = rules();
    let now = start();
    let due = now + rules.timing.ping_interval;
    for (late, expected) in [(0, 20), (1, 20), (10, 20), (11, 21), (3600, 3610)] {
        let mut session = joined(&rules, now);
        session.handle_timeout(due + late * SECOND, &rules, &mut Vec::new());
        assert_eq!(session.deadline(), due + expected * SECOND, "{late} s late");
    }
}

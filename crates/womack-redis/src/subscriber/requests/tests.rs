use bytes::Bytes;
use womack_proto::subscriber::{Generation, Loss, LossScope};

use super::{super::batch::OutOfOrder, expected::Fatal, *};
use crate::resp::Confirmation;

const EPOCH: Epoch = Epoch::new(7);

/// A connection's requests, and the commands that they have written.
struct Scene {
    requests: Requests,
    generation: Generation,
}

impl Scene {
    fn new(is_node: bool) -> Self {
        Self {
            requests: Requests::new(EPOCH, PendingSubscriptions::default(), is_node),
            generation: Generation::default(),
        }
    }

    fn subscription(&mut self, name: &str) -> Subscription {
        self.generation = self.generation.next();
        Subscription {
            channel: name.into(),
            aliases: Vec::new(),
            generation: self.generation,
        }
    }

    fn wants(&mut self, names: &[&str]) {
        let wanted = names.iter().map(|name| self.subscription(name)).collect();
        self.requests.subscribe(wanted);
    }

    fn gives_up(&mut self, name: &str) {
        let given_up = self.subscription(name);
        self.requests.give_up(&[given_up]);
    }

    /// The commands that are to be written, each on a line.
    fn commands(&mut self) -> Vec<String> {
        let mut out = Vec::new();
        self.requests.poll_commands(&mut out);
        let text = String::from_utf8(out).unwrap();
        let commands = text.split('*').skip(1).map(|command| {
            let words = command
                .split("\r\n")
                .skip(1)
                .filter(|word| !word.starts_with('$'));
            words.collect::<Vec<_>>().join(" ").trim_end().to_owned()
        });
        commands.collect()
    }

    /// Lets the server answer the next ping, and returns the other commands that come with it.
    fn commands_after_ping(&mut self) -> Vec<String> {
        let commands = self.commands_after_ping_unanswered();
        assert!(self.requests.handle_pong().is_ok());
        commands
    }

    /// The commands that come with the next ping.
    fn commands_after_ping_unanswered(&mut self) -> Vec<String> {
        self.requests.ping(Instant::now());
        let mut commands = self.commands();
        commands.retain(|command| command != "PING");
        commands
    }

    fn confirm(&mut self, verb: Verb, names: &[&str]) {
        for name in names {
            let confirmation = Confirmation {
                verb,
                name: Bytes::copy_from_slice(name.as_bytes()),
            };
            self.requests.handle_confirmation(&confirmation).unwrap();
        }
    }

    fn refuse(&mut self, reason: &str) {
        let answer = self.requests.handle_refusal(reason.to_owned());
        assert_eq!(answer, Ok(None));
    }

    /// The events, as words.
    fn events(&mut self) -> Vec<String> {
        let mut events = Vec::new();
        self.requests.poll_events(&mut events);
        let told = events.into_iter().map(|event| match event {
            Event::Live { epoch, channels } => {
                assert_eq!(epoch, EPOCH);
                let names: Vec<_> = channels.iter().map(|(name, _)| &**name).collect();
                format!("live {}", names.join(" "))
            }
            Event::Refused { channel, .. } => format!("refused {channel}"),
            Event::StaticRefused { name, .. } => format!("static {name} refused"),
            Event::StaticLive => "statics live".to_owned(),
            Event::ReceivedTo { .. } => "received".to_owned(),
            Event::Lost(Loss {
                scope: LossScope::Channels { channels, .. },
                ..
            }) => format!("lost {}", channels.join(" ")),
            other => panic!("{other:?}"),
        });
        told.collect()
    }

    fn unfinished(self) -> Vec<String> {
        let mut pending = self.requests.into_unfinished();
        let names = pending.take(usize::MAX).into_iter();
        names.map(|found| found.channel.to_string()).collect()
    }
}

const NOPERM: &str = "NOPERM this user has no permissions to access one of the channels used as \
                      arguments";

const BUSY: &str = "BUSY Redis is busy running a script. You can only call SCRIPT KILL.";

#[test]
fn channels_are_live_when_all_names_of_their_command_are_confirmed() {
    let mut scene = Scene::new(false);
    scene.wants(&["a", "b"]);
    assert_eq!(scene.commands(), ["SUBSCRIBE a b"]);
    scene.wants(&["c"]);
    assert_eq!(scene.commands(), ["SUBSCRIBE c"]);
    scene.wants(&["d"]);
    assert!(scene.commands().is_empty(), "enough is under way");
    scene.confirm(Verb::Subscribe, &["a"]);
    assert!(scene.events().is_empty());
    scene.confirm(Verb::Subscribe, &["b"]);
    assert_eq!(scene.events(), ["live a b"]);
    assert_eq!(scene.commands(), ["SUBSCRIBE d"]);
    assert_eq!(scene.unfinished(), ["c", "d"]);
}

#[test]
fn a_confirmation_that_is_not_due_ends_the_connection() {
    let mut scene = Scene::new(false);
    scene.wants(&["a"]);
    scene.commands();
    for (verb, name) in [(Verb::Subscribe, "b"), (Verb::SubscribePattern, "a")] {
        let name = Bytes::from_static(name.as_bytes());
        let confirmation = Confirmation { verb, name };
        let handled = scene.requests.handle_confirmation(&confirmation);
        assert_eq!(handled, Err(OutOfOrder));
    }
    assert_eq!(scene.requests.handle_pong(), Err(OutOfOrder));
}

#[test]
fn a_refused_batch_is_asked_for_one_by_one_and_one_refusal_concerns_one_channel() {
    let mut scene = Scene::new(false);
    scene.wants(&["a", "bad", "c"]);
    scene.commands();
    scene.refuse(NOPERM);
    assert!(scene.events().is_empty());
    assert_eq!(
        scene.commands(),
        ["SUBSCRIBE a", "SUBSCRIBE bad", "SUBSCRIBE c"]
    );
    scene.confirm(Verb::Subscribe, &["a"]);
    scene.refuse(NOPERM);
    scene.confirm(Verb::Subscribe, &["c"]);
    assert_eq!(scene.events(), ["live a", "refused bad", "live c"]);
    assert!(scene.unfinished().is_empty());
}

#[test]
fn a_forbidden_command_concerns_the_whole_connection() {
    for reason in [
        "NOPERM this user has no permissions to run the 'subscribe' command",
        "ERR unknown command 'SUBSCRIBE'",
        "LOADING Redis is loading the dataset in memory",
        "NOAUTH Authentication required.",
    ] {
        let mut scene = Scene::new(false);
        scene.wants(&["a"]);
        scene.commands();
        let handled = scene.requests.handle_refusal(reason.to_owned());
        assert_eq!(handled, Err(Fatal(reason.to_owned())));
    }
}

#[test]
fn a_channel_that_is_given_up_while_it_is_asked_for_is_never_said_to_be_live() {
    let mut scene = Scene::new(false);
    scene.wants(&["a", "b"]);
    scene.commands();
    scene.gives_up("a");
    scene.wants(&["a"]);
    assert_eq!(scene.commands(), ["UNSUBSCRIBE a", "SUBSCRIBE a"]);
    scene.confirm(Verb::Subscribe, &["a", "b"]);
    assert_eq!(scene.events(), ["live b"]);
    scene.confirm(Verb::Unsubscribe, &["a"]);
    scene.confirm(Verb::Subscribe, &["a"]);
    assert_eq!(scene.events(), ["live a"]);
}

#[test]
fn what_was_given_up_is_not_asked_for_again_over_the_next_connection() {
    let mut scene = Scene::new(false);
    scene.wants(&["a", "b"]);
    scene.commands();
    scene.wants(&["c"]);
    scene.commands();
    scene.wants(&["d", "e"]);
    for name in ["a", "c", "e"] {
        scene.gives_up(name);
    }
    assert_eq!(scene.unfinished(), ["b", "d"]);
}

#[test]
fn pings_and_identities_are_answered_in_their_order() {
    let mut scene = Scene::new(false);
    let now = Instant::now();
    scene.requests.ping(now);
    scene.requests.ask_identity(now);
    scene.requests.ping(now);
    assert_eq!(scene.commands(), ["PING", "INFO replication", "PING"]);
    assert_eq!(scene.requests.handle_pong(), Ok(Answer::Pong(now)));
    assert_eq!(scene.requests.handle_identity(), Ok(now));
    let misconf = "MISCONF Redis is configured to save RDB snapshots".to_owned();
    let alive = scene.requests.handle_refusal(misconf);
    assert_eq!(alive, Ok(Some(Answer::Pong(now))));
    scene.requests.ping(now);
    let noauth = "NOAUTH Authentication required.".to_owned();
    assert!(scene.requests.handle_refusal(noauth).is_err());
}

#[test]
fn a_refused_static_subscription_is_told_and_asked_for_again() {
    let mut scene = Scene::new(false);
    let statics = StaticSubscriptions {
        channels: vec!["a".into()],
        patterns: vec!["p?".into()],
    };
    scene.requests.subscribe_static(&statics);
    assert_eq!(scene.commands(), ["SUBSCRIBE a", "PSUBSCRIBE p?"]);
    scene.confirm(Verb::Subscribe, &["a"]);
    scene.refuse(NOPERM);
    assert_eq!(scene.events(), ["static p? refused", "statics live"]);
    assert!(scene.requests.has_refused_statics());
    scene.requests.retry_statics();
    assert_eq!(scene.commands(), ["PSUBSCRIBE p?"]);
    scene.confirm(Verb::SubscribePattern, &["p?"]);
    assert_eq!(scene.events(), ["statics live"]);
}

#[test]
fn a_node_of_a_cluster_is_asked_for_each_slot_and_a_moved_one_goes_elsewhere() {
    let mut scene = Scene::new(true);
    // Slots 15495, 3300 and 7365.
    scene.wants(&["a", "b", "c"]);
    let commands = [
        "SUBSCRIBE a b c",
        "SSUBSCRIBE b",
        "SSUBSCRIBE c",
        "SSUBSCRIBE a",
    ];
    assert_eq!(scene.commands(), commands);
    scene.confirm(Verb::Subscribe, &["a", "b", "c"]);
    scene.refuse("MOVED 3300 127.0.0.1:7001");
    scene.confirm(Verb::SubscribeShard, &["c"]);
    scene.refuse("CLUSTERDOWN Hash slot not served");
    assert_eq!(scene.events(), ["live c"]);
    assert_eq!(scene.commands(), ["UNSUBSCRIBE a b"]);
    assert!(scene.requests.poll_elsewhere().is_empty());
    scene.confirm(Verb::Unsubscribe, &["a", "b"]);
    let elsewhere = scene.requests.poll_elsewhere();
    let names: Vec<_> = elsewhere.iter().map(|found| &*found.channel).collect();
    assert_eq!(names, ["a", "b"]);
}

#[test]
fn a_slot_that_moves_away_takes_its_channels_with_it() {
    let mut scene = Scene::new(true);
    scene.wants(&["b"]);
    scene.commands();
    scene.confirm(Verb::Subscribe, &["b"]);
    scene.confirm(Verb::SubscribeShard, &["b"]);
    assert_eq!(scene.events(), ["live b"]);
    scene.confirm(Verb::UnsubscribeShard, &["b"]);
    scene.requests.move_away(Instant::now());
    assert_eq!(scene.commands(), ["UNSUBSCRIBE b"]);
    assert!(scene.events().is_empty(), "messages may still come");
    scene.confirm(Verb::Unsubscribe, &["b"]);
    assert_eq!(scene.events(), ["lost b"]);
}

#[test]
fn nothing_of_a_channel_is_passed_on_between_the_move_of_its_slot_and_its_gap() {
    let mut scene = Scene::new(true);
    scene.wants(&["b"]);
    scene.commands();
    scene.confirm(Verb::Subscribe, &["b"]);
    scene.confirm(Verb::SubscribeShard, &["b"]);
    let of =
        |name: &'static [u8]| Message::new(Bytes::from_static(name), 0..name.len(), 0..0, false);
    assert!(!scene.requests.is_ending(&of(b"b")));
    scene.confirm(Verb::UnsubscribeShard, &["b"]);
    assert!(scene.requests.is_ending(&of(b"b")));
    assert!(!scene.requests.is_ending(&of(b"a")));
    scene.requests.move_away(Instant::now());
    scene.commands();
    assert!(scene.requests.is_ending(&of(b"b")));
    scene.confirm(Verb::Unsubscribe, &["b"]);
    assert!(!scene.requests.is_ending(&of(b"b")));
}

#[test]
fn an_error_for_a_channel_that_moved_away_as_it_was_given_up_belongs_to_nobody() {
    let mut scene = Scene::new(true);
    scene.wants(&["b"]);
    scene.commands();
    scene.confirm(Verb::Subscribe, &["b"]);
    scene.confirm(Verb::SubscribeShard, &["b"]);
    scene.events();
    scene.gives_up("b");
    scene.wants(&["a"]);
    let commands = [
        "SUNSUBSCRIBE b",
        "UNSUBSCRIBE b",
        "SUBSCRIBE a",
        "SSUBSCRIBE a",
    ];
    assert_eq!(scene.commands(), commands);
    // Unasked, before Redis reads the command that is refused then.
    scene.confirm(Verb::UnsubscribeShard, &["b"]);
    scene.refuse("MOVED 3300 127.0.0.1:7001");
    scene.confirm(Verb::Unsubscribe, &["b"]);
    scene.confirm(Verb::Subscribe, &["a"]);
    scene.confirm(Verb::SubscribeShard, &["a"]);
    assert_eq!(scene.events(), ["live a"]);
}

#[test]
fn a_slot_that_moves_away_before_its_batch_is_done_takes_its_channels_elsewhere() {
    let mut scene = Scene::new(true);
    scene.wants(&["b", "a"]);
    scene.commands();
    scene.confirm(Verb::Subscribe, &["b", "a"]);
    scene.confirm(Verb::SubscribeShard, &["b"]);
    scene.confirm(Verb::UnsubscribeShard, &["b"]);
    scene.confirm(Verb::SubscribeShard, &["a"]);
    assert_eq!(scene.events(), ["live a"]);
    assert_eq!(scene.commands(), ["UNSUBSCRIBE b"]);
    scene.confirm(Verb::Unsubscribe, &["b"]);
    let elsewhere = scene.requests.poll_elsewhere();
    assert_eq!(&*elsewhere[0].channel, "b");
}

#[test]
fn a_busy_server_is_asked_again_with_the_next_ping() {
    let mut scene = Scene::new(false);
    scene.wants(&["a"]);
    scene.gives_up("b");
    assert_eq!(scene.commands(), ["UNSUBSCRIBE b", "SUBSCRIBE a"]);
    scene.refuse(BUSY);
    scene.refuse(BUSY);
    assert!(scene.commands().is_empty());
    assert_eq!(
        scene.commands_after_ping(),
        ["UNSUBSCRIBE b", "SUBSCRIBE a"]
    );
    scene.confirm(Verb::Unsubscribe, &["b"]);
    scene.confirm(Verb::Subscribe, &["a"]);
    assert_eq!(scene.events(), ["live a"]);
}

#[test]
fn a_busy_server_does_not_end_what_was_asked_for_anew_meanwhile() {
    for is_node in [false, true] {
        let mut scene = Scene::new(is_node);
        scene.wants(&["a", "b"]);
        scene.commands();
        scene.confirm(Verb::Subscribe, &["a", "b"]);
        if is_node {
            scene.confirm(Verb::SubscribeShard, &["b", "a"]);
        }
        assert!(scene.events()[0].starts_with("live"));
        let given_up = ["a", "b"].map(|name| scene.subscription(name));
        scene.requests.give_up(&given_up);
        scene.wants(&["a"]);
        let written = scene.commands();
        assert_eq!(
            written[written.len() - 1 - usize::from(is_node)],
            "SUBSCRIBE a"
        );
        // It is busy only until it comes to the new request.
        for _ in 0..written.len() - 1 - usize::from(is_node) {
            scene.refuse(BUSY);
        }
        scene.confirm(Verb::Subscribe, &["a"]);
        if is_node {
            scene.confirm(Verb::SubscribeShard, &["a"]);
        }
        assert_eq!(scene.events(), ["live a"]);
        let again = scene.commands_after_ping();
        assert_eq!(again.last().unwrap(), "UNSUBSCRIBE b", "{again:?}");
        assert!(
            again.iter().all(|command| command.ends_with(" b")),
            "{again:?}"
        );
    }
}

#[test]
fn a_server_that_stays_busy_ends_what_is_given_up_before_it_is_asked_for_anew() {
    let mut scene = Scene::new(false);
    scene.wants(&["a"]);
    scene.commands();
    scene.confirm(Verb::Subscribe, &["a"]);
    scene.gives_up("a");
    scene.wants(&["a"]);
    assert_eq!(scene.commands(), ["UNSUBSCRIBE a", "SUBSCRIBE a"]);
    scene.refuse(BUSY);
    // The ping goes out before the other answer comes.
    assert!(scene.commands_after_ping_unanswered().is_empty());
    scene.refuse(BUSY);
    scene.gives_up("a");
    assert!(scene.requests.handle_pong().is_ok());
    assert_eq!(scene.commands_after_ping(), ["UNSUBSCRIBE a"]);
}

#[test]
fn a_busy_server_is_asked_again_for_static_subscriptions_before_they_are_live() {
    let mut scene = Scene::new(false);
    let statics = StaticSubscriptions {
        channels: vec!["a".into()],
        patterns: vec!["b?".into()],
    };
    scene.requests.subscribe_static(&statics);
    assert_eq!(scene.commands(), ["SUBSCRIBE a", "PSUBSCRIBE b?"]);
    scene.confirm(Verb::Subscribe, &["a"]);
    scene.refuse(BUSY);
    assert!(scene.commands().is_empty() && scene.events().is_empty());
    assert!(!scene.requests.has_refused_statics());
    assert_eq!(scene.commands_after_ping(), ["PSUBSCRIBE b?"]);
    scene.confirm(Verb::SubscribePattern, &["b?"]);
    assert_eq!(scene.events(), ["statics live"]);
}

#[test]
fn a_busy_node_keeps_no_half_of_a_subscription_that_is_given_up() {
    let mut scene = Scene::new(true);
    scene.wants(&["a"]);
    assert_eq!(scene.commands(), ["SUBSCRIBE a", "SSUBSCRIBE a"]);
    scene.confirm(Verb::Subscribe, &["a"]);
    scene.refuse(BUSY);
    scene.gives_up("a");
    let ended = scene.commands();
    assert_eq!(ended, ["SUNSUBSCRIBE a", "UNSUBSCRIBE a"]);
    scene.confirm(Verb::UnsubscribeShard, &["a"]);
    scene.confirm(Verb::Unsubscribe, &["a"]);
    assert!(scene.commands_after_ping().is_empty());
    assert!(scene.unfinished().is_empty());
}

#[test]
fn refused_names_of_some_do_not_keep_others_waiting() {
    let mut scene = Scene::new(false);
    scene.wants(&["bad", "worse"]);
    scene.commands();
    scene.refuse(NOPERM);
    scene.wants(&["good"]);
    assert_eq!(
        scene.commands(),
        ["SUBSCRIBE bad", "SUBSCRIBE worse", "SUBSCRIBE good"]
    );
    scene.refuse(NOPERM);
    scene.refuse(NOPERM);
    scene.confirm(Verb::Subscribe, &["good"]);
    assert_eq!(
        scene.events(),
        ["refused bad", "refused worse", "live good"]
    );
}

use super::*;

const GRACE: Duration = Duration::from_secs(2);
const TOPIC: Topic = Topic::modern(0);
const OTHER: Topic = Topic::modern(1);
const FIRST: Epoch = Epoch::new(1);

fn look(routes: &mut Routes, shard: u16, topics: &[Topic], now: Instant) -> RouteChange {
    let interest = |&topic: &Topic| Interest { topic, number: 1 };
    let interests = topics.iter().map(interest).collect();
    let prefix = |_| Box::default();
    routes.reconcile(ShardId(shard), &"c".into(), &interests, prefix, now)
}

fn request(routes: &mut Routes, now: Instant) -> Generation {
    match look(routes, 0, &[TOPIC], now) {
        RouteChange::Subscribe(generation) => generation,
        other => panic!("{other:?}"),
    }
}

#[test]
fn second_shard_requests_nothing_of_redis() {
    let (mut routes, now) = (Routes::new(GRACE, &Ledger::default()), Instant::now());
    let generation = request(&mut routes, now);
    assert_eq!(look(&mut routes, 1, &[TOPIC], now), RouteChange::Unchanged);
    assert!(routes.confirmed("c", generation, FIRST));
    let route = routes.get("c").unwrap().1;
    let shards: Vec<_> = route.topics[0].shards.iter().collect();
    assert_eq!(shards, [ShardId(0), ShardId(1)]);
    let seen = look(&mut routes, 2, &[TOPIC, OTHER], now);
    assert_eq!(seen, RouteChange::Live(FIRST));
    let route = routes.get("c").unwrap().1;
    assert_eq!((route.topics.len(), route.shards().iter().count()), (2, 3));
}

#[test]
fn channel_leaves_only_after_its_grace_and_only_if_still_unwanted() {
    let (mut routes, now) = (Routes::new(GRACE, &Ledger::default()), Instant::now());
    let generation = request(&mut routes, now);
    routes.confirmed("c", generation, FIRST);
    look(&mut routes, 0, &[], now);
    assert!(routes.expire(now + GRACE / 2, 10).is_empty());
    look(&mut routes, 0, &[TOPIC], now + GRACE / 2);
    assert!(routes.expire(now + GRACE, 10).is_empty());
    look(&mut routes, 0, &[], now + GRACE);
    look(&mut routes, 0, &[], now + GRACE + GRACE / 2);
    assert_eq!(routes.next_expiry(), Some(now + GRACE * 2));
    assert_eq!(routes.expire(now + GRACE * 2, 10).len(), 1);
    assert!(routes.get("c").is_none());
}

#[test]
fn a_channel_that_comes_and_goes_is_remembered_once_and_charged_until_it_is_dropped() {
    let (ledger, now) = (Ledger::default(), Instant::now());
    let mut routes = Routes::new(GRACE, &ledger);
    let generation = request(&mut routes, now);
    routes.confirmed("c", generation, FIRST);
    for _ in 0..9 {
        look(&mut routes, 0, &[], now);
        assert!(ledger.bytes() > ROUTE_BYTES);
        look(&mut routes, 0, &[TOPIC], now);
    }
    assert_eq!(routes.leaving.len(), 1);
    assert!(routes.expire(now + GRACE, 10).is_empty(), "it is wanted");
    look(&mut routes, 0, &[], now + GRACE);
    assert_eq!(routes.expire(now + GRACE * 2, 10).len(), 1);
    assert_eq!(ledger.bytes(), 0);
}

#[test]
fn only_the_answer_to_the_newest_request_counts() {
    let (mut routes, now) = (
        Routes::new(Duration::ZERO, &Ledger::default()),
        Instant::now(),
    );
    let first = request(&mut routes, now);
    look(&mut routes, 0, &[], now);
    assert_eq!(routes.expire(now, 10).len(), 1);
    let second = request(&mut routes, now);
    assert!(!routes.confirmed("c", first, FIRST));
    assert!(!routes.refused(&"c".into(), first, now));
    assert_eq!(look(&mut routes, 1, &[TOPIC], now), RouteChange::Unchanged);
    assert!(routes.confirmed("c", second, FIRST));
    assert!(!routes.confirmed("c", second, FIRST));
}

#[test]
fn a_lost_connection_takes_its_own_channels_and_those_that_are_wanted_are_requested_anew() {
    let (mut routes, now) = (Routes::new(GRACE, &Ledger::default()), Instant::now());
    let first = request(&mut routes, now);
    assert_eq!(routes.lost_connection(FIRST), Lost::default());
    routes.confirmed("c", first, FIRST);
    assert_eq!(routes.lost_connection(Epoch::new(2)), Lost::default());
    let lost = routes.lost_connection(FIRST);
    assert_eq!(lost.wanted, [("c".into(), first.next())]);
    assert!(!routes.confirmed("c", first, FIRST));
    assert!(routes.confirmed("c", first.next(), Epoch::new(2)));
    look(&mut routes, 0, &[], now);
    let lost = routes.lost_connection(Epoch::new(2));
    assert_eq!((lost.wanted.len(), &*lost.unwanted), (0, &["c".into()][..]));
    assert_eq!(routes.len(), 0);
}

#[test]
fn a_refused_channel_is_not_requested_again_for_a_while() {
    let (mut routes, now) = (Routes::new(GRACE, &Ledger::default()), Instant::now());
    let first = request(&mut routes, now);
    assert!(routes.refused(&"c".into(), first, now));
    assert_eq!(look(&mut routes, 1, &[TOPIC], now), RouteChange::Refused);
    let later = now + Duration::from_secs(60);
    assert_eq!(request(&mut routes, later), first.next());
}

#[test]
fn shard_set_holds_the_first_and_the_last_shard() {
    let mut set = ShardSet::default();
    set.set(ShardId(0), true);
    set.set(ShardId(127), true);
    assert_eq!(set.iter().collect::<Vec<_>>(), [ShardId(0), ShardId(127)]);
    set.set(ShardId(0), false);
    set.set(ShardId(127), false);
    assert!(set.is_empty());
}

//! A run, from the first client to the last look.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    time::Duration,
};

use tokio::{
    task::{LocalSet, spawn_local},
    time::{Instant, sleep},
};

use crate::{
    client::Client,
    faults,
    hostile::HostileClient,
    node::redis_channel,
    presence,
    redis::Publishing,
    socket_io::SocketIoClient,
    trace::Trace,
    visitor::{Standing, Visitor},
    world::{Options, Size, World},
};

/// How long it takes until nothing is under way any more: time-outs of requests, of links and of
/// channels that nobody wants.
const REST: Duration = Duration::from_secs(25);
/// How often clients read at rest.
const READ_INTERVAL: Duration = Duration::from_millis(50);

/// Runs a seed, and returns what happened. Every call with the same arguments does the same.
pub fn run(seed: u64, options: &Options) -> Trace {
    fastrand::seed(seed);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    let runtime = runtime.expect("a runtime without sockets needs nothing of the system");
    LocalSet::new().block_on(&runtime, async {
        let size = Size::new(seed, options);
        let world = World::new(seed, &size, options);
        drive(&world, size.faults, options).await;
        world.end()
    })
}

/// Lets clients come, and brings faults; then everything has to be as it was promised.
async fn drive(world: &Rc<World>, faults: u64, options: &Options) {
    let redis = spawn_local(world.clone().serve_redis());
    let publisher = spawn_local(world.clone().publish());
    let standing = Standing::default();
    let omitted = &options.omitted;
    let judged = options.clients + options.socket_io_clients;
    let clients: Vec<_> = (0..options.all_clients())
        .filter(|number| !omitted.clients.contains(number))
        .map(|number| {
            if number < options.clients {
                spawn_local(Client::new(world, number).run(standing.clone()))
            } else if number < judged {
                spawn_local(SocketIoClient::new(world, number).run(standing.clone()))
            } else {
                spawn_local(HostileClient::new(world, number).run())
            }
        })
        .collect();
    let end = Instant::now() + options.time;
    faults::trouble(world, faults, end, omitted).await;
    publisher.abort();
    world.begin_rest();
    for client in clients {
        if client.await.is_err() {
            world.violate("a client's task has failed");
        }
    }
    let mut standing = standing.take();
    rest(world, &mut standing).await;
    check(world, &standing);
    redis.abort();
}

/// Waits until nothing is under way, and publishes once more on every channel.
async fn rest(world: &World, clients: &mut [Box<dyn Visitor>]) {
    for round in 0..2 {
        let end = Instant::now() + REST;
        while Instant::now() < end {
            sleep(READ_INTERVAL).await;
            clients.iter_mut().for_each(|client| client.read());
        }
        if round == 0 {
            let channels = (0..32).map(|number| format!("c{number}"));
            channels.for_each(|channel| world.publish_one(Publishing::Everywhere, &channel));
        }
    }
}

/// At rest: every node is subscribed to what its clients want, once in each way, and to nothing
/// else.
fn check(world: &World, clients: &[Box<dyn Visitor>]) {
    let mut wanted: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
    let mut members = vec![BTreeSet::new(); world.node_count()];
    for (node, member) in clients.iter().flat_map(|client| client.check_at_rest()) {
        let channels = wanted.entry(node).or_default();
        channels.insert(redis_channel(&member.channel));
        members[node].insert(member);
    }
    let ways = if world.redis().has_shards() { 2 } else { 1 };
    for node in 0..world.node_count() {
        let wanted = wanted.remove(&node).unwrap_or_default();
        let wanted: Vec<_> = wanted.into_iter().collect();
        let found = world.redis().subscriptions(node, world.network());
        for (mut found, way) in found
            .into_iter()
            .zip(["SUBSCRIBE", "SSUBSCRIBE"])
            .take(ways)
        {
            // Nodes are subscribed to channels of their own as well.
            found.retain(|name| name.starts_with(&redis_channel("")));
            found.sort();
            if found != wanted {
                world.violate(&format!(
                    "node {node} has {way} of {found:?}, its clients want {wanted:?}"
                ));
            }
        }
    }
    for node in 0..world.node_count() {
        world.check_memory_at_rest(node);
    }
    presence::check(world, &members);
}

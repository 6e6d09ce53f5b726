use womack_ledger::Ledger;

use super::*;
use crate::{
    connect::{Backend, TlsFiles},
    subscriber::{SubscriberConfig, SubscriberMetrics},
};

/// Slots of the first master.
const HALF: u16 = 8192;
/// Channels of the first master and of the second, by their slots 3300 and 15495.
const FIRST: &str = "b";
const SECOND: &str = "a";

fn address(port: u16) -> Address {
    Address::Tcp {
        host: "127.0.0.1".to_owned(),
        port,
    }
}

fn subscription(channel: &str) -> Subscription {
    Subscription {
        channel: channel.into(),
        aliases: Vec::new(),
        generation: Generation::default(),
    }
}

/// A cluster of two masters, of which the first is connected.
struct Scene {
    cluster: Cluster,
    first: UnboundedReceiver<Command>,
}

impl Scene {
    fn new() -> Self {
        let backend = Backend::parse("redis+cluster://127.0.0.1:1", &TlsFiles::default()).unwrap();
        let config = SubscriberConfig {
            statics: StaticSubscriptions::default(),
            max_backlog_bytes: 1000,
            max_message_bytes: 1000,
            ledger: Ledger::default(),
        };
        let context = Context::new(backend, &config, SubscriberMetrics::default());
        let number = NodeNumber::default().next();
        let (commands, first) = unbounded_channel();
        let node = Node {
            number,
            commands,
            is_up: true,
        };
        let cluster = Cluster {
            context: Arc::new(context),
            statics: StaticSubscriptions::default(),
            statics_at: None,
            slots: Slots::default(),
            asks_slots: false,
            nodes: IndexMap::from_iter([(address(1), node)]),
            pending: PendingSubscriptions::default(),
            requested_at: HashMap::default(),
            is_whole: false,
            backoff: Backoff::default(),
            next_slots: Instant::now(),
            last_node: number,
            notices: unbounded_channel().0,
        };
        Self { cluster, first }
    }

    /// The channels that the first master is asked for.
    fn asked(&mut self) -> Vec<String> {
        let mut names = Vec::new();
        while let Ok(command) = self.first.try_recv() {
            if let Command::Subscribe(subscriptions) = command {
                names.extend(subscriptions.iter().map(|found| found.channel.to_string()));
            }
        }
        names
    }
}

#[test]
fn a_master_that_is_not_connected_costs_its_own_channels_only() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    // The task that would connect to the second is never run.
    let _guard = runtime.enter();
    let mut scene = Scene::new();
    let wanted = [FIRST, SECOND].map(subscription);
    let slots = Slots::divided(HALF, address(1), address(2));
    scene.cluster.handle_notice(Notice::Slots(Ok(slots)));
    scene
        .cluster
        .handle_command(Command::Subscribe(wanted.into()));
    assert_eq!(scene.asked(), [FIRST]);
    let waiting = scene.cluster.pending.take(9);
    assert_eq!(waiting, [subscription(SECOND)]);
}

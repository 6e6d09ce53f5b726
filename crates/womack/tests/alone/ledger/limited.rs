//! Frames of one byte, sent to a server that the system kills beyond 256 MiB.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process,
    rc::Rc,
    time::Duration,
};

use womack_test_support::{Broker, Redis, Server};

use super::{
    harness::{self, REDIS, allow_files},
    load::Load,
    mode::Mode,
    plain,
    target::Target,
    witness::{Witness, WitnessSettings},
};
use crate::{memory::peak, turn};

const LIMIT: usize = 256 << 20;
/// The longest a well-behaved client may go unserved.
const UNSERVED: Duration = Duration::from_secs(5);

/// A control group with a limit of memory, which is removed when this is dropped (cgroups(7)).
struct ControlGroup(PathBuf);

impl ControlGroup {
    /// `None` where this machine allows none; the peak of the process is checked in any case.
    fn open(limit: usize) -> Option<Self> {
        let trees = [
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
            ("/sys/fs/cgroup", "memory.max"),
        ];
        trees.iter().find_map(|(tree, file)| {
            let name = format!("womack-test-{}", process::id());
            let group = Self(Path::new(tree).join(name));
            fs::create_dir(&group.0).ok()?;
            let limited = fs::write(group.0.join(file), limit.to_string());
            limited.is_ok().then_some(group)
        })
    }

    fn take(&self, server: &Server) -> io::Result<()> {
        fs::write(self.0.join("cgroup.procs"), server.pid().to_string())
    }
}

impl Drop for ControlGroup {
    fn drop(&mut self) {
        // A group that still has a process is left; the test has failed then.
        fs::remove_dir(&self.0).ok();
    }
}

async fn lives_and_serves(clients: usize, egress: &str) {
    let mode = Mode::of_environment();
    let redis = Rc::new(Redis::start_with(REDIS).await);
    let group = ControlGroup::open(LIMIT);
    let load = Load {
        clients,
        ..Load::DEFAULT
    };
    let server = harness::start(&redis, &load, mode, egress).await;
    let is_limited = group
        .as_ref()
        .is_some_and(|group| group.take(&server).is_ok());
    let witness = Witness::start(WitnessSettings {
        nodes: vec![server.address()],
        redis: redis.url(),
        interval: mode.witness_interval(),
    })
    .await;
    let target = Target {
        servers: Rc::new(vec![server]),
        redis,
        clients,
    };
    let mut held = plain::frames_of_a_byte(target.clone()).await;
    // Everything that was sent has been answered, or its client closed.
    for socket in &mut held.sockets {
        socket.finish().await;
        socket.end().await;
    }
    let service = witness.stop();
    let mut servers = Rc::into_inner(target.servers).expect("the attack has ended");
    let peak = peak(&servers[0]);
    assert!(servers[0].is_alive());
    servers[0].stop().await;
    drop(group);
    println!(
        "{clients} clients, {egress}, limited by a control group: {is_limited}; peak {} MiB, \
         p99 {:?}, longest refusal {:?}, longest silence {:?}",
        peak >> 20,
        service.p99(),
        service.longest_refusal,
        service.longest_silence
    );
    assert!(peak < LIMIT, "{peak}");
    assert!(service.longest_silence < UNSERVED, "{service:?}");
    assert!(service.longest_refusal < UNSERVED, "{service:?}");
    assert_eq!(service.closed, 0);
}

async fn with_each_egress(clients: usize) {
    let _alone = turn().await;
    allow_files();
    for egress in Mode::of_environment().egresses() {
        lives_and_serves(clients, &egress).await;
    }
}

#[tokio::test]
async fn three_hundred_that_send_frames_of_a_byte_do_not_end_a_server_with_256_mib() {
    with_each_egress(300).await;
}

#[tokio::test]
#[ignore = "takes long: make attack"]
async fn nine_hundred_that_send_frames_of_a_byte_do_not_end_a_server_with_256_mib() {
    with_each_egress(900).await;
}

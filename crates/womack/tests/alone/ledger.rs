//! The test of the ledger: all memory that clients make a server hold is charged, bounded and
//! released.
//!
//! Each load is a way in which clients without a login make a server hold memory: a transport, a
//! state and an attack, in the table below. [`harness`] starts a server for it with a budget of 128
//! MiB, and compares the memory of the process with `womack_memory_bytes` every 20 ms. Meanwhile a
//! [`witness`] subscribes to a channel, and newcomers connect. The checks:
//!
//! 1. resident memory grows by at most 1.25 times what the charge has grown, plus 8 MiB;
//! 2. its peak is at most 64 MiB over the budget;
//! 3. the charge grows by at most 1.5 times what resident memory has grown, plus 8 MiB;
//! 4. deadlines release everything that waits for a client although the client keeps its sockets
//!    open, and everything is released soon after the attackers have closed;
//! 5. neither the witness nor newcomers go unserved for longer than 5 s.
//!
//! Loads that are ignored, for the reason that they give, make a server hold more than it charges;
//! `make attack` runs them too.
//!
//! In the suite deadlines are a second, and an attack is some 40 MB. `make attack` presses harder,
//! with default deadlines and both write backends, and prints the table of `docs/security.md`.

mod harness;
mod http;
mod legacy;
mod limited;
mod load;
mod mode;
mod outcome;
mod plain;
mod polling;
mod relay;
mod sampler;
mod soak;
mod target;
mod websocket;
mod witness;

use std::time::Duration;

use load::{
    Load,
    State::{BeforeConnect, BeforeSession, BetweenPolls, Closing, Subscribed, Upgrading},
    Transport::{
        Events, Http, LegacyPolling, Lines, OlderPolling, Polling, Redis, Relay, WebSocket,
    },
};

/// Makes a test of each load, and a list of all.
macro_rules! loads {
    ($($(#[$attribute:meta])* $name:ident { $($field:ident: $value:expr),* $(,)? })*) => {
    $(
        $(#[$attribute])*
        #[tokio::test]
        async fn $name() {
            harness::run(&Load { name: stringify!($name), $($field: $value,)* ..Load::DEFAULT }).await;
        }
    )*

        /// Every load, in the order of the table.
        const LOADS: &[Load] = &[
            $(Load { name: stringify!($name), $($field: $value,)* ..Load::DEFAULT },)*
        ];
    };
}

loads! {
    heads_without_end {
        transport: Http, state: BeforeSession, clients: 1500,
        attack: |target| Box::pin(http::heads_without_end(target)),
    }
    silent_connections {
        transport: Http, state: BeforeSession, clients: 3000,
        attack: |target| Box::pin(http::silent_connections(target)),
    }
    connections_between_requests {
        transport: Http, state: BeforeSession, clients: 2000,
        attack: |target| Box::pin(http::connections_between_requests(target)),
    }
    unread_files {
        transport: Http, state: BeforeSession, clients: 500,
        attack: |target| Box::pin(http::unread_files(target)),
    }
    bodies_for_nobody {
        transport: Http, state: BeforeSession, clients: 40,
        attack: |target| Box::pin(http::bodies_for_nobody(target)),
    }
    connections_beyond_the_files {
        transport: Http, state: BeforeSession, clients: 600, most_clients: 600, files: Some(400),
        attack: |target| Box::pin(http::unread_files(target)),
    }
    unfinished_proxy_headers {
        transport: Http, state: BeforeSession, clients: 3000,
        flags: &[("--trusted-proxy", "127.0.0.2"), ("--proxy-protocol", "")],
        attack: |target| Box::pin(http::unfinished_proxy_headers(target)),
    }
    sessions_never_seen_again {
        transport: Polling, state: BeforeConnect, clients: 4032, most_clients: 4032,
        flags: &[("--max-connections", "4000")],
        attack: |target| Box::pin(polling::sessions_never_seen_again(target)),
    }
    attachments_that_never_come {
        transport: Polling, state: BetweenPolls, clients: 40,
        attack: |target| Box::pin(polling::attachments_that_never_come(target)),
    }
    #[ignore = "copies of a body are freed later than the system sees it"]
    ninth_of_ten_attachments_of_engine_io_3 {
        transport: OlderPolling, state: BetweenPolls, clients: 40,
        attack: |target| Box::pin(polling::ninth_of_ten_attachments(target)),
    }
    unfinished_bodies {
        transport: Polling, state: BetweenPolls, clients: 40,
        attack: |target| Box::pin(polling::unfinished_bodies(target)),
    }
    announced_bodies {
        transport: Polling, state: BetweenPolls, clients: 30, most_clients: 60,
        attack: |target| Box::pin(polling::announced_bodies(target)),
    }
    messages_without_polls {
        transport: Polling, state: BetweenPolls, clients: 40,
        attack: |target| Box::pin(polling::messages_without_polls(target)),
    }
    acknowledgements_without_polls {
        transport: Polling, state: BetweenPolls, clients: 40,
        attack: |target| Box::pin(polling::acknowledgements_without_polls(target)),
    }
    unread_answers {
        transport: Polling, state: Subscribed, clients: 40,
        attack: |target| Box::pin(polling::unread_answers(target)),
    }
    #[ignore = "answers are freed later than the system sees it"]
    unread_answers_of_one_session {
        transport: Polling, state: Subscribed, clients: 40,
        attack: |target| Box::pin(polling::unread_answers_of_one(target)),
    }
    upgrades_without_end {
        transport: Polling, state: Upgrading, clients: 40,
        attack: |target| Box::pin(polling::upgrades_without_end(target)),
    }
    unfinished_frames_of_upgrades {
        transport: WebSocket, state: Upgrading, clients: 40,
        attack: |target| Box::pin(polling::unfinished_frames_of_upgrades(target)),
    }
    handshakes_of_0_9_without_transport {
        transport: LegacyPolling, state: BeforeConnect, clients: 4032, most_clients: 4032,
        flags: &[("--max-connections", "4000")],
        attack: |target| Box::pin(legacy::handshakes_without_transport(target)),
    }
    unfinished_bodies_of_0_9 {
        transport: LegacyPolling, state: BetweenPolls, clients: 40,
        attack: |target| Box::pin(legacy::unfinished_bodies(target)),
    }
    messages_without_polls_of_0_9 {
        transport: LegacyPolling, state: BetweenPolls, clients: 40,
        attack: |target| Box::pin(legacy::messages_without_polls(target)),
    }
    unread_answers_of_0_9 {
        transport: LegacyPolling, state: Subscribed, clients: 40,
        attack: |target| Box::pin(legacy::unread_answers(target)),
    }
    sockets_without_connect {
        transport: WebSocket, state: BeforeConnect, clients: 2000,
        attack: |target| Box::pin(websocket::silent_sockets(target)),
    }
    unfinished_frames {
        transport: WebSocket, state: BeforeConnect, clients: 40,
        attack: |target| Box::pin(websocket::unfinished_frames(target)),
    }
    fragments_between_pings {
        transport: WebSocket, state: Subscribed, clients: 40,
        attack: |target| Box::pin(websocket::fragments_between_pings(target)),
    }
    attachments_that_never_come_over_websocket {
        transport: WebSocket, state: Subscribed, clients: 40,
        attack: |target| Box::pin(websocket::attachments_that_never_come(target)),
    }
    ninth_of_ten_attachments {
        transport: WebSocket, state: Subscribed, clients: 40,
        attack: |target| Box::pin(websocket::ninth_of_ten_attachments(target)),
    }
    unread_messages {
        transport: WebSocket, state: Subscribed, clients: 40,
        attack: |target| Box::pin(websocket::unread_messages(target)),
    }
    long_names {
        transport: WebSocket, state: Subscribed, clients: 30, most_clients: 60,
        attack: |target| Box::pin(websocket::long_names(target)),
    }
    long_names_while_redis_is_silent {
        transport: WebSocket, state: Subscribed, clients: 20, redis_answers: false,
        attack: |target| Box::pin(websocket::long_names_while_redis_is_silent(target)),
    }
    large_metas {
        transport: WebSocket, state: Subscribed, clients: 400,
        flags: &[("--events-key", "events"), ("--max-meta-bytes", "100000")],
        attack: |target| Box::pin(websocket::large_metas(target)),
    }
    #[ignore = "what is written to the record of presence is not charged"]
    changing_metas {
        transport: WebSocket, state: Subscribed, clients: 4, most_clients: 8,
        flags: &[("--events-key", "events"), ("--presence", "/")],
        attack: |target| Box::pin(websocket::changing_metas(target)),
    }
    #[ignore = "answers that the record of presence is read for are not charged"]
    unread_presence {
        transport: WebSocket, state: Subscribed, clients: 40,
        flags: &[("--events-key", "events"), ("--presence", "/")],
        attack: |target| Box::pin(websocket::unread_presence(target)),
    }
    #[ignore = "copies of a request are freed later than the system sees it"]
    channels_in_turn {
        transport: WebSocket, state: Subscribed, clients: 4, most_clients: 8,
        attack: |target| Box::pin(websocket::channels_in_turn(target)),
    }
    closing_unread {
        transport: WebSocket, state: Closing, clients: 40,
        attack: |target| Box::pin(websocket::closing_unread(target)),
    }
    #[ignore = "what waits for many clients is copied, and freed later than the system sees it"]
    frames_of_a_byte {
        transport: Lines, state: Subscribed, clients: 300, most_clients: 900,
        attack: |target| Box::pin(plain::frames_of_a_byte(target)),
    }
    fragments_of_lines_between_pings {
        transport: Lines, state: Subscribed, clients: 40,
        attack: |target| Box::pin(plain::fragments_between_pings(target)),
    }
    unread_lines {
        transport: Lines, state: Subscribed, clients: 40,
        attack: |target| Box::pin(plain::unread_answers(target)),
    }
    closing_unread_lines {
        transport: Lines, state: Closing, clients: 40,
        attack: |target| Box::pin(plain::closing_unread(target)),
    }
    unread_streams {
        transport: Events, state: Subscribed, clients: 40,
        attack: |target| Box::pin(plain::unread_streams(target)),
    }
    silent_streams {
        transport: Events, state: Subscribed, clients: 1500, has_deadline: false,
        attack: |target| Box::pin(plain::silent_streams(target)),
    }
    streams_with_long_names {
        transport: Events, state: BeforeSession, clients: 800, has_deadline: false,
        attack: |target| Box::pin(plain::streams_with_long_names(target)),
    }
    polls_that_wait_for_another_node {
        transport: Relay, state: Subscribed, clients: 210, most_clients: 210, nodes: 2,
        flags: &[("--max-relayed-requests", "200"), ("--ping-interval", "25")],
        has_deadline: false, hold_time: Duration::from_secs(6),
        attack: |target| Box::pin(relay::waiting_polls(target)),
    }
    #[ignore = "copies on the way between nodes are not charged"]
    bodies_for_nobody_at_another_node {
        transport: Relay, state: BeforeSession, clients: 40, nodes: 2,
        attack: |target| Box::pin(relay::bodies_for_nobody(target)),
    }
    unfinished_bodies_for_another_node {
        transport: Relay, state: BetweenPolls, clients: 40, nodes: 2,
        attack: |target| Box::pin(relay::unfinished_bodies(target)),
    }
    #[ignore = "copies on the way between nodes are not charged"]
    unread_answers_of_another_node {
        transport: Relay, state: Subscribed, clients: 40, nodes: 2,
        attack: |target| Box::pin(relay::unread_answers(target)),
    }
    #[ignore = "copies on the way between nodes are not charged"]
    unfinished_frames_of_tunnels {
        transport: Relay, state: Upgrading, clients: 40, nodes: 2,
        attack: |target| Box::pin(polling::unfinished_frames_of_upgrades(target)),
    }
    publications_beyond_the_limit {
        transport: Redis, state: Subscribed, clients: 3, most_clients: 3,
        attack: |target| Box::pin(relay::publications_beyond_the_limit(target)),
    }
    #[ignore = "copies on the way between nodes are not charged"]
    unread_tunnels {
        transport: Relay, state: Upgrading, clients: 30, nodes: 2,
        attack: |target| Box::pin(relay::unread_tunnels(target)),
    }
}

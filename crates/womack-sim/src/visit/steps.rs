//! The steps of a visit: packets in, packets out.

use std::{cmp::Ordering, time::Duration};

use tokio::time::Instant;
use womack_proto::Revision;

use super::{State, Transport, Visit};
use crate::{
    client::ANSWER,
    dialect::{Packet, Said, read_packet},
    node::PING_INTERVAL,
    polling::{Delivery, Event},
    websocket::Incoming,
};

/// How much longer than an answer to a request takes it may take to be read: clients sleep, and
/// poll for a few messages at a time.
const READING: Duration = Duration::from_secs(6);
/// The same where requests are carried to other nodes, over a way that is troubled.
const READING_ELSEWHERE: Duration = Duration::from_secs(54);
/// How long a session may last of which an answer was lost.
const DOOMED: Duration = Duration::from_secs(5);
/// The same where reports of losses are carried to other nodes.
const DOOMED_ELSEWHERE: Duration = Duration::from_secs(45);

impl Visit {
    /// Reads what has come, and sends what waits.
    pub(crate) fn step(&mut self) -> State {
        let place = self.balancer.place;
        if !self.balancer.roams && self.world().node(place).is_none() {
            self.session.note("loses its node");
            self.world().count("client lost its node");
            return State::Ended;
        }
        if self.revision == Revision::V3 && self.next_ping <= Instant::now() {
            self.next_ping = Instant::now() + PING_INTERVAL / 2;
            self.outgoing.push("2".to_owned());
        }
        let state = match &self.transport {
            Transport::Polling(_) => self.step_polling(),
            Transport::WebSocket(_) => self.step_websocket(),
        };
        if state == State::Ended {
            return State::Ended;
        }
        if self.is_leaving && self.has_said_goodbye() {
            return State::Ended;
        }
        let is_elsewhere = self.balancer.roams;
        if let Some(doomed) = self.doomed {
            let most = if is_elsewhere {
                DOOMED_ELSEWHERE
            } else {
                DOOMED
            };
            if Instant::now() < doomed + most {
                return State::Open;
            }
            if self.session.is_suspected() {
                self.doomed = None;
                self.cause = None;
                return match self.session.acquit() {
                    true => State::Open,
                    false => State::Ended,
                };
            }
            let cause = self.cause.unwrap_or_default();
            self.session.violate(&format!("lives although {cause}"));
            return State::Ended;
        }
        let reading = if is_elsewhere {
            READING_ELSEWHERE
        } else {
            READING
        };
        match self.is_leaving || self.session.is_answered_within(ANSWER + reading) {
            true => State::Open,
            false => State::Ended,
        }
    }

    /// Whether the server has heard of the end.
    fn has_said_goodbye(&self) -> bool {
        let has_heard = match &self.transport {
            Transport::Polling(polling) => polling.may_post(),
            // A packet of leaving ends the WebSocket.
            Transport::WebSocket(_) => false,
        };
        self.outgoing.is_empty() && has_heard
    }

    fn step_polling(&mut self) -> State {
        loop {
            let delivery = self.choose_delivery();
            let Some((http, shard)) = self.balancer.next() else {
                return State::Open;
            };
            let Transport::Polling(polling) = &mut self.transport else {
                return State::Open;
            };
            let event = polling.take_posted();
            let event = event.or_else(|| polling.take_answers(delivery, (&http, shard)));
            let Some(event) = event.or_else(|| polling.step_probe()) else {
                break;
            };
            if delivery != Delivery::Read && matches!(event, Event::Packets(_)) {
                self.note_delivery(delivery);
            }
            if self.handle(event) == State::Ended {
                return State::Ended;
            }
        }
        self.send()
    }

    /// The fate of the next answer.
    fn choose_delivery(&mut self) -> Delivery {
        if !self.is_well() || self.world().is_resting() {
            return Delivery::Read;
        }
        // Half of the proxies repeat a poll whose connection broke with its node.
        let has_lost_a_node = match &self.transport {
            Transport::Polling(polling) => polling.has_lost_a_node(),
            Transport::WebSocket(_) => false,
        };
        let rng = &mut self.balancer.rng;
        if has_lost_a_node && rng.bool() {
            return Delivery::Repeated { late: false };
        }
        match rng.u16(..1000) {
            0..10 => Delivery::ReadAndReset,
            10..12 => Delivery::Lost,
            12..16 => Delivery::Repeated { late: rng.bool() },
            _ => Delivery::Read,
        }
    }

    fn note_delivery(&mut self, delivery: Delivery) {
        match delivery {
            Delivery::Read => {}
            Delivery::ReadAndReset => self.world().step("answer is read and reset"),
            Delivery::Lost => self.lose("an answer is lost"),
            Delivery::Repeated { .. } => self.lose("a poll is repeated"),
        }
    }

    fn handle(&mut self, event: Event) -> State {
        match event {
            Event::Packets(packets) => {
                self.session
                    .note(&format!("an answer has {} packets", packets.len()));
                self.hear_all(packets)
            }
            Event::Mixed(mut packets) => {
                packets.sort_by(by_effect);
                if self.doomed.is_none() {
                    self.cause = None;
                }
                self.hear_all(packets)
            }
            Event::Refused(method, error) => self.ended(&format!("{method} is refused: {error}")),
            Event::Broken(text) => {
                self.session.violate(&text);
                State::Ended
            }
            Event::Upgraded(websocket) => {
                self.session.note("goes on over a websocket");
                self.world().step("client has upgraded");
                self.transport = Transport::WebSocket(websocket);
                self.ready();
                State::Open
            }
            Event::NotUpgraded => {
                self.world().count("upgrade failed");
                State::Open
            }
        }
    }

    fn hear_all(&mut self, packets: Vec<String>) -> State {
        for packet in packets {
            if self.hear(&packet) == State::Ended {
                return State::Ended;
            }
        }
        State::Open
    }

    pub(super) fn hear(&mut self, packet: &str) -> State {
        match read_packet(packet) {
            Some(Packet::Said(said)) => {
                // The client of a session that is about to end knows no more what it has missed.
                if self.doomed.is_none() || self.session.is_suspected() {
                    self.session.hear(said);
                }
            }
            Some(Packet::Joined(id)) => {
                self.is_joined = true;
                id.into_iter().for_each(|id| self.session.set_id(id));
            }
            Some(Packet::Ping) => self.outgoing.push("3".to_owned()),
            Some(Packet::Close) => return self.ended("by the server"),
            Some(Packet::Nothing) => {}
            Some(Packet::Open(_) | Packet::Probed) | None => {
                self.session.violate(&format!("nobody asked for {packet}"));
            }
        }
        State::Open
    }

    /// Sends what waits, if there is room on the way.
    fn send(&mut self) -> State {
        let ways = self.balancer.next().zip(self.balancer.next());
        let Some(((http, shard), (other_http, other_shard))) = ways else {
            return State::Open;
        };
        let Transport::Polling(polling) = &mut self.transport else {
            return State::Open;
        };
        let mut sent = Ok(());
        if !self.outgoing.is_empty() && polling.may_post() {
            let packets = std::mem::take(&mut self.outgoing);
            self.session
                .note(&format!("POST with {} packets", packets.len()));
            sent = polling.post(&http, shard, &packets);
        }
        if sent.is_ok() && polling.may_get() {
            let is_own = other_http.is_own(self.sid);
            self.session
                .note(if is_own { "GET" } else { "GET elsewhere" });
            sent = polling.get(&other_http, other_shard);
        }
        self.ready();
        match sent {
            Ok(()) => State::Open,
            Err(error) => self.ended(&error.to_string()),
        }
    }

    fn step_websocket(&mut self) -> State {
        loop {
            let Transport::WebSocket(websocket) = &mut self.transport else {
                return State::Open;
            };
            for packet in self.outgoing.drain(..) {
                websocket.write(&packet);
            }
            let has_more = websocket.fill();
            self.ready();
            loop {
                let Transport::WebSocket(websocket) = &mut self.transport else {
                    return State::Open;
                };
                let state = match websocket.next() {
                    None => break,
                    Some(Incoming::Text(packet)) => self.hear(&packet),
                    Some(Incoming::Close(reason)) => self.ended(&reason),
                    Some(Incoming::CutOff) => self.ended("cut off"),
                };
                if state == State::Ended {
                    return State::Ended;
                }
            }
            if !has_more && self.outgoing.is_empty() {
                return State::Open;
            }
        }
    }

    /// The session has ended.
    pub(super) fn ended(&self, reason: &str) -> State {
        self.session.note(&format!("has ended: {reason}"));
        let world = self.world();
        let is_troubled = self.balancer.roams && world.is_troubled();
        let cause = match self.cause {
            None if world.explains_close(self.balancer.place) => Some("its node closes clients"),
            None if is_troubled => Some("the way was troubled"),
            cause => cause,
        };
        match cause {
            Some(cause) => self.world().count(&format!("ended: {cause}")),
            None => self
                .session
                .violate(&format!("has ended without a cause: {reason}")),
        }
        State::Ended
    }
}

/// Packets of answers of which nobody knows the order: gaps explain what is missing, and whoever
/// leaves a channel may have got messages before.
fn by_effect(one: &String, other: &String) -> Ordering {
    let key = |packet: &String| match read_packet(packet) {
        Some(Packet::Said(Said::Gap { .. })) => (0, String::new(), 0),
        Some(Packet::Said(Said::Message(channel, number))) => (1, channel, number),
        _ => (2, String::new(), 0),
    };
    key(one).cmp(&key(other))
}

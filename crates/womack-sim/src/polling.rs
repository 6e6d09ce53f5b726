//! The long-polling of one session: its GETs and POSTs, and the WebSocket that is to follow them.

use std::{rc::Rc, time::Duration};

use tokio::{sync::oneshot, time::Instant};
use womack_engine::Sid;
use womack_proto::{Answer, Handshake, PollBody, SessionError, relay::AnswerLoss};

use crate::{
    dialect::{join, split},
    fleet::RELAY_TIMEOUT,
    http::{Http, Poll, taken},
    node::{PING_INTERVAL, PING_TIMEOUT},
    websocket::{Incoming, WebSocket},
};

/// Time that clients may take to look.
const SLACK: Duration = Duration::from_secs(3);

/// The requests of a session, and what has come of them.
pub(crate) struct Polling {
    sid: Sid,
    /// Whether packets have their length before them, as in Engine.IO 3.
    counted: bool,
    /// Whether requests may reach other nodes than the session's.
    roams: bool,
    gets: Vec<Get>,
    post: Option<Post>,
    stamps: u64,
    probe: Option<Probe>,
}

struct Get {
    poll: Poll,
    stamp: Option<u64>,
    since: Instant,
    /// The answer, which is held back while another GET is not answered.
    answer: Option<PollBody>,
}

struct Post {
    answered: oneshot::Receiver<Answer>,
    since: Instant,
}

/// A WebSocket that asks to become the transport.
struct Probe {
    websocket: WebSocket,
    is_answered: bool,
}

/// Something that has become of the requests of a session.
pub(crate) enum Event {
    /// One answer brings these packets.
    Packets(Vec<String>),
    /// The answers to two GETs that were under way at a time bring these packets. Nobody knows in
    /// which order the server has written them.
    Mixed(Vec<String>),
    /// The session is refused.
    Refused(&'static str, SessionError),
    /// Something has not been answered, or not as it should be.
    Broken(String),
    /// The WebSocket is the transport from now on.
    Upgraded(WebSocket),
    /// The WebSocket has ended before it became the transport.
    NotUpgraded,
}

/// The fate of an answer after the system has taken it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Delivery {
    /// The client reads it.
    Read,
    /// The client reads it, and a proxy resets the connection thereafter.
    ReadAndReset,
    /// The client does not get it, and the server notices.
    Lost,
    /// A proxy does not get it, and repeats the request. Whether the server notices before the
    /// repetition comes.
    Repeated { late: bool },
}

impl Polling {
    pub(crate) const fn new(sid: Sid, counted: bool, roams: bool) -> Self {
        Self {
            sid,
            counted,
            roams,
            gets: Vec::new(),
            post: None,
            stamps: 0,
            probe: None,
        }
    }

    /// The packets in the body that opened the session.
    pub(crate) fn packets(body: &PollBody, counted: bool) -> Option<Vec<String>> {
        let text = str::from_utf8(&body.bytes).ok()?;
        let packets = split(text, counted)?.into_iter();
        Some(packets.map(ToOwned::to_owned).collect())
    }

    /// Whether another GET may be sent now.
    pub(crate) fn may_get(&self) -> bool {
        self.gets.is_empty() && !self.is_pausing()
    }

    /// Whether a POST may be sent now.
    pub(crate) const fn may_post(&self) -> bool {
        self.post.is_none() && !self.is_pausing()
    }

    /// Whether requests have to end before the WebSocket becomes the transport.
    const fn is_pausing(&self) -> bool {
        matches!(&self.probe, Some(probe) if probe.is_answered)
    }

    /// Whether exactly one GET waits, and no WebSocket asks to become the transport.
    pub(crate) const fn is_plain(&self) -> bool {
        self.gets.len() == 1 && self.probe.is_none()
    }

    /// Sends a GET to a shard of a node.
    ///
    /// # Errors
    /// The session is refused.
    pub(crate) fn get(&mut self, http: &Rc<Http>, shard: usize) -> Result<(), SessionError> {
        self.stamps += 1;
        let query = format!("EIO=4&transport=polling&t=stamp{}", self.stamps);
        let stamp = Handshake::parse(&query)?.stamp;
        self.get_stamped(http, shard, stamp)
    }

    fn get_stamped(
        &mut self,
        http: &Rc<Http>,
        shard: usize,
        stamp: Option<u64>,
    ) -> Result<(), SessionError> {
        self.gets.push(Get {
            poll: http.poll(shard, self.sid, stamp)?,
            stamp,
            since: Instant::now(),
            answer: None,
        });
        Ok(())
    }

    /// Sends a POST to a shard of a node.
    ///
    /// # Errors
    /// The session is refused.
    pub(crate) fn post(
        &mut self,
        http: &Http,
        shard: usize,
        packets: &[String],
    ) -> Result<(), SessionError> {
        let body = join(packets, self.counted);
        self.post = Some(Post {
            answered: http.post(shard, self.sid, body)?,
            since: Instant::now(),
        });
        Ok(())
    }

    /// Whether a node has ended that a GET has reached.
    pub(crate) fn has_lost_a_node(&self) -> bool {
        self.gets.iter().any(|get| get.poll.has_lost_its_node())
    }

    /// The client gives up its GETs.
    pub(crate) fn abort(&mut self) {
        self.gets.clear();
    }

    /// A WebSocket asks to become the transport. The session is of this node.
    pub(crate) fn upgrade(&mut self, http: &Http) {
        let websocket = WebSocket::new();
        http.upgrade(self.sid, websocket.socket());
        websocket.write("2probe");
        self.probe = Some(Probe {
            websocket,
            is_answered: false,
        });
    }

    /// The socket of the WebSocket that asks to become the transport.
    pub(crate) fn probe(&self) -> Option<&WebSocket> {
        self.probe.as_ref().map(|probe| &probe.websocket)
    }

    /// Takes the answer to the POST.
    pub(crate) fn take_posted(&mut self) -> Option<Event> {
        let most = match self.roams {
            true => RELAY_TIMEOUT + SLACK,
            false => SLACK,
        };
        let post = self.post.as_mut()?;
        match taken(&mut post.answered) {
            Some(Ok(())) => self.post = None,
            Some(Err(error)) => return Some(Event::Refused("POST", error)),
            None if post.since.elapsed() > most => {
                return Some(Event::Broken("a POST is not answered".to_owned()));
            }
            None => {}
        }
        None
    }

    /// Takes the answers to the GETs when all have come. `delivery` is the fate of an answer to a
    /// GET that was alone, which a shard of this node would hear of if it is repeated.
    pub(crate) fn take_answers(
        &mut self,
        delivery: Delivery,
        (http, shard): (&Rc<Http>, usize),
    ) -> Option<Event> {
        let mut most = PING_INTERVAL + PING_TIMEOUT + SLACK;
        if self.roams {
            most += RELAY_TIMEOUT;
        }
        if let Some(repeated) = self.repeat_elsewhere(delivery, http, shard) {
            return Some(repeated);
        }
        for get in self.gets.iter_mut().filter(|get| get.answer.is_none()) {
            match get.poll.take() {
                Some(Ok(body)) => get.answer = Some(body),
                Some(Err(error)) => return Some(Event::Refused("GET", error)),
                None if get.since.elapsed() > most => {
                    return Some(Event::Broken("a GET is not answered".to_owned()));
                }
                None => {}
            }
        }
        if self.gets.is_empty() || self.gets.iter().any(|get| get.answer.is_none()) {
            return None;
        }
        let gets = std::mem::take(&mut self.gets);
        if let [get] = &gets[..]
            && let Some(lost) = self.deliver(get, delivery, http, shard)
        {
            return Some(lost);
        }
        let are_mixed = gets.len() > 1;
        let mut packets = Vec::new();
        for body in gets.iter().filter_map(|get| get.answer.as_ref()) {
            match Self::packets(body, self.counted) {
                Some(found) => packets.extend(found),
                None => return Some(Event::Broken(format!("a body is {:?}", body.bytes))),
            }
        }
        Some(match are_mixed {
            true => Event::Mixed(packets),
            false => Event::Packets(packets),
        })
    }

    /// Has a proxy repeat the one GET whose node has ended, answered or not.
    fn repeat_elsewhere(
        &mut self,
        delivery: Delivery,
        http: &Rc<Http>,
        shard: usize,
    ) -> Option<Event> {
        let [get] = &self.gets[..] else {
            return None;
        };
        let is_repeated = matches!(delivery, Delivery::Repeated { .. });
        if !is_repeated || !get.poll.has_lost_its_node() {
            return None;
        }
        let get = self.gets.pop()?;
        let sent = self.get_stamped(http, shard, get.stamp);
        Some(match sent {
            Ok(()) => Event::Packets(Vec::new()),
            Err(error) => Event::Refused("GET", error),
        })
    }

    /// Brings an answer to its client, or does not. Returns what the client sees instead.
    fn deliver(
        &mut self,
        get: &Get,
        delivery: Delivery,
        http: &Rc<Http>,
        shard: usize,
    ) -> Option<Event> {
        let unread = AnswerLoss::IfRepeated(get.stamp?);
        match delivery {
            Delivery::Read => return None,
            // A client gives its session up when a poll fails.
            Delivery::Lost if get.poll.has_lost_its_node() => {
                return Some(Event::Refused("GET", SessionError::UnknownSid));
            }
            Delivery::ReadAndReset => {
                get.poll.report_loss(unread);
                return None;
            }
            Delivery::Lost => get.poll.report_loss(AnswerLoss::Certain),
            Delivery::Repeated { late } => {
                if !late {
                    get.poll.report_loss(unread);
                }
                if let Err(error) = self.get_stamped(http, shard, get.stamp) {
                    return Some(Event::Refused("GET", error));
                }
                if late {
                    get.poll.report_loss(unread);
                }
            }
        }
        Some(Event::Packets(Vec::new()))
    }

    /// Goes on with the WebSocket that asks to become the transport.
    pub(crate) fn step_probe(&mut self) -> Option<Event> {
        let probe = self.probe.as_mut()?;
        probe.websocket.fill();
        match probe.websocket.next() {
            None => {}
            Some(Incoming::Text(text)) if text == "3probe" => probe.is_answered = true,
            Some(Incoming::Text(text)) => {
                return Some(Event::Broken(format!("a probe is answered {text}")));
            }
            Some(Incoming::Close(_) | Incoming::CutOff) => {
                self.probe = None;
                return Some(Event::NotUpgraded);
            }
        }
        if !self.is_pausing() || !self.gets.is_empty() || self.post.is_some() {
            return None;
        }
        let websocket = self.probe.take()?.websocket;
        websocket.write("5");
        Some(Event::Upgraded(websocket))
    }
}

//! What a client's packets do to its session.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{Due, Member, Session, nanos, patience};
use crate::{
    attachments::{Head, Partial},
    engine_io,
    error::{CloseReason, DecodeError},
    frame::Frame,
    output::{Message, Output},
    rules::{Layer, Rules},
    socket_io::{self, Body, Packet},
};

impl Session {
    pub(super) fn engine_io_packet(
        &mut self,
        now: Instant,
        text: &str,
        rules: &Rules,
        out: &mut Vec<Output>,
    ) -> Result<(), CloseReason> {
        use engine_io::Packet;

        let packet = Packet::decode(text)?;
        if self.revision.client_pings() {
            self.heard(now, rules);
        }
        match packet {
            Packet::Close => return Err(CloseReason::ClientDisconnect),
            Packet::Ping(data) if self.revision.client_pings() => {
                out.push(Output::Send(Frame::text(&[b"3", data.as_bytes()])));
            }
            Packet::Pong(_) if !self.revision.client_pings() => self.heard(now, rules),
            Packet::Ping(_) | Packet::Pong(_) => return Err(DecodeError::Heartbeat.into()),
            Packet::Message(text) => match self.layer {
                Layer::EngineIo => out.push(Output::Message(Message::Text(text.to_owned()))),
                Layer::SocketIo => self.socket_io_packet(now, text, rules, out)?,
            },
            // Without a meaning here; the official server does not mind them either.
            Packet::Open(_) | Packet::Upgrade | Packet::Noop => {}
        }
        Ok(())
    }

    pub(super) fn binary_message(
        &mut self,
        now: Instant,
        data: Result<Bytes, DecodeError>,
        rules: &Rules,
        out: &mut Vec<Output>,
    ) {
        if self.is_closed {
            return;
        }
        let handled = data.map_err(CloseReason::from).and_then(|data| {
            if self.revision.client_pings() {
                self.heard(now, rules);
            }
            match self.layer {
                Layer::EngineIo => {
                    out.push(Output::Message(Message::Binary(data)));
                    Ok(())
                }
                Layer::SocketIo => self.attachment(data, rules, out),
            }
        });
        if let Err(reason) = handled {
            self.close(reason, out);
        }
    }

    /// The client has shown that it lives.
    fn heard(&mut self, now: Instant, rules: &Rules) {
        self.due = if self.revision.client_pings() {
            Due::Client
        } else {
            Due::Ping
        };
        let patience = patience(self.revision, &rules.timing);
        self.heartbeat_nanos = self.since_opening(now).saturating_add(patience);
    }

    fn socket_io_packet(
        &mut self,
        now: Instant,
        text: &str,
        rules: &Rules,
        out: &mut Vec<Output>,
    ) -> Result<(), CloseReason> {
        if self.partial.is_some() {
            return Err(DecodeError::UnexpectedText.into());
        }
        let Packet {
            namespace: path,
            body,
        } = Packet::decode(text)?;
        if let Body::Connect { payload } = body {
            return match socket_io::split_query(self.revision, path) {
                (path, Some(query)) => self.connect(path, Some(query), rules, out),
                (path, None) => self.connect(path, payload.map(str::to_owned), rules, out),
            };
        }
        // The official server closes the whole connection too, whatever else it has joined.
        let namespace = rules.namespaces.id(path).ok_or(CloseReason::InvalidState)?;
        let index = self
            .member(namespace, true)
            .ok_or(CloseReason::InvalidState)?;
        let (head, attachments) = match body {
            Body::Event {
                ack,
                name,
                args,
                attachments,
            } => {
                let (name, args) = (name.into_owned(), args.to_owned());
                (Head::Event { name, args, ack }, attachments)
            }
            Body::Ack {
                id,
                args,
                attachments,
            } => (
                Head::Ack {
                    id,
                    args: args.to_owned(),
                },
                attachments,
            ),
            Body::Disconnect => {
                self.members.swap_remove(index);
                out.push(Output::Left(namespace));
                return Ok(());
            }
            Body::Connect { .. } | Body::ConnectError { .. } => {
                return Err(CloseReason::InvalidState);
            }
        };
        if attachments == 0 {
            out.push(head.complete(namespace, Vec::new()));
            return Ok(());
        }
        let wait = nanos(rules.timing.message_timeout);
        let deadline = now + Duration::from_nanos(wait);
        let partial = Partial::new(namespace, head, attachments, deadline, &rules.limits)?;
        self.partial = Some(Box::new(partial));
        Ok(())
    }

    pub(super) fn connect(
        &mut self,
        path: &str,
        auth: Option<String>,
        rules: &Rules,
        out: &mut Vec<Output>,
    ) -> Result<(), CloseReason> {
        let Some(namespace) = rules.namespaces.id(path) else {
            self.send_connect_error(path, "Invalid namespace", out);
            return Ok(());
        };
        if self
            .members
            .iter()
            .any(|member| member.namespace == namespace)
        {
            return Err(CloseReason::InvalidState);
        }
        if self.members.len() >= rules.limits.max_namespaces {
            self.send_connect_error(path, "Too many namespaces", out);
            return Ok(());
        }
        self.members.push(Member {
            namespace,
            is_joined: false,
        });
        out.push(Output::Connect { namespace, auth });
        Ok(())
    }

    fn attachment(
        &mut self,
        data: Bytes,
        rules: &Rules,
        out: &mut Vec<Output>,
    ) -> Result<(), CloseReason> {
        let mut partial = self.partial.take().ok_or(DecodeError::UnexpectedBinary)?;
        partial.add(data, &rules.limits)?;
        if !partial.is_complete() {
            self.partial = Some(partial);
            return Ok(());
        }
        // The server may have taken the client out meanwhile.
        if self.member(partial.namespace(), true).is_none() {
            return Err(CloseReason::InvalidState);
        }
        out.push(partial.complete());
        Ok(())
    }
}

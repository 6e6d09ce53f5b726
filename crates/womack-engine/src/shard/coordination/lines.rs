//! Clients that speak JSON lines.

use womack_proto::{
    Frame, NamespaceId,
    lines::{self, NotARequest, Request, Verb},
};

use crate::{
    encoding::Dialect,
    namespace::{
        JoinAcknowledged,
        join::{JoinAnswer, JoinReply, JoinTexts},
        problem::Problem,
        requests::ChannelLimits,
    },
    shard::{Shard, connections::rate_limit::Work},
    sid::ConnectionId,
};

impl Shard {
    /// Tells a client that has just connected its session id.
    pub(in crate::shard) fn greet_with_line(&mut self, id: ConnectionId, namespace: NamespaceId) {
        let Some(connection) = self.connections.get(id) else {
            return;
        };
        let line = lines::session(&self.client_id(id, connection, namespace));
        self.send_line(id, &line);
    }

    /// A client has sent a line; `None` if it was something else.
    pub(in crate::shard) fn line(
        &mut self,
        id: ConnectionId,
        namespace: NamespaceId,
        line: Option<&str>,
    ) {
        self.context.metrics.clients.events.inc();
        let decoded = line.map_or(Err(NotARequest { id: None }), Request::decode);
        let (done, request) = match &decoded {
            Ok(request) => (self.line_request(id, namespace, request), request.id),
            Err(refused) => (Err(Problem::NotALine), refused.id),
        };
        if let Err(problem) = done {
            if let Some(limit) = problem.limit() {
                self.context.metrics.limit(limit);
            }
            let line = lines::refused(problem.code(), &problem.to_string(), request);
            self.send_line(id, &line);
        }
    }

    fn line_request(
        &mut self,
        id: ConnectionId,
        namespace: NamespaceId,
        request: &Request<'_>,
    ) -> Result<(), Problem> {
        let limits = ChannelLimits::of(&self.context.config.limits.load());
        let channels = limits.channels(&request.channels)?;
        if !self.keeps_pace(id, Work::Channels(channels.len())) {
            return Ok(());
        }
        match request.verb {
            Verb::Subscribe => {
                limits.admit(&channels, &self.channels_of(id, namespace))?;
                let join = JoinAcknowledged {
                    channels,
                    dialect: Dialect::Events,
                    answer: JoinAnswer {
                        reply: JoinReply::Line(request.id.map(ToOwned::to_owned)),
                        texts: JoinTexts::Stock,
                    },
                };
                self.join_acknowledged(id, namespace, join);
            }
            Verb::Unsubscribe => {
                for channel in &channels {
                    self.leave(id, namespace, channel);
                }
                self.send_line(id, &request.done());
            }
        }
        Ok(())
    }

    pub(in crate::shard) fn send_line(&mut self, id: ConnectionId, line: &str) {
        self.send(id, Frame::text(&[line.as_bytes()]).as_bytes());
    }
}

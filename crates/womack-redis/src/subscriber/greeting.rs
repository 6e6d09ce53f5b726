//! The beginning of a connection: version of the protocol, login, and a server that serves.

use std::io;

use tokio::time::timeout;

use super::{context::Context, socket::Socket};
use crate::{
    clock,
    connect::{Address, REPLY_TIMEOUT, Unreachable},
    error_class::{ErrorClass, is_busy},
    identity::{IdentityCheck, InfoAnswer, Verdict},
    resp::Reply,
};

/// A connection that has logged in and has asked for nothing yet.
pub(super) struct Greeted {
    pub(super) server: Address,
    pub(super) socket: Socket,
    /// Whether commands other than subscriptions may be sent.
    pub(super) speaks_resp3: bool,
}

impl Greeted {
    /// Connects to `server` and logs in.
    pub(super) async fn open(context: &Context, server: &Address) -> Result<Self, Unreachable> {
        let mut greeted = Self {
            server: server.clone(),
            socket: Socket::new(context.backend.open(server).await?),
            speaks_resp3: true,
        };
        let greeting = timeout(REPLY_TIMEOUT, greeted.greet(context)).await;
        greeting.map_err(|_| Unreachable::Late(server.clone()))??;
        Ok(greeted)
    }

    /// Asks for the third version of the protocol, in which a subscriber may send any command, and
    /// makes do with the second.
    async fn greet(&mut self, context: &Context) -> Result<(), Unreachable> {
        let login = context.backend.login();
        let user = login.user.as_deref().unwrap_or("default");
        let password = login.password.as_deref();
        let auth = password.map(|password| ["AUTH", user, password]);
        let arguments = ["3"].into_iter().chain(auth.into_iter().flatten());
        self.socket.command("HELLO", arguments);
        match self.reply().await? {
            Reply::Refused(reason) if is_login_error(&reason) => Err(self.refused(reason)),
            Reply::Refused(_) => {
                self.speaks_resp3 = false;
                self.greet_resp2(login.user.as_deref(), password).await
            }
            _ => {
                self.ping().await?;
                self.check_identity().await
            }
        }
    }

    /// Nothing that is published elsewhere would come from a replica that does not reach its
    /// master, so it is not subscribed at.
    async fn check_identity(&mut self) -> Result<(), Unreachable> {
        self.socket.command("INFO", ["replication"].into_iter());
        let Reply::Text(text) = self.reply().await? else {
            // The check of each second says that it is not verified.
            return Ok(());
        };
        let (mut check, answer) = (IdentityCheck::default(), InfoAnswer::Text(&text));
        match check.handle_answer(answer, clock::now()) {
            Verdict::Changed { reason, .. } => {
                Err(Unreachable::WrongServer(self.server.clone(), reason))
            }
            _ => Ok(()),
        }
    }

    async fn greet_resp2(
        &mut self,
        user: Option<&str>,
        password: Option<&str>,
    ) -> Result<(), Unreachable> {
        if let Some(password) = password {
            let names = user.into_iter().chain([password]);
            self.socket.command("AUTH", names);
            if let Reply::Refused(reason) = self.reply().await? {
                return Err(self.refused(reason));
            }
        }
        self.ping().await
    }

    /// Asks for what every Redis answers, though not to a client that has still to log in.
    async fn ping(&mut self) -> Result<(), Unreachable> {
        self.socket.command("PING", [].into_iter());
        match self.reply().await? {
            Reply::Refused(reason) if is_away(&reason) => Err(self.refused(reason)),
            _ => Ok(()),
        }
    }

    async fn reply(&mut self) -> Result<Reply, Unreachable> {
        let failed = |error| Unreachable::Io(self.server.clone(), error);
        loop {
            // Nothing is subscribed yet, so that no message comes.
            match self.socket.reply(0) {
                Ok(Some(reply)) => return Ok(reply),
                Ok(None) => {}
                Err(_) => return Err(Unreachable::NotRedis(self.server.clone())),
            }
            if self.socket.turn(true).await.map_err(failed)? == 0 {
                return Err(failed(io::ErrorKind::UnexpectedEof.into()));
            }
        }
    }

    fn refused(&self, reason: String) -> Unreachable {
        Unreachable::Refused(self.server.clone(), reason)
    }
}

/// Whether an error says that the server cannot serve now, though not that it is only busy.
fn is_away(reason: &str) -> bool {
    ErrorClass::of_text(reason) == ErrorClass::LinkLost && !is_busy(reason)
}

/// Whether an error says that this is not the right password.
fn is_login_error(reason: &str) -> bool {
    let code = reason.split(' ').next();
    matches!(code, Some("WRONGPASS" | "NOAUTH"))
}

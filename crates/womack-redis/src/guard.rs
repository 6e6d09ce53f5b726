//! Checks the identity of the server behind a connection for commands, as long as it lasts.

use std::{
    pin::Pin,
    time::{Duration, Instant},
};

use redis::{ErrorKind, RedisError, RedisResult, aio::MultiplexedConnection, cmd};
use tokio::time::{MissedTickBehavior, interval_at, timeout};

use crate::{
    connect::{Address, Backend, Connected},
    identity::{IdentityCheck, InfoAnswer, Verdict},
};

/// Time between two questions for the identity: a demoted master is noticed so late at most.
pub(crate) const IDENTITY_INTERVAL: Duration = Duration::from_secs(1);
/// Time for an answer. A server that takes longer is as good as lost.
const IDENTITY_TIMEOUT: Duration = Duration::from_secs(5);

/// Resolves when the server behind a connection is another than it was, or does not answer.
pub type Guard = Pin<Box<dyn Future<Output = RedisError> + Send>>;

/// Watches over a connection of a kind of link, such as `relay`, from its first answer on.
///
/// # Errors
/// There is no answer in time, or the server is a replica that does not reach its master.
pub async fn guard(
    backend: &Backend,
    link: &'static str,
    connected: &Connected,
) -> RedisResult<Guard> {
    let unverified = backend.unverified.clone();
    let (server, mut connection) = (connected.address.clone(), connected.connection.clone());
    let mut check = IdentityCheck::default();
    let verdict = ask_identity(&mut connection, &server, &mut check).await?;
    update_health(verdict, |reason| {
        unverified.warn_once(link, &server, &reason)
    })?;
    Ok(Box::pin(async move {
        let mut questions = interval_at(
            tokio::time::Instant::now() + IDENTITY_INTERVAL,
            IDENTITY_INTERVAL,
        );
        questions.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            questions.tick().await;
            let verdict = ask_identity(&mut connection, &server, &mut check).await;
            let warn = |reason: String| unverified.warn_once(link, &server, &reason);
            if let Err(error) = verdict.and_then(|verdict| update_health(verdict, warn)) {
                return error;
            }
        }
    }))
}

/// Sees to what an answer means: `warn` is for a server that does not tell.
///
/// # Errors
/// The server is another than it was.
fn update_health(verdict: Verdict, warn: impl FnOnce(String)) -> RedisResult<()> {
    match verdict {
        Verdict::Changed { reason, .. } => return Err(changed(reason)),
        Verdict::Unverifiable(reason) => warn(reason),
        Verdict::First(_) | Verdict::Same | Verdict::Unknown => {}
    }
    Ok(())
}

/// Asks once.
///
/// # Errors
/// There is no answer in time: the connection is lost. An error that Redis answers is none here.
pub(crate) async fn ask_identity(
    connection: &mut MultiplexedConnection,
    server: &Address,
    check: &mut IdentityCheck,
) -> RedisResult<Verdict> {
    let asked = Instant::now();
    let mut info = cmd("INFO");
    info.arg("replication");
    let answer = timeout(IDENTITY_TIMEOUT, info.query_async::<String>(connection)).await;
    let late = |_| RedisError::from((ErrorKind::Io, "no answer to INFO in time"));
    let error = match answer.map_err(late)? {
        Ok(text) => {
            let answer = InfoAnswer::Text(text.as_bytes());
            return Ok(check.handle_answer(server, answer, asked));
        }
        Err(error) => error,
    };
    let Some(errors) = error.clone().into_server_errors() else {
        return Err(error);
    };
    let refusal = errors.first().map(|(_, error)| {
        let detail = error.details().unwrap_or_default();
        format!("{} {detail}", error.code())
    });
    let refusal = refusal.unwrap_or_default();
    Ok(check.handle_answer(server, InfoAnswer::Refused(&refusal), asked))
}

/// The error of a link whose server has changed.
pub(crate) fn changed(reason: String) -> RedisError {
    RedisError::from((ErrorKind::Io, "the server has changed", reason))
}

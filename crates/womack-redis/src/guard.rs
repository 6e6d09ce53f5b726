//! Checks the identity of the server behind a connection for commands, as long as it lasts.

use std::pin::Pin;

use redis::{RedisError, RedisResult};
use tokio::time::{MissedTickBehavior, interval_at};

use crate::{
    connect::{
        Address, Backend, Connected,
        ask_identity::{IDENTITY_INTERVAL, ask_identity, changed},
    },
    identity::{IdentityCheck, Verdict},
};

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
    let verdict = ask_identity(&mut connection, &mut check).await?;
    update_health(verdict, &server, |reason| {
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
            let verdict = ask_identity(&mut connection, &mut check).await;
            let warn = |reason: String| unverified.warn_once(link, &server, &reason);
            if let Err(error) = verdict.and_then(|verdict| update_health(verdict, &server, warn)) {
                return error;
            }
        }
    }))
}

/// Sees to what an answer means: `warn` is for a server that does not tell.
///
/// # Errors
/// The server is another than it was.
fn update_health(verdict: Verdict, server: &Address, warn: impl FnOnce(String)) -> RedisResult<()> {
    match verdict {
        Verdict::Changed { reason, .. } => return Err(changed(server, reason)),
        Verdict::Unverifiable(reason) => warn(reason),
        Verdict::First(_) | Verdict::Same | Verdict::Unknown => {}
    }
    Ok(())
}

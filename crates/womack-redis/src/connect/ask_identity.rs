//! Asks a server for its identity over a connection for commands.

use std::time::Duration;

use redis::{ErrorKind, RedisError, RedisResult, aio::MultiplexedConnection, cmd};
use tokio::time::timeout;

use super::Address;
use crate::{
    clock,
    identity::{IdentityCheck, InfoAnswer, Verdict},
};

/// Time between two questions for the identity: a demoted master is noticed so late at most.
pub(crate) const IDENTITY_INTERVAL: Duration = Duration::from_secs(1);
/// Time for an answer. A server that takes longer is as good as lost.
const IDENTITY_TIMEOUT: Duration = Duration::from_secs(5);

/// Asks once.
///
/// # Errors
/// There is no answer in time: the connection is lost. An error that Redis answers is none here.
pub(crate) async fn ask_identity(
    connection: &mut MultiplexedConnection,
    check: &mut IdentityCheck,
) -> RedisResult<Verdict> {
    let asked = clock::now();
    let mut info = cmd("INFO");
    info.arg("replication");
    let answer = timeout(IDENTITY_TIMEOUT, info.query_async::<String>(connection)).await;
    let late = |_| RedisError::from((ErrorKind::Io, "no answer to INFO in time"));
    let error = match answer.map_err(late)? {
        Ok(text) => {
            let answer = InfoAnswer::Text(text.as_bytes());
            return Ok(check.handle_answer(answer, asked));
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
    Ok(check.handle_answer(InfoAnswer::Refused(&refusal), asked))
}

/// The error of a link whose server has changed.
pub(crate) fn changed(server: &Address, reason: &str) -> RedisError {
    let detail = format!("redis at {server} {reason}");
    RedisError::from((ErrorKind::Io, "the server has changed", detail))
}

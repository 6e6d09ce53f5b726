//! `POST /publish`: publishing without a Redis client.

use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{ALLOW, AUTHORIZATION, CONNECTION, HeaderMap, HeaderValue, WWW_AUTHENTICATE},
};
use serde::Serialize;
use serde_json::value::RawValue;
use subtle::ConstantTimeEq;
use tokio::time::timeout;
use tracing::warn;
use womack_ledger::Limit;
use womack_proto::{
    Channel, ChannelError,
    publishers::{PublicationError, addressed},
};
use womack_redis::{Error, Publisher};

use super::{
    answers::respond,
    body::Body,
    context::Http,
    request_body::{BodyError, collect},
};

impl Http {
    /// Publishes the envelope in the body on the channels that it names.
    pub(super) async fn publish(
        &self,
        request: Request<Incoming>,
        publisher: &Publisher,
    ) -> Response<Body> {
        let done = self.try_publish(request, publisher).await;
        let result = done.as_ref().map_or_else(Problem::code, |_| "ok");
        self.server.metrics.http.publish_requested(result);
        match done {
            Ok(channels) => {
                let answer = format!(r#"{{"ok":true,"channels":{channels}}}"#);
                respond(StatusCode::OK, "application/json", answer)
            }
            Err(problem) => problem.response(),
        }
    }

    /// Returns on how many channels it published.
    async fn try_publish(
        &self,
        request: Request<Incoming>,
        publisher: &Publisher,
    ) -> Result<usize, Problem> {
        let config = &self.server.config;
        let key = config.publish_key.load();
        if !key
            .as_deref()
            .is_some_and(|key| shows(request.headers(), key))
        {
            return Err(Problem::Unauthorized);
        }
        if request.method() != Method::POST {
            return Err(Problem::Method);
        }
        let most = config.limits.load().max_message_bytes;
        let ledger = self.server.engine.memory.ledger(self.id);
        let body = collect(request.into_body(), most, ledger);
        let body = match timeout(config.handshake_timeout, body).await {
            Err(_) => {
                self.server.metrics.limit(Limit::HandshakeSeconds);
                return Err(Problem::Late);
            }
            Ok(Err(BodyError::TooLarge)) => {
                self.server.metrics.limit(Limit::MaxMessageBytes);
                return Err(Problem::TooLarge(most));
            }
            Ok(Err(BodyError::Broken)) => {
                return Err(Problem::BadRequest(PublicationError::Form));
            }
            Ok(Ok(body)) => body,
        };
        let addressed = addressed::decode(&body)?;
        if addressed.channels.len() > config.limits.load().max_channels_per_publish {
            self.server.metrics.limit(Limit::MaxChannelsPerPublish);
            return Err(Problem::TooManyChannels(
                config.limits.load().max_channels_per_publish,
            ));
        }
        for name in &addressed.channels {
            Channel::parse(name, config.limits.load().max_channel_bytes)?;
        }
        let envelope = RawValue::from_string(addressed.envelope)
            .map_err(|_| Problem::BadRequest(PublicationError::NotJson))?;
        let channels: Vec<&str> = addressed.channels.iter().map(String::as_str).collect();
        publisher.publish_envelope(&channels, &envelope).await?;
        Ok(channels.len())
    }
}

/// Whether a request shows the key, as `Authorization: Bearer <key>`. How much of it is right
/// does not show in the time that this takes.
fn shows(headers: &HeaderMap, key: &str) -> bool {
    let Some(value) = headers.get(AUTHORIZATION) else {
        return false;
    };
    let Some((scheme, shown)) = value.as_bytes().split_at_checked("Bearer ".len()) else {
        return false;
    };
    scheme.eq_ignore_ascii_case(b"Bearer ") && shown.ct_eq(key.as_bytes()).into()
}

/// Why nothing was published.
#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("Authorization: Bearer <publish key> is missing or wrong")]
    Unauthorized,
    #[error("only POST publishes")]
    Method,
    #[error("the body took too long")]
    Late,
    #[error("the body is larger than {0} bytes")]
    TooLarge(usize),
    #[error("the body is no {{\"channels\": [...], \"data\": ...}}: {0}")]
    BadRequest(#[from] PublicationError),
    #[error("{0}")]
    BadChannel(#[from] ChannelError),
    #[error("one request may name {0} channels at most")]
    TooManyChannels(usize),
    #[error("redis does not take messages")]
    Unavailable,
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        warn!(%error, "a message could not be published");
        Self::Unavailable
    }
}

impl Problem {
    /// The problem's short name, in answers and metrics.
    const fn code(&self) -> &'static str {
        match self {
            Self::Unauthorized => "unauthorized",
            Self::Method => "bad_method",
            Self::Late => "too_slow",
            Self::TooLarge(_) => "too_large",
            Self::BadRequest(_) => "bad_request",
            Self::BadChannel(_) => "bad_channel",
            Self::TooManyChannels(_) => "too_many_channels",
            Self::Unavailable => "unavailable",
        }
    }

    const fn status(&self) -> StatusCode {
        match self {
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Late => StatusCode::REQUEST_TIMEOUT,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BadRequest(_) | Self::BadChannel(_) | Self::TooManyChannels(_) => {
                StatusCode::BAD_REQUEST
            }
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn response(&self) -> Response<Body> {
        #[derive(Serialize)]
        struct Answer<'a> {
            ok: bool,
            error: &'a str,
            message: String,
        }
        let answer = serde_json::to_string(&Answer {
            ok: false,
            error: self.code(),
            message: self.to_string(),
        })
        .expect("a struct of strings and flags is always JSON");
        let mut response = respond(self.status(), "application/json", answer);
        let (name, value) = match self {
            Self::Unauthorized => (WWW_AUTHENTICATE, "Bearer"),
            Self::Method => (ALLOW, "POST"),
            // What is left of the body is not read.
            Self::Late | Self::TooLarge(_) => (CONNECTION, "close"),
            _ => return response,
        };
        let headers = response.headers_mut();
        headers.insert(name, HeaderValue::from_static(value));
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_key_opens() {
        let shown = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, value.parse().unwrap());
            shows(&headers, "secret")
        };
        assert!(shown("Bearer secret") && shown("bearer secret"));
        for value in [
            "",
            "secret",
            "Bearer",
            "Bearer ",
            "Bearer secre",
            "Bearer secrets",
        ] {
            assert!(!shown(value), "{value}");
        }
        assert!(!shows(&HeaderMap::new(), "secret"));
    }
}

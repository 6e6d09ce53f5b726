//! Asking servers over HTTP, at the address for operators.

use std::{fmt, io, str::FromStr, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{Request, StatusCode, client::conn::http1, header::HOST};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, task::spawn_local, time::timeout};

use crate::error::Error;

/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// The largest answer that is read: a hundred of the longest names of channels, and room.
const MAX_ANSWER_BYTES: usize = 64 << 20;
const DEFAULT_PORT: u16 = 80;

/// Where a server answers operators: `http://HOST[:PORT]`, or without the scheme.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct AdminUrl {
    /// As a request names it, with brackets around an address of IPv6.
    authority: String,
}

/// Why a text is no address of a server.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum AdminUrlError {
    /// It begins with another scheme.
    #[error("{0}:// is not spoken, give http://HOST:PORT")]
    Scheme(String),
    /// There is no host, or more than a host and a port.
    #[error("it is not http://HOST:PORT")]
    Address,
    /// The port after the host is none.
    #[error("the port is no number")]
    Port,
}

/// One server.
#[derive(Debug, clap::Args)]
pub(super) struct Admin {
    /// Where the server answers operators: --admin-listen, or the port of the clients
    #[arg(
        long,
        env = "WOMACK_ADMIN",
        value_name = "URL",
        default_value = "http://localhost:8111"
    )]
    pub(super) admin: AdminUrl,
}

/// One server or several.
#[derive(Debug, clap::Args)]
pub(super) struct Admins {
    /// Where a server answers operators: --admin-listen, or the port of the clients; may be given
    /// again
    #[arg(
        long,
        env = "WOMACK_ADMIN",
        value_name = "URL",
        value_delimiter = ',',
        default_value = "http://localhost:8111"
    )]
    pub(super) admin: Vec<AdminUrl>,
}

impl FromStr for AdminUrl {
    type Err = AdminUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rest = match text.split_once("://") {
            None => text,
            Some(("http", rest)) => rest,
            Some((scheme, _)) => {
                return Err(AdminUrlError::Scheme(scheme.to_owned()));
            }
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.is_empty() || authority.contains(['/', '?', '#', '@', ' ']) {
            return Err(AdminUrlError::Address);
        }
        let after_address = authority
            .rsplit_once(']')
            .map_or(authority, |(_, rest)| rest);
        let authority = match after_address.rsplit_once(':') {
            Some((_, port)) if port.parse::<u16>().is_ok() => authority.to_owned(),
            Some(_) => return Err(AdminUrlError::Port),
            None => format!("{authority}:{DEFAULT_PORT}"),
        };
        Ok(Self { authority })
    }
}

impl fmt::Display for AdminUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.authority)
    }
}

impl AdminUrl {
    /// Gets what is at `path`. Runs within a `LocalSet`.
    ///
    /// # Errors
    /// The server cannot be reached, does not answer in time, or answers what is not HTTP.
    pub(super) async fn get(&self, path: &str) -> Result<(StatusCode, Bytes), Error> {
        let failed =
            |error: &dyn fmt::Display| Error::Io(io::Error::other(format!("{self}: {error}")));
        match timeout(PATIENCE, self.exchange(path)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(failed(&error)),
            Err(_) => Err(failed(&"no answer in time")),
        }
    }

    /// Gets what is at `path` when that is an answer and no refusal.
    ///
    /// # Errors
    /// The same, and any status but 200.
    pub(super) async fn get_ok(&self, path: &str) -> Result<Bytes, Error> {
        let (status, body) = self.get(path).await?;
        if status == StatusCode::OK {
            return Ok(body);
        }
        let text = String::from_utf8_lossy(&body);
        let line = text.lines().next().unwrap_or_default();
        Err(Error::Io(io::Error::other(format!(
            "{self} answers {status}: {line}"
        ))))
    }

    async fn exchange(
        &self,
        path: &str,
    ) -> Result<(StatusCode, Bytes), Box<dyn std::error::Error + Send + Sync>> {
        let stream = TcpStream::connect(&self.authority).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // What goes wrong with it shows in the answer that does not come.
        spawn_local(connection);
        let request = Request::get(path)
            .header(HOST, &self.authority)
            .body(Empty::<Bytes>::new())?;
        let (head, body) = sender.send_request(request).await?.into_parts();
        let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await?;
        Ok((head.status, body.to_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_servers_have_a_port() {
        for (text, authority) in [
            ("http://localhost:8111", Ok("localhost:8111")),
            ("http://localhost:8111/", Ok("localhost:8111")),
            ("example.org", Ok("example.org:80")),
            ("http://[::1]:8112", Ok("[::1]:8112")),
            ("http://[::1]", Ok("[::1]:80")),
            ("https://example.org", Err("https://")),
            ("http://example.org/metrics", Err("HOST:PORT")),
            ("http://example.org:port", Err("number")),
            ("", Err("HOST:PORT")),
        ] {
            let parsed = text.parse::<AdminUrl>().map(|url| url.authority);
            match authority {
                Ok(authority) => assert_eq!(parsed.as_deref(), Ok(authority), "{text}"),
                Err(part) => {
                    let error = parsed.unwrap_err().to_string();
                    assert!(error.contains(part), "{text}: {error}");
                }
            }
        }
    }
}

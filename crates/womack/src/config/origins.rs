//! Origins of pages, as browsers write them.

use std::borrow::Cow;

use serde::Serialize;

use super::ConfigError;

/// Which pages' requests are answered across origins.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub enum CorsOrigins {
    /// Every origin.
    Any,
    /// These and no other, each as a browser writes it: `https://example.org`.
    Listed(Vec<String>),
}

impl CorsOrigins {
    /// The origins that an operator named; none stands for every origin.
    ///
    /// # Errors
    /// [`ConfigError::Origin`] for what no browser sends.
    pub(super) fn resolve(origins: Vec<String>) -> Result<Self, ConfigError> {
        if origins.is_empty() || origins.iter().any(|origin| origin == "*") {
            return Ok(Self::Any);
        }
        let listed = origins.into_iter().map(|origin| match is_origin(&origin) {
            true => Ok(normalised(&origin).into_owned()),
            false => Err(ConfigError::Origin { origin }),
        });
        listed.collect::<Result<_, _>>().map(Self::Listed)
    }

    /// Whether pages of `origin` may connect.
    pub(crate) fn allow(&self, origin: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Listed(listed) => {
                let origin = normalised(origin);
                listed.iter().any(|listed| normalised(listed) == origin)
            }
        }
    }
}

/// Whether a text is `scheme://host[:port]`. Browsers write the names of hosts in ASCII.
fn is_origin(text: &str) -> bool {
    let Some((scheme, authority)) = text.split_once("://") else {
        return false;
    };
    let is_scheme = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    let is_outside =
        |c: char| !c.is_ascii_graphic() || matches!(c, '/' | '?' | '#' | '@' | '\\' | '*');
    let (host, port) = split_port(authority);
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(is_scheme)
        && !authority.contains(is_outside)
        && !host.is_empty()
        && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

/// An origin with its scheme and its host in small letters, and without the port that the scheme
/// has anyway (RFC 6454, section 4).
fn normalised(origin: &str) -> Cow<'_, str> {
    let small = match origin.bytes().any(|byte| byte.is_ascii_uppercase()) {
        true => Cow::Owned(origin.to_ascii_lowercase()),
        false => Cow::Borrowed(origin),
    };
    let default_port = match small.split_once("://") {
        Some(("http" | "ws", _)) => ":80",
        Some(("https" | "wss", _)) => ":443",
        _ => return small,
    };
    match small.strip_suffix(default_port) {
        Some(rest) => Cow::Owned(rest.to_owned()),
        None => small,
    }
}

/// A host, which has colons of its own if it is an address of IPv6, and the port after it.
fn split_port(authority: &str) -> (&str, Option<&str>) {
    let after_address = authority.rfind(']').map_or(0, |at| at + 1);
    match authority[after_address..].split_once(':') {
        Some((rest, port)) => (&authority[..after_address + rest.len()], Some(port)),
        None => (authority, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(origin: &str) -> CorsOrigins {
        CorsOrigins::resolve(vec![origin.to_owned()]).unwrap()
    }

    #[test]
    fn the_same_origin_may_be_written_in_several_ways() {
        for (setting, origin) in [
            ("https://example.org", "https://example.org"),
            ("HTTPS://Example.ORG", "https://example.org"),
            ("https://example.org:443", "https://example.org"),
            ("https://example.org", "https://Example.org:443"),
            ("http://example.org:80", "http://example.org"),
            ("http://[::1]:80", "http://[::1]"),
            ("http://localhost:3000", "http://localhost:3000"),
            ("capacitor://localhost", "capacitor://localhost"),
        ] {
            assert!(listed(setting).allow(origin), "{setting} {origin}");
        }
    }

    #[test]
    fn other_origins_are_other_origins() {
        for (setting, origin) in [
            ("https://example.org", "http://example.org"),
            ("https://example.org", "https://example.org:80"),
            ("http://example.org:443", "http://example.org"),
            ("https://example.org", "https://example.org.evil.test"),
            (
                "https://example.org",
                "https://evil.test/https://example.org",
            ),
            ("https://example.org", "null"),
            ("https://example.org", ""),
            ("https://example.org:8443", "https://example.org"),
        ] {
            assert!(!listed(setting).allow(origin), "{setting} {origin}");
        }
    }

    #[test]
    fn what_no_browser_sends_is_no_origin() {
        for text in [
            "",
            "example.org",
            "https://",
            "https://:443",
            "https://example.org/",
            "https://user@example.org",
            "https://example.org:port",
            "https://example.org:70000",
            "https://*.example.org",
            "https://bücher.example",
            "https://example.org ",
            "null",
        ] {
            let resolved = CorsOrigins::resolve(vec![text.to_owned()]);
            assert!(resolved.is_err(), "{text:?} gave {resolved:?}");
        }
        for any in [vec![], vec!["https://a".to_owned(), "*".to_owned()]] {
            assert_eq!(CorsOrigins::resolve(any).unwrap(), CorsOrigins::Any);
        }
    }
}

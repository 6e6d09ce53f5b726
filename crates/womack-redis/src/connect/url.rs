//! What a URL says of a Redis.
//!
//! ```text
//! redis://[user:password@]host[:port][/db]                    rediss:// with TLS
//! unix:///path[?db=N&user=USER&pass=PASSWORD]
//! redis+sentinel://[user:password@]host[:port],…/service[/db]  rediss+sentinel://
//! redis+cluster://[user:password@]host[:port],…                rediss+cluster://
//! ```

use std::{borrow::Cow, path::PathBuf, sync::Arc};

use percent_encoding::percent_decode_str;

use super::{Address, Backend, Kind, Login, TlsFiles};
use crate::{error::UrlError, identity::UnverifiedLinks};

const REDIS_PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26_379;

/// The beginning of a URL.
enum Scheme {
    Unix,
    Tcp { servers: Servers, is_tls: bool },
}

/// How the hosts of a URL belong together.
enum Servers {
    One,
    Sentinels,
    Cluster,
}

impl Scheme {
    fn parse(text: &str) -> Result<Self, UrlError> {
        let tcp = |servers, is_tls| Ok(Self::Tcp { servers, is_tls });
        match text {
            "redis" => tcp(Servers::One, false),
            "rediss" => tcp(Servers::One, true),
            "unix" | "redis+unix" => Ok(Self::Unix),
            "redis+sentinel" => tcp(Servers::Sentinels, false),
            "rediss+sentinel" => tcp(Servers::Sentinels, true),
            "redis+cluster" => tcp(Servers::Cluster, false),
            "rediss+cluster" => tcp(Servers::Cluster, true),
            _ => Err(UrlError::Scheme(text.to_owned())),
        }
    }
}

impl Backend {
    /// Reads a URL; `files` are for TLS.
    ///
    /// # Errors
    /// The URL names no Redis.
    pub fn parse(url: &str, files: &TlsFiles) -> Result<Self, UrlError> {
        Self::read(url, files).map_err(|error| match may_be_shown(url) {
            true => error,
            false => error.without_parts(),
        })
    }

    fn read(url: &str, files: &TlsFiles) -> Result<Self, UrlError> {
        let (name, rest) = url.split_once("://").unwrap_or(("", url));
        let scheme = Scheme::parse(name)?;
        let is_tls = matches!(scheme, Scheme::Tcp { is_tls: true, .. });
        if files.is_set() && !is_tls {
            return Err(UrlError::WithoutTls(name.to_owned()));
        }
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut query = Query::parse(query)?;
        if query.has_a_login() {
            return Err(UrlError::BareQuestionMark);
        }
        let backend = match scheme {
            Scheme::Unix => Self::unix(rest, &mut query)?,
            Scheme::Tcp { servers, .. } => Self::tcp(&servers, rest, &mut query)?,
        };
        query.end()?;
        Ok(Self {
            tls: is_tls.then(|| Arc::new(files.clone())),
            ..backend
        })
    }

    fn tcp(servers: &Servers, rest: &str, query: &mut Query) -> Result<Self, UrlError> {
        let (login, rest) = match rest.rsplit_once('@') {
            Some((login, rest)) => (self::login(login)?, rest),
            None => (Login::default(), rest),
        };
        let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
        let default_port = match servers {
            Servers::Sentinels => SENTINEL_PORT,
            Servers::One | Servers::Cluster => REDIS_PORT,
        };
        let addresses = hosts.split(',').map(|host| address(host, default_port));
        let mut addresses: Vec<_> = addresses.collect::<Result<_, _>>()?;
        let mut sentinel_login = Login::default();
        let (kind, db) = match servers {
            Servers::Sentinels => {
                let (service, db) = path.split_once('/').unwrap_or((path, ""));
                if service.is_empty() {
                    return Err(UrlError::NoService);
                }
                sentinel_login.user = query.take("sentinel-user");
                sentinel_login.password = query.take("sentinel-password");
                let service = decoded(service)?;
                let sentinels = addresses;
                (Kind::Sentinel { sentinels, service }, db)
            }
            Servers::Cluster => (Kind::Cluster(addresses), path),
            Servers::One => match (addresses.pop(), addresses.is_empty()) {
                (Some(address), true) => (Kind::One(address), path),
                _ => return Err(UrlError::SeveralHosts),
            },
        };
        // Written for the redis package, which chose between versions of the protocol.
        query.take("protocol");
        let db = self::db(db)?;
        if matches!(kind, Kind::Cluster(_)) && db != 0 {
            return Err(UrlError::ClusterDatabase);
        }
        Ok(Self {
            kind,
            login,
            sentinel_login,
            db,
            tls: None,
            unverified: UnverifiedLinks::default(),
            #[cfg(feature = "simulation")]
            connector: None,
        })
    }

    fn unix(path: &str, query: &mut Query) -> Result<Self, UrlError> {
        if path.is_empty() {
            return Err(UrlError::NoPath);
        }
        Ok(Self {
            kind: Kind::One(Address::Unix(PathBuf::from(decoded(path)?))),
            login: Login {
                user: query.take("user"),
                password: query.take("pass"),
            },
            sentinel_login: Login::default(),
            db: db(&query.take("db").unwrap_or_default())?,
            tls: None,
            unverified: UnverifiedLinks::default(),
            #[cfg(feature = "simulation")]
            connector: None,
        })
    }
}

/// Whether no part of a URL can be one of a password: one whose special characters are not encoded
/// ends sooner or later than it should.
fn may_be_shown(url: &str) -> bool {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    !scheme.contains([':', '@'])
        && place.matches('@').count() <= 1
        && !query.contains('@')
        && !query.contains("pass")
}

fn login(text: &str) -> Result<Login, UrlError> {
    let (user, password) = text.split_once(':').unwrap_or((text, ""));
    let part = |text: &str| match text {
        "" => Ok(None),
        text => decoded(text).map(Some),
    };
    Ok(Login {
        user: part(user)?,
        password: part(password)?,
    })
}

fn address(text: &str, default_port: u16) -> Result<Address, UrlError> {
    // An IPv6 address has colons of its own, and brackets around it.
    let bracketed = text.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let (host, port) = match bracketed {
        Some((host, rest)) => (host, rest.strip_prefix(':').unwrap_or(rest)),
        None => text.split_once(':').unwrap_or((text, "")),
    };
    // What follows the colon is a password, if its @ and the host were forgotten.
    let malformed = || UrlError::Host(host.to_owned());
    let port = match port {
        "" => default_port,
        port => port.parse().map_err(|_| malformed())?,
    };
    match host {
        "" => Err(malformed()),
        host => Ok(Address::Tcp {
            host: decoded(host)?,
            port,
        }),
    }
}

fn db(text: &str) -> Result<i64, UrlError> {
    match text {
        "" => Ok(0),
        text => match text.parse() {
            Ok(db) if db >= 0 => Ok(db),
            _ => Err(UrlError::Database(text.to_owned())),
        },
    }
}

fn decoded(text: &str) -> Result<String, UrlError> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map(Cow::into_owned).map_err(|_| UrlError::NotUtf8)
}

/// What stands after the question mark and was not taken yet.
struct Query(Vec<(String, String)>);

impl Query {
    fn parse(text: &str) -> Result<Self, UrlError> {
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        let pairs = pairs.map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decoded(name)?, decoded(value)?))
        });
        pairs.collect::<Result<_, UrlError>>().map(Self)
    }

    /// Whether the `@` that ends a login stands here: a question mark in a password begins what is
    /// no query.
    fn has_a_login(&self) -> bool {
        let is_login = |name: &str| {
            matches!(
                name,
                "user" | "pass" | "sentinel-user" | "sentinel-password"
            )
        };
        let mut others = self.0.iter().filter(|(name, _)| !is_login(name));
        others.any(|(name, value)| name.contains('@') || value.contains('@'))
    }

    fn take(&mut self, name: &str) -> Option<String> {
        let at = self.0.iter().position(|(found, _)| found == name)?;
        Some(self.0.swap_remove(at).1)
    }

    fn end(self) -> Result<(), UrlError> {
        match self.0.first() {
            Some((name, _)) => Err(UrlError::Parameter(name.clone())),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Backend, UrlError> {
        Backend::parse(url, &TlsFiles::default())
    }

    fn tcp(host: &str, port: u16) -> Address {
        Address::Tcp {
            host: host.to_owned(),
            port,
        }
    }

    #[test]
    fn every_form_is_understood() {
        let one = |host, port| Kind::One(tcp(host, port));
        for (url, kind, db, is_tls) in [
            ("redis://a", one("a", 6379), 0, false),
            ("redis://u:p%40@a:1/2", one("a", 1), 2, false),
            ("redis://[::1]:7", one("::1", 7), 0, false),
            ("redis://a/?protocol=resp3", one("a", 6379), 0, false),
            ("rediss://a/3", one("a", 6379), 3, true),
            (
                "unix:///run/r%20s.sock?db=4&pass=x",
                Kind::One(Address::Unix("/run/r s.sock".into())),
                4,
                false,
            ),
            (
                "redis+sentinel://a,b:1/main/5",
                Kind::Sentinel {
                    sentinels: vec![tcp("a", 26_379), tcp("b", 1)],
                    service: "main".to_owned(),
                },
                5,
                false,
            ),
            (
                "rediss+cluster://a,b:1",
                Kind::Cluster(vec![tcp("a", 6379), tcp("b", 1)]),
                0,
                true,
            ),
        ] {
            let backend = parse(url).unwrap();
            assert_eq!(backend.kind, kind, "{url}");
            assert_eq!((backend.db, backend.tls.is_some()), (db, is_tls), "{url}");
        }
    }

    #[test]
    fn logins_may_have_any_character() {
        let login = |user: Option<&str>, password: Option<&str>| Login {
            user: user.map(str::to_owned),
            password: password.map(str::to_owned),
        };
        for (url, expected) in [
            ("redis://a", login(None, None)),
            ("redis://:p%3A%2F@a", login(None, Some("p:/"))),
            ("redis://u:p@q@a", login(Some("u"), Some("p@q"))),
            ("unix:///s?user=u&pass=p%26", login(Some("u"), Some("p&"))),
        ] {
            assert_eq!(*parse(url).unwrap().login(), expected, "{url}");
        }
        let url = "redis+sentinel://u:p@a/s?sentinel-password=q";
        let backend = parse(url).unwrap();
        assert_eq!(*backend.login(), login(Some("u"), Some("p")));
        assert_eq!(backend.sentinel_login, login(None, Some("q")));
        assert!(!format!("{backend:?}").contains('q'));
    }

    #[test]
    fn no_part_of_a_password_is_told() {
        for url in [
            "redis://u:hush?hush@a",
            "redis://:hush?hush@a:1/2",
            "redis://:hush@hush?hush@a",
            "redis://:hush@hush?protocol=hush@a",
            "redis://:hush@hush:hush@a:x",
            "redis://:hush/hush@a:x",
            "redis://:hush#hush@a:x",
            "redis://:hush?hush/hush#hush@a:x",
            "redis://u:hush",
            "redis://:hush",
            "redis://u:hush/3",
            "redis://[u:hush]@a:x",
            "rediss://u:hush?a=hush&hush@a",
            "redis+cluster://u:hush?hush@a,b",
            "redis+sentinel://u:hush?hush@a,b/main",
            "redis+sentinel://a/main?sentinel-password=hush&hush",
            "redis+sentinel://a/main/x?sentinel-password=hush&hush",
            "unix:///s?pass=hush&hush",
            "unix:///s?pass=hush&db=hush",
            "hush@a",
            "u:hush@a://b",
        ] {
            let error = parse(url).unwrap_err().to_string();
            assert!(!error.contains("hush"), "{url}: {error}");
        }
        let named = parse("redis://u:a?b@c").unwrap_err().to_string();
        assert!(named.contains("%3F"), "{named}");
        // Only a question mark needs to be encoded.
        for password in ["a#b", "a@b", "a/b", "a:b"] {
            let backend = parse(&format!("redis://u:{password}@c")).unwrap();
            assert_eq!(backend.login().password.as_deref(), Some(password));
        }
    }

    #[test]
    fn mistakes_are_named() {
        for (url, part) in [
            ("a:6379", "scheme"),
            ("http://a", "scheme"),
            ("redis://", "HOST"),
            ("redis://a:x", "HOST"),
            ("redis://a,b", "redis+sentinel"),
            ("redis://a/x", "database"),
            ("redis://a/-1", "database"),
            ("redis://a?x=1", "parameter"),
            ("unix://", "path"),
            ("redis+sentinel://a", "service"),
            ("redis+cluster://a/1", "database"),
        ] {
            let error = parse(url).unwrap_err().to_string();
            assert!(error.contains(part), "{url}: {error}");
        }
        let files = TlsFiles {
            ca: Some("ca.pem".into()),
            ..TlsFiles::default()
        };
        assert!(Backend::parse("redis://a", &files).is_err());
        assert!(Backend::parse("rediss://a", &files).is_ok());
    }
}

//! Requests from programs on this machine, which may know what operators know.
//!
//! Without `--admin-listen` the paths for operators are on the port of the clients. A loopback
//! peer alone proves nothing there: it may be a proxy that speaks for a stranger, or a browser in
//! which the page of a stranger has had its own name resolved to 127.0.0.1. What a request says of
//! itself shows the one and the other, but for a proxy on this machine that leaves no mark and a
//! client that lies to it; operators behind proxies are told to use `--admin-listen`.

use std::net::IpAddr;

use hyper::{
    HeaderMap, Request, Version,
    header::{HOST, HeaderName},
};

/// Headers that proxies, load balancers and content delivery networks add, as far as they do not
/// begin as one of [`FORWARDING_PREFIXES`].
const FORWARDING_HEADERS: [&str; 23] = [
    "ali-cdn-real-ip",
    "cdn-loop",
    "cdn-src-ip",
    "client-ip",
    "fly-client-ip",
    "forwarded",
    "forwarded-for",
    "max-forwards",
    "proxy-client-ip",
    "remote-addr",
    "true-client-ip",
    "via",
    "wl-proxy-client-ip",
    "x-amz-cf-id",
    "x-amzn-trace-id",
    "x-client-ip",
    "x-cloud-trace-context",
    "x-cluster-client-ip",
    "x-host",
    "x-real-ip",
    "x-remote-addr",
    "x-remote-ip",
    "x-request-id",
];

/// Beginnings of further ones: `X-Forwarded-For`, `CF-Connecting-IP`, `Fastly-Client-IP` and so on.
const FORWARDING_PREFIXES: [&str; 13] = [
    "cf-",
    "cloudfront-",
    "fastly-",
    "fly-forwarded-",
    "x-appengine-",
    "x-arr-",
    "x-azure-",
    "x-envoy-",
    "x-forwarded",
    "x-original-",
    "x-proxy",
    "x-varnish",
    "x-vercel-",
];

/// Whether a proxy has left its mark on a request.
pub(super) fn is_forwarded(headers: &HeaderMap) -> bool {
    headers.keys().map(HeaderName::as_str).any(|name| {
        let mut prefixes = FORWARDING_PREFIXES.iter();
        FORWARDING_HEADERS.contains(&name) || prefixes.any(|prefix| name.starts_with(prefix))
    })
}

/// Whether a request comes from a program on this machine that speaks for itself. `peer` is the
/// address that a connection comes from, if no proxy has announced another one.
///
/// nginx as it comes names its upstream as the host, which is a loopback name if the server is on
/// its machine, and adds nothing; but it speaks HTTP/1.0, which programs of today do not.
pub(super) fn is_local<B>(request: &Request<B>, peer: Option<IpAddr>) -> bool {
    let is_loopback = |peer: IpAddr| peer.to_canonical().is_loopback();
    peer.is_some_and(is_loopback)
        && request.version() == Version::HTTP_11
        && !is_forwarded(request.headers())
        && names_loopback(request)
}

/// Whether everything that says for whom a request is names this machine.
fn names_loopback<B>(request: &Request<B>) -> bool {
    let target = request.uri().authority();
    let mut hosts = request.headers().get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return false;
    };
    target.is_none_or(|target| is_loopback_host(target.as_str()))
        && host.to_str().is_ok_and(is_loopback_host)
}

/// Whether `host`, with or without a port, is `localhost`, in 127.0.0.0/8 or `[::1]`.
fn is_loopback_host(host: &str) -> bool {
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    if let Some(rest) = host.strip_prefix('[') {
        let Some((address, port)) = rest.split_once(']') else {
            return false;
        };
        let address = address.parse::<std::net::Ipv6Addr>();
        let is_loopback = address.is_ok_and(|address| address.to_canonical().is_loopback());
        return is_loopback && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port));
    }
    let (name, port) = host.split_once(':').unwrap_or((host, ""));
    let is_loopback = name.eq_ignore_ascii_case("localhost")
        || name
            .parse::<std::net::Ipv4Addr>()
            .is_ok_and(|address| address.is_loopback());
    is_loopback && is_port(port)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(headers: &[(&str, &str)]) -> Request<()> {
        let mut request = Request::builder().uri("/stats");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap()
    }

    fn is_local_with(headers: &[(&str, &str)]) -> bool {
        is_local(&request(headers), Some("127.0.0.1".parse().unwrap()))
    }

    #[test]
    fn programs_of_this_machine_are_local() {
        let hosts = [
            "localhost",
            "LOCALHOST:8111",
            "127.0.0.1",
            "127.0.0.1:8111",
            "127.8.9.10:1",
            "[::1]",
            "[::1]:8111",
            "[::ffff:127.0.0.1]:8111",
        ];
        for host in hosts {
            assert!(is_local_with(&[("host", host)]), "{host}");
        }
        let request = request(&[("host", "localhost")]);
        for peer in ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"] {
            assert!(is_local(&request, Some(peer.parse().unwrap())), "{peer}");
        }
        for peer in ["192.0.2.1", "10.0.0.1", "2001:db8::1", "::ffff:10.0.0.1"] {
            assert!(!is_local(&request, Some(peer.parse().unwrap())), "{peer}");
        }
        assert!(!is_local(&request, None), "announced by a proxy");
    }

    #[test]
    fn foreign_hosts_are_not_local() {
        let hosts = [
            "example.org",
            "localhost.example.org",
            "127.0.0.1.example.org:8111",
            "example.org:127",
            "128.0.0.1",
            "10.0.0.1:8111",
            "0.0.0.0:8111",
            "2130706433",
            "localhost@example.org",
            "localhost:80@example.org",
            "localhost, example.org",
            "[2001:db8::1]",
            "[::1]example.org",
            "[::1]:x",
            "[::1",
            "::1",
            "",
        ];
        for host in hosts {
            assert!(!is_local_with(&[("host", host)]), "{host:?}");
        }
        assert!(!is_local_with(&[]), "no host");
        let both = [("host", "localhost"), ("host", "example.org")];
        assert!(!is_local_with(&both), "two hosts");
        let mut absolute = request(&[("host", "localhost")]);
        for (target, expected) in [
            ("http://example.org/stats", false),
            ("http://localhost:8111/stats", true),
        ] {
            *absolute.uri_mut() = target.parse().unwrap();
            let peer = Some("127.0.0.1".parse().unwrap());
            assert_eq!(is_local(&absolute, peer), expected, "{target}");
        }
    }

    #[test]
    fn marks_of_proxies_are_not_local() {
        let headers = [
            "Forwarded",
            "X-Forwarded-For",
            "X-Forwarded-Host",
            "X-Forwarded-Proto",
            "X-Real-IP",
            "CF-Connecting-IP",
            "CF-Ray",
            "True-Client-IP",
            "Via",
            "X-Client-IP",
            "Fastly-Client-IP",
            "X-Cluster-Client-IP",
            "X-Original-Forwarded-For",
            "X-Envoy-External-Address",
            "X-Azure-ClientIP",
            "CDN-Loop",
        ];
        for header in headers {
            let headers = [("host", "localhost"), (header, "192.0.2.1")];
            assert!(!is_local_with(&headers), "{header}");
        }
        let mut request = request(&[("host", "127.0.0.1:8111")]);
        *request.version_mut() = Version::HTTP_10;
        assert!(!is_local(&request, Some("127.0.0.1".parse().unwrap())));
    }

    #[test]
    fn headers_of_browsers_and_of_programs_are_local() {
        let headers = [
            "accept",
            "accept-encoding",
            "accept-language",
            "cache-control",
            "connection",
            "cookie",
            "dnt",
            "priority",
            "referer",
            "sec-ch-ua",
            "sec-fetch-site",
            "upgrade-insecure-requests",
            "user-agent",
        ];
        for header in headers {
            assert!(
                is_local_with(&[("host", "localhost:8111"), (header, "x")]),
                "{header}"
            );
        }
    }
}

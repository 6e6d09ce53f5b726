//! Whose request it is, where proxies stand between the client and the server.
//!
//! What a proxy says of a client is believed of a trusted proxy only: in the PROXY protocol, which
//! begins a connection (<https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt>), and in
//! `X-Forwarded-For`, to which each proxy adds whom it got the request from.

use std::{io, net::IpAddr, time::Duration};

use hyper::{HeaderMap, header::HeaderName};
use ipnet::IpNet;
use proxy_header::{Error, ParseConfig, ProxyHeader};
use tokio::{io::AsyncReadExt, net::TcpStream, time::timeout};

use crate::config::Config;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Bytes of a header: the addresses, and what a proxy may have to say beyond them.
const MAX_HEADER_BYTES: usize = 2048;

/// The client of a request, which every request to an endpoint carries as an extension.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct ClientAddress(pub(crate) IpAddr);

impl ClientAddress {
    /// Who sent a request with `headers` over a connection from `peer`: the last address that no
    /// trusted proxy vouches for.
    pub(super) fn of(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> Self {
        let mut client = peer;
        let lines = headers.get_all(FORWARDED_FOR).iter().rev();
        let mut hops = lines.flat_map(|line| line.to_str().unwrap_or_default().rsplit(','));
        while is_trusted(client, trusted) {
            match hops.next().and_then(address) {
                Some(before) => client = before,
                None => break,
            }
        }
        Self(client)
    }
}

/// Whether connections from `from` come from a proxy that is believed whom it speaks for.
pub(super) fn is_trusted_peer(from: IpAddr, config: &Config) -> bool {
    is_trusted(from.to_canonical(), &config.nodes.trusted_proxies)
}

/// Whether connections from `from` begin with a header of the PROXY protocol.
pub(super) fn is_announced(from: IpAddr, config: &Config) -> bool {
    config.nodes.proxy_protocol && is_trusted_peer(from, config)
}

/// Who opened `stream`, which `from` did at the other end of it. Where the PROXY protocol is
/// spoken, a trusted proxy begins with a header that says so, and everyone else must not.
///
/// # Errors
/// The header is none, or takes too long.
pub(super) async fn peer(
    stream: &mut TcpStream,
    from: IpAddr,
    config: &Config,
) -> io::Result<IpAddr> {
    let from = from.to_canonical();
    if !is_announced(from, config) {
        return Ok(from);
    }
    // A proxy that speaks for itself, such as one that looks whether the server is there, names
    // nobody.
    let named = read_header(stream, config.handshake_timeout).await?;
    Ok(named.map_or(from, |address| address.to_canonical()))
}

async fn read_header(stream: &mut TcpStream, time: Duration) -> io::Result<Option<IpAddr>> {
    let config = ParseConfig {
        include_tlvs: false,
        ..ParseConfig::default()
    };
    let mut header = Vec::new();
    let reading = async {
        loop {
            // No byte beyond the header may be taken: the rest is HTTP.
            let begun = header.len();
            header.resize(MAX_HEADER_BYTES, 0);
            let seen = stream.peek(&mut header[begun..]).await?;
            header.truncate(begun + seen);
            let (named, length) = match ProxyHeader::parse(&header, config) {
                Ok((parsed, length)) => {
                    let named = parsed.proxied_address();
                    (Some(named.map(|named| named.source.ip())), length)
                }
                Err(Error::BufferTooShort) if seen > 0 && header.len() < MAX_HEADER_BYTES => {
                    (None, header.len())
                }
                Err(_) => return Err(io::ErrorKind::InvalidData.into()),
            };
            stream.read_exact(&mut header[begun..length]).await?;
            if let Some(named) = named {
                return Ok(named);
            }
        }
    };
    timeout(time, reading).await?
}

fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    trusted.iter().any(|network| network.contains(&address))
}

/// An address as proxies write it: some add the port.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
        .map_or(text, |(address, _)| address);
    let parsed = bare.parse::<IpAddr>().ok();
    let parsed = parsed.or_else(|| Some(text.parse::<std::net::SocketAddr>().ok()?.ip()));
    parsed.map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;
    use proptest::prelude::*;
    use tokio::{io::AsyncWriteExt, net::TcpListener};

    use super::*;

    const V1: &[u8] = b"PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n";
    const V2: &[u8] = b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0f\xc0\x00\x02\x01\xc6\x33\x64\x01\
        \xdc\x04\x01\xbb\x04\x00\x00";
    const LOCAL: &[u8] = b"\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00";

    fn client(peer: &str, forwarded: &[&str]) -> String {
        let trusted = ["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append(FORWARDED_FOR, HeaderValue::from_str(line).unwrap());
        }
        let client = ClientAddress::of(peer.parse().unwrap(), &headers, &trusted);
        client.0.to_string()
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        let table: [(&str, &[&str], &str); 10] = [
            ("192.0.2.1", &[], "192.0.2.1"),
            ("192.0.2.1", &["203.0.113.9"], "192.0.2.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["203.0.113.9"], "203.0.113.9"),
            // What the client claims itself stands before what the proxy adds.
            ("10.0.0.1", &["127.0.0.1, 203.0.113.9"], "203.0.113.9"),
            (
                "10.0.0.1",
                &["1.1.1.1", "203.0.113.9,10.0.0.2"],
                "203.0.113.9",
            ),
            ("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            ("fd00::1", &["[2001:db8::1]:4711"], "2001:db8::1"),
            ("10.0.0.1", &["203.0.113.9:80"], "203.0.113.9"),
            ("10.0.0.1", &["unknown"], "10.0.0.1"),
        ];
        for (peer, forwarded, expected) in table {
            assert_eq!(client(peer, forwarded), expected, "{peer} {forwarded:?}");
        }
    }

    async fn read(pieces: &[&[u8]]) -> (io::Result<Option<IpAddr>>, Vec<u8>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        let write = async {
            for piece in pieces {
                client.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
            client.shutdown().await.unwrap();
        };
        let (named, ()) = tokio::join!(read_header(&mut server, Duration::from_secs(9)), write);
        let mut rest = Vec::new();
        server.read_to_end(&mut rest).await.unwrap();
        (named, rest)
    }

    fn run<F: Future>(future: F) -> F::Output {
        let runtime = womack_engine::thread_runtime().unwrap();
        runtime.block_on(future)
    }

    #[test]
    fn headers_end_where_http_begins() {
        let named = Some("192.0.2.1".parse().unwrap());
        for (header, named) in [(V1, named), (V2, named), (LOCAL, None)] {
            for at in 0..header.len() {
                let (begin, end) = header.split_at(at);
                let whole = [begin, end, b"GET /"];
                let (read, rest) = run(read(&whole));
                assert_eq!(read.unwrap(), named, "{header:?} in two pieces at {at}");
                assert_eq!(rest, b"GET /");
            }
        }
    }

    #[test]
    fn what_is_no_header_is_refused() {
        for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"", b"PROXY ", &V2[..20]] {
            assert!(run(read(&[bytes])).0.is_err(), "{bytes:?}");
        }
        let endless = [V2[..14].to_vec(), vec![0xff; 4096]].concat();
        assert!(run(read(&[&endless])).0.is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_break_the_parser(
            begin in prop_oneof![Just(V1), Just(V2), Just(LOCAL)],
            cut in 0_usize..40,
            bytes in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            let bytes = [&begin[..cut.min(begin.len())], &bytes].concat();
            drop(ProxyHeader::parse(&bytes, ParseConfig::default()));
        }
    }
}

//! Networks as operators write them.

use std::{net::IpAddr, str::FromStr};

use ipnet::IpNet;

use crate::config::ValueError;

/// A network, `10.0.0.0/8`, or a single address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Network(pub IpNet);

impl FromStr for Network {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let alone = text.parse::<IpAddr>().map(IpNet::from);
        alone
            .or_else(|_| text.parse())
            .map(|network| Self(network.trunc()))
            .map_err(|_| ValueError::Network)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_may_be_one_address() {
        for (text, network) in [
            ("10.1.2.3/8", "10.0.0.0/8"),
            ("192.0.2.1", "192.0.2.1/32"),
            ("::1", "::1/128"),
        ] {
            assert_eq!(text.parse::<Network>().unwrap().0.to_string(), network);
        }
        for text in ["", "10.0.0.0/33", "localhost"] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }
}

//! Networks: addresses that begin with the same bits.

use std::fmt;
use std::net::IpAddr;

use serde::Deserialize;

/// All addresses that begin as this one does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

/// A text that names no network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkError(String);

impl Network {
    /// Whether an address is in it.
    pub(super) fn has(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let differing = own.to_bits() ^ other.to_bits();
                differing.leading_zeros() >= u32::from(self.bits)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let differing = own.to_bits() ^ other.to_bits();
                differing.leading_zeros() >= u32::from(self.bits)
            }
            _ => false,
        }
    }
}

impl TryFrom<String> for Network {
    type Error = NetworkError;

    fn try_from(text: String) -> Result<Self, NetworkError> {
        let (address, bits) = text.split_once('/').unwrap_or((&text, ""));
        let parsed = address.parse::<IpAddr>().ok().and_then(|address| {
            let most = if address.is_ipv4() { 32 } else { 128 };
            let bits = match bits {
                "" if !text.contains('/') => most,
                digits => digits.parse().ok().filter(|bits| *bits <= most)?,
            };
            Some(Network { address, bits })
        });
        parsed.ok_or(NetworkError(text))
    }
}

impl fmt::Display for NetworkError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "must hold addresses and networks, as in [\"127.0.0.1\", \"10.0.0.0/8\", \"fd00::/8\"], got `{}`",
            self.0
        )
    }
}

impl std::error::Error for NetworkError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_the_addresses_that_begin_alike() {
        for (network, inside, outside) in [
            ("127.0.0.1", "127.0.0.1", "127.0.0.2"),
            ("10.0.0.0/8", "10.255.1.2", "11.0.0.0"),
            ("192.0.2.128/25", "::ffff:192.0.2.200", "192.0.2.127"),
            ("0.0.0.0/0", "203.0.113.1", "::1"),
            ("fd00::/8", "fdff::1", "fe80::1"),
            ("::1", "::1", "127.0.0.1"),
            ("::/0", "2001:db8::1", "127.0.0.1"),
        ] {
            let network = Network::try_from(network.to_owned()).expect(network);
            assert!(network.has(inside.parse().expect(inside)), "{inside}");
            assert!(!network.has(outside.parse().expect(outside)), "{outside}");
        }
    }

    #[test]
    fn what_is_no_network_is_named() {
        for text in [
            "",
            "10",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/",
            "10.0.0.0/-1",
            "10.0.0.0/8/8",
            "a.test",
            "10.0.0.1:80",
        ] {
            let error = Network::try_from(text.to_owned())
                .expect_err(text)
                .to_string();
            assert!(error.ends_with(&format!("got `{text}`")), "{error}");
        }
    }
}

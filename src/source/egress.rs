//! Which network addresses a connection may go to. Judged after DNS, and on the very addresses that are then connected to, because a name
//! that answers with a public address once may answer with a private one a moment later.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;

use reqwest::dns::Addrs;
use reqwest::dns::Name;
use reqwest::dns::Resolve;
use reqwest::dns::Resolving;
use url::Host;
use url::Url;

use crate::dns::Resolver;

/// Which addresses a client may connect to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EgressPolicy {
    /// Public addresses only.
    Public,
    /// Private networks and this machine as well, but never link-local, metadata services, multicast or reserved ranges.
    Private,
    /// Everywhere: for what the operator's configuration names itself.
    Anywhere,
}

impl EgressPolicy {
    fn allows(self, address: IpAddr) -> bool {
        match (self, address_class(address)) {
            (EgressPolicy::Anywhere, _)
            | (_, AddressClass::Public)
            | (EgressPolicy::Private, AddressClass::Private) => true,
            (EgressPolicy::Public, AddressClass::Private) | (_, AddressClass::Special) => false,
        }
    }

    /// Judges a URL whose host is written as an address: such a host never passes through a resolver.
    pub(super) fn check_literal(self, url: &Url) -> Result<(), AddressDenial> {
        let address = match url.host() {
            Some(Host::Ipv4(address)) => IpAddr::V4(address),
            Some(Host::Ipv6(address)) => IpAddr::V6(address),
            Some(Host::Domain(_)) | None => return Ok(()),
        };
        if self.allows(address) {
            Ok(())
        } else {
            Err(AddressDenial)
        }
    }
}

/// DNS answered, but only with addresses that the policy does not allow.
#[derive(Debug)]
pub(super) struct AddressDenial;

impl fmt::Display for AddressDenial {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("the address is private or reserved")
    }
}

impl Error for AddressDenial {}

/// DNS has no answer.
#[derive(Debug)]
pub(super) struct DnsError(io::Error);

impl fmt::Display for DnsError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "the name cannot be resolved: {}", self.0)
    }
}

impl Error for DnsError {}

/// The system's resolver, of whose answers only those that the policy allows are passed on.
#[derive(Clone)]
pub(super) struct EgressResolver {
    egress: EgressPolicy,
    system: Resolver,
}

impl EgressResolver {
    pub(super) fn new(egress: EgressPolicy) -> Self {
        EgressResolver {
            egress,
            system: Resolver::default(),
        }
    }
}

impl Resolve for EgressResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let EgressResolver { egress, system } = self.clone();
        Box::pin(async move {
            // The port is a placeholder; the client puts in the URL's own.
            let found = system.addresses(name.as_str()).await;
            let allowed = permitted(egress, found.map_err(DnsError)?)?;
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

fn permitted(
    egress: EgressPolicy,
    found: Vec<SocketAddr>,
) -> Result<Vec<SocketAddr>, Box<dyn Error + Send + Sync>> {
    if found.is_empty() {
        let nothing = io::Error::new(io::ErrorKind::NotFound, "no addresses");
        return Err(Box::new(DnsError(nothing)));
    }
    let allowed: Vec<SocketAddr> = found
        .into_iter()
        .filter(|address| egress.allows(address.ip()))
        .collect();
    if allowed.is_empty() {
        return Err(Box::new(AddressDenial));
    }
    Ok(allowed)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AddressClass {
    Public,
    Private,
    Special,
}

fn address_class(address: IpAddr) -> AddressClass {
    match address {
        IpAddr::V4(address) => class_v4(address),
        IpAddr::V6(address) => class_v6(address),
    }
}

fn class_v4(address: Ipv4Addr) -> AddressClass {
    match address.octets() {
        // Metadata services outside the link-local range: Alibaba, Azure's host agent. (Oracle's is within 192.0.0.0/24.)
        [100, 100, 100, 200] | [168, 63, 129, 16] => AddressClass::Special,
        // Private networks, this machine, carrier-grade NAT.
        [10 | 127, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => {
            AddressClass::Private
        }
        // "This network"; link-local, where metadata services live; protocol assignments; 6to4 relays.
        [0, ..] | [169, 254, ..] | [192, 0, 0, _] | [192, 88, 99, _] => AddressClass::Special,
        // Documentation, benchmarking.
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] | [198, 18..=19, ..] => {
            AddressClass::Special
        }
        // Multicast, reserved, broadcast.
        [224..=255, ..] => AddressClass::Special,
        _ => AddressClass::Public,
    }
}

fn class_v6(address: Ipv6Addr) -> AddressClass {
    match address.segments() {
        // IPv4-mapped, and NAT64 (the only way to an IPv4 host from an IPv6-only network): what counts is the IPv4 address within.
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            let [a, b] = high.to_be_bytes();
            let [c, d] = low.to_be_bytes();
            class_v4(Ipv4Addr::new(a, b, c, d))
        }
        [0, 0, 0, 0, 0, 0, 0, 1] => AddressClass::Private,
        // Metadata services within the unique local range: EC2 and EKS, Google.
        [0xfd00, 0x0ec2, ..] | [0xfd20, 0x00ce, ..] => AddressClass::Special,
        [0xfc00..=0xfdff, ..] => AddressClass::Private,
        // Teredo, benchmarking, ORCHID and the other protocol assignments of 2001::/23; documentation; 6to4. The tunnels wrap an IPv4
        // address, any address; no origin needs them.
        [0x2001, 0..=0x01ff, ..]
        | [0x2001, 0x0db8, ..]
        | [0x3fff, 0..=0x0fff, ..]
        | [0x2002, ..] => AddressClass::Special,
        // Global unicast; all else is unspecified, IPv4-compatible, link-local, site-local, multicast or not yet assigned.
        [0x2000..=0x3fff, ..] => AddressClass::Public,
        _ => AddressClass::Special,
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use url::Url;

    use super::AddressClass;
    use super::AddressDenial;
    use super::EgressPolicy;
    use super::address_class;
    use super::permitted;

    #[track_caller]
    fn check(address: &str, expected: AddressClass) {
        let parsed = address.parse().expect("the row holds an address");
        assert_eq!(address_class(parsed), expected, "{address}");
    }

    #[test]
    fn public_addresses() {
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "52.218.0.1",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.1",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.1",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2606:4700::1111",
            "2001:4860:4860::8888",
            "2a05:d018::1",
            "2001:200::1",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
        ] {
            check(address, AddressClass::Public);
        }
    }

    #[test]
    fn private_addresses() {
        for address in [
            "10.0.0.0",
            "10.255.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "172.16.0.0",
            "172.31.255.255",
            "192.168.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "::1",
            "fc00::1",
            "fdff::1",
            "::ffff:127.0.0.1",
            "::ffff:10.1.2.3",
            "64:ff9b::10.0.0.1",
            "64:ff9b::7f00:1",
        ] {
            check(address, AddressClass::Private);
        }
    }

    #[test]
    fn special_addresses() {
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "169.254.169.254",
            "169.254.0.1",
            "169.254.170.2",
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.192",
            "192.0.2.1",
            "192.88.99.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::7f00:1",
            "::8.8.8.8",
            "::ffff:169.254.169.254",
            "::ffff:0.0.0.0",
            "::ffff:0:10.0.0.1",
            "64:ff9b::169.254.169.254",
            "64:ff9b:1::a00:1",
            "fd00:ec2::254",
            "fd00:ec2::23",
            "fd20:ce::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "100::1",
            "2001::1",
            "2001:0:4136:e378:8000:63bf:3fff:fdd2",
            "2001:2::1",
            "2001:10::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2002:a00:1::1",
            "3fff::1",
            "5f00::1",
        ] {
            check(address, AddressClass::Special);
        }
    }

    #[test]
    fn a_literal_host_is_judged_in_every_spelling() {
        for url in [
            "http://127.0.0.1/",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://0177.0.0.1/",
            "http://127.1/",
            "http://[::1]/",
            "http://[::ffff:7f00:1]/",
            "http://169.254.169.254/",
        ] {
            let url = Url::parse(url).expect("the row holds a URL");
            assert!(EgressPolicy::Public.check_literal(&url).is_err(), "{url}");
        }
        let url = Url::parse("http://1.1.1.1/").expect("a URL");
        assert!(EgressPolicy::Public.check_literal(&url).is_ok());
    }

    #[test]
    fn opening_private_networks_does_not_open_the_metadata_service() {
        for (url, expected) in [
            ("http://10.0.0.1/", true),
            ("http://[::1]/", true),
            ("http://8.8.8.8/", true),
            ("http://169.254.169.254/", false),
            ("http://[fd00:ec2::254]/", false),
            ("http://[::ffff:169.254.169.254]/", false),
        ] {
            let url = Url::parse(url).expect("the row holds a URL");
            assert_eq!(
                EgressPolicy::Private.check_literal(&url).is_ok(),
                expected,
                "{url}"
            );
            assert!(EgressPolicy::Anywhere.check_literal(&url).is_ok(), "{url}");
        }
    }

    #[test]
    fn only_the_allowed_part_of_a_dns_answer_is_used() {
        let public: SocketAddr = "8.8.8.8:0".parse().expect("an address");
        let private: SocketAddr = "10.0.0.1:0".parse().expect("an address");
        let kept = permitted(EgressPolicy::Public, vec![private, public]).expect("one is public");
        assert_eq!(kept, [public]);
        let error = permitted(EgressPolicy::Public, vec![private]).expect_err("none is public");
        assert!(error.is::<AddressDenial>());
    }
}

//! Which network addresses a connection may go to. Addresses are checked after the DNS lookup, and the connection uses the checked addresses,
//! because a name that resolves to a public address now may resolve to a private one a moment later (DNS rebinding).

use std::error::Error;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::Host;
use url::Url;

use crate::outbound::Resolver;

/// Which addresses a client may connect to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EgressPolicy {
    /// Public addresses only.
    Public,
    /// Private networks and this machine too, but never link-local addresses, metadata services, multicast or reserved ranges.
    Private,
    /// All addresses: for the zone's origin and the buckets, which the operator names.
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

    /// The addresses that the policy allows.
    fn filter(self, found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, AddressDenial> {
        let allowed = found.into_iter();
        let allowed: Vec<SocketAddr> = allowed
            .filter(|address| self.allows(address.ip()))
            .collect();
        if allowed.is_empty() {
            return Err(AddressDenial);
        }
        Ok(allowed)
    }

    /// Checks a URL whose host is an address: such a host never passes through a resolver.
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

/// A name has addresses, and the policy allows none of them.
#[derive(Debug)]
pub(super) struct AddressDenial;

impl fmt::Display for AddressDenial {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("the address is private or reserved")
    }
}

impl Error for AddressDenial {}

/// A resolver that passes on only the addresses that its policy allows.
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
            let found = system.addresses(name.as_str()).await?;
            let allowed = egress.filter(found)?;
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// What kind of network an address belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AddressClass {
    /// The internet.
    Public,
    /// Private networks and this machine.
    Private,
    /// What nobody is to connect to: link-local addresses, metadata services, multicast and reserved ranges.
    Special,
}

impl AddressClass {
    /// That of the host of a URL, where no resolver is needed for it: the host is an address, or this machine by its name (RFC 6761, section 6.3).
    pub(crate) fn of_host(url: &Url) -> Option<Self> {
        match url.host()? {
            Host::Ipv4(address) => Some(class_v4(address)),
            Host::Ipv6(address) => Some(class_v6(address)),
            Host::Domain(name) => {
                let name = name.strip_suffix('.').unwrap_or(name);
                let is_local = name == "localhost" || name.ends_with(".localhost");
                is_local.then_some(AddressClass::Private)
            }
        }
    }
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
mod tests;

//! Whom a trusted server in front asks for: `X-Forwarded-For`, or `Forwarded` (RFC 7239).
//!
//! Each server adds the address that it was asked from at the end. So the list is read from its end, for as long as what stands there is trusted: the
//! first that is not is the client. What stands before it, anybody may have written.

use std::net::{IpAddr, Ipv6Addr};

use hyper::HeaderMap;
use hyper::header::{FORWARDED, HeaderName};

use crate::clients::config::ForwardedHeader;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The most entries that are read: more servers in front there are not.
const MAX_ENTRIES: usize = 32;

/// The address of the client. Where all of the list is trusted, its first entry; `None` where the list has no address at the place that counts.
pub(super) fn client(
    headers: &HeaderMap,
    header: ForwardedHeader,
    is_trusted: impl Fn(IpAddr) -> bool,
) -> Option<IpAddr> {
    let name = match header {
        ForwardedHeader::XForwardedFor => X_FORWARDED_FOR,
        ForwardedHeader::Forwarded => FORWARDED,
    };
    let mut last = None;
    let lines = headers.get_all(name).iter().rev();
    let entries = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
    for entry in entries.take(MAX_ENTRIES) {
        let text = std::str::from_utf8(entry).ok()?.trim();
        let node = match header {
            ForwardedHeader::XForwardedFor => text,
            ForwardedHeader::Forwarded => node(text)?,
        };
        let address = address(node)?;
        if !is_trusted(address) {
            return Some(address);
        }
        last = Some(address);
    }
    last
}

/// The value of `for` in an element of `Forwarded`, without its quotes.
fn node(element: &str) -> Option<&str> {
    let value = element.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then_some(value)
    })?;
    let value = value.trim();
    let quoted = value
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    Some(quoted.unwrap_or(value))
}

/// An address with or without a port. `unknown` and names that hide an address are none.
fn address(node: &str) -> Option<IpAddr> {
    if let Some(rest) = node.strip_prefix('[') {
        let (address, _) = rest.split_once(']')?;
        return address.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    }
    let address = match node.split_once(':') {
        // With several colons, it is IPv6 without brackets.
        Some((address, port)) if !port.contains(':') => address,
        _ => node,
    };
    address.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert, proptest};

    use super::*;

    fn headers(name: &'static str, lines: &[&str]) -> HeaderMap {
        let lines = lines.iter().map(|line| line.parse().expect("a value"));
        HeaderMap::from_iter(lines.map(|line| (HeaderName::from_static(name), line)))
    }

    fn is_trusted(address: IpAddr) -> bool {
        address.to_string().starts_with("10.")
    }

    #[track_caller]
    fn check(header: ForwardedHeader, lines: &[&str], expected: Option<&str>) {
        let name = match header {
            ForwardedHeader::XForwardedFor => "x-forwarded-for",
            ForwardedHeader::Forwarded => "forwarded",
        };
        let found = client(&headers(name, lines), header, is_trusted);
        let expected = expected.map(|text| text.parse().expect("an address"));
        assert_eq!(found, expected, "{lines:?}");
    }

    #[test]
    fn the_last_address_that_is_not_trusted_is_the_client() {
        let check =
            |lines: &[&str], expected| check(ForwardedHeader::XForwardedFor, lines, expected);
        check(&["192.0.2.1"], Some("192.0.2.1"));
        check(&["192.0.2.1, 10.0.0.2"], Some("192.0.2.1"));
        // What the client wrote itself does not count.
        check(&["203.0.113.5, 192.0.2.1, 10.0.0.2"], Some("192.0.2.1"));
        check(&["203.0.113.5", "192.0.2.1", "10.0.0.2"], Some("192.0.2.1"));
        check(&["nonsense, 192.0.2.1"], Some("192.0.2.1"));
        check(&["192.0.2.1, nonsense"], None);
        check(&["192.0.2.1, nonsense, 10.0.0.2"], None);
        check(&["10.0.0.3, 10.0.0.2"], Some("10.0.0.3"));
        check(&["2001:db8::1", "[2001:db8::2]:443"], Some("2001:db8::2"));
        check(&["192.0.2.1:5000"], Some("192.0.2.1"));
        check(&[""], None);
        check(&[], None);
        check(&["unknown"], None);
    }

    #[test]
    fn the_other_header_is_read_as_its_standard_says() {
        let check = |lines: &[&str], expected| check(ForwardedHeader::Forwarded, lines, expected);
        check(
            &["for=192.0.2.60;proto=http;by=203.0.113.43"],
            Some("192.0.2.60"),
        );
        check(
            &["For=\"[2001:db8:cafe::17]:4711\""],
            Some("2001:db8:cafe::17"),
        );
        check(&["for=192.0.2.43, for=10.0.0.2"], Some("192.0.2.43"));
        check(
            &["proto=https;for=\"192.0.2.43:47011\""],
            Some("192.0.2.43"),
        );
        check(&["for=_hidden"], None);
        check(&["for=unknown, for=10.0.0.2"], None);
        check(&["by=192.0.2.1"], None);
        check(&["192.0.2.1"], None);
        let other = headers("x-forwarded-for", &["192.0.2.1"]);
        assert_eq!(client(&other, ForwardedHeader::Forwarded, is_trusted), None);
    }

    proptest! {
        #[test]
        fn no_header_makes_the_reader_panic(line in "[ -~]{0,80}") {
            for (name, header) in [
                ("x-forwarded-for", ForwardedHeader::XForwardedFor),
                ("forwarded", ForwardedHeader::Forwarded),
            ] {
                let found = client(&headers(name, &[&line]), header, is_trusted);
                // Whatever a client writes before it, the entry of the server in front counts.
                let after = client(&headers(name, &[&line, "for=192.0.2.1"]), header, is_trusted);
                let is_found = found.is_none() || !line.is_empty();
                prop_assert!(is_found);
                if header == ForwardedHeader::Forwarded {
                    prop_assert!(after.is_some_and(|address| address.to_string() == "192.0.2.1"));
                }
            }
        }
    }
}

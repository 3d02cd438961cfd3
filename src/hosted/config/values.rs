//! Values of section `[hosted]` that are texts with rules.

use std::net::Ipv6Addr;
use std::path::PathBuf;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use url::Url;

use crate::hosted::settings::is_variant_name;
use crate::units::ByteSize;

/// The names of formats that uploads may have.
pub(super) const FORMATS: [&str; 13] = [
    "jpeg", "png", "webp", "gif", "avif", "heic", "svg", "jxl", "tiff", "bmp", "ico", "pnm", "qoi",
];
/// The longest host name (RFC 1035, section 2.3.4).
const MAX_HOST: usize = 253;

/// Reads names of formats.
pub(super) fn formats<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<String>, D::Error> {
    let is_format = |name: &str| FORMATS.contains(&name);
    let wanted = format!("some of {}", FORMATS.join(", "));
    list(input, is_format, &wanted)
}

/// Reads a text that is a segment of paths, where it must mean itself: no character of it is ever encoded.
pub(super) fn path_segment<'de, D: Deserializer<'de>>(input: D) -> Result<String, D::Error> {
    let text = String::deserialize(input)?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if text.is_empty() || matches!(text.as_str(), "." | "..") || !text.bytes().all(is_plain) {
        return Err(D::Error::custom(format_args!(
            "must be letters, digits, `-`, `_` and `.`, because it is a part of paths, got `{text}`"
        )));
    }
    Ok(text)
}

/// Reads the name of a folder.
pub(super) fn folder<'de, D: Deserializer<'de>>(input: D) -> Result<PathBuf, D::Error> {
    let folder = PathBuf::deserialize(input)?;
    if folder.as_os_str().is_empty() {
        return Err(D::Error::custom(
            "must be a folder such as \"hosted-index\", got ``",
        ));
    }
    Ok(folder)
}

/// Reads the names of variants.
pub(super) fn variants<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<String>, D::Error> {
    let wanted =
        "names of variants (letters, digits, `-` and `_`; not `original`) such as \"thumb\"";
    let names = list(input, is_variant_name, wanted)?;
    let twice = names
        .iter()
        .enumerate()
        .find(|(at, name)| names[..*at].contains(name));
    match twice {
        None => Ok(names),
        Some((_, name)) => Err(D::Error::custom(format_args!(
            "must name each variant once, got `{name}` twice"
        ))),
    }
}

/// Reads hosts as the `Host` header names them.
pub(super) fn hosts<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<String>, D::Error> {
    let wanted = "host names without scheme and path, such as \"img.example.com\" or \"img.example.com:8443\"";
    list(input, is_host, wanted)
}

/// Reads origins of pages as the `Origin` header names them, or `*`.
pub(super) fn origins<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<String>, D::Error> {
    let is_origin = |text: &str| text == "*" || origin(text).is_some();
    let wanted = "\"*\", or schemes and hosts without a path, such as \"https://example.com\"";
    let mut texts = list(input, is_origin, wanted)?;
    for text in &mut texts {
        if let Some(written) = origin(text) {
            *text = written;
        }
    }
    Ok(texts)
}

/// Reads how many bytes must arrive in each second.
pub(super) fn pace<'de, D: Deserializer<'de>>(input: D) -> Result<ByteSize, D::Error> {
    let size = ByteSize::deserialize(input)?;
    if size.bytes() == 0 {
        return Err(D::Error::custom(
            "must be more than zero, such as \"1 KiB\", got `0 B`",
        ));
    }
    Ok(size)
}

/// Reads a list of texts that are all right, or names the first one that is not.
fn list<'de, D: Deserializer<'de>>(
    input: D,
    is_right: impl Fn(&str) -> bool,
    wanted: &str,
) -> Result<Vec<String>, D::Error> {
    let texts = Vec::<String>::deserialize(input)?;
    match texts.iter().find(|text| !is_right(text)) {
        None => Ok(texts),
        Some(text) => Err(D::Error::custom(format_args!(
            "must be {wanted}, got `{text}`"
        ))),
    }
}

/// Whether a text is a name or an address, perhaps with a port.
fn is_host(text: &str) -> bool {
    let (name, port) = match text.rsplit_once(':') {
        // The last colon may belong to an IPv6 address.
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (text, None),
    };
    let is_port = |port: &str| {
        let number = port.parse::<u16>();
        number.is_ok_and(|number| number > 0 && number.to_string() == port)
    };
    let inner = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'));
    let is_name = match inner {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => name.len() <= MAX_HOST && name.split('.').all(is_label),
    };
    is_name && port.is_none_or(is_port)
}

fn is_label(label: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    !label.is_empty() && label.bytes().all(is_letter)
}

/// An origin as browsers write it.
fn origin(text: &str) -> Option<String> {
    let (_, authority) = text.split_once("://")?;
    // The parser passes over some of these.
    let is_more = |character: char| {
        matches!(character, '/' | '\\' | '?' | '#' | '@' | '%' | '*')
            || character.is_whitespace()
            || character.is_control()
    };
    if authority.contains(is_more) {
        return None;
    }
    let url = Url::parse(text).ok()?;
    let (scheme, host) = (url.scheme(), url.host()?);
    Some(match url.port() {
        Some(port) => format!("{scheme}://{host}:{port}"),
        None => format!("{scheme}://{host}"),
    })
}

#[cfg(test)]
mod tests {
    use super::{is_host, origin};

    #[test]
    fn hosts_are_as_requests_name_them() {
        for host in [
            "img.example.com",
            "IMG.test",
            "img.test:8443",
            "127.0.0.1",
            "127.0.0.1:80",
            "[::1]",
            "[2001:db8::1]:8080",
            "my_host",
        ] {
            assert!(is_host(host), "{host}");
        }
        let long = "a.".repeat(127) + "test";
        for text in [
            "",
            ".",
            "img.test.",
            "https://img.test",
            "img.test/",
            "img.test/a",
            "*.img.test",
            "img test",
            "img.test:",
            "img.test:0",
            "img.test:080",
            "img.test:65536",
            "img.test:x",
            "::1",
            "[::1",
            "[x]",
            "b\u{fc}cher.test",
            "user@img.test",
            &long,
        ] {
            assert!(!is_host(text), "{text}");
        }
    }

    #[test]
    fn origins_are_as_browsers_write_them() {
        for (text, written) in [
            ("https://page.test", Some("https://page.test")),
            ("HTTPS://Page.TEST:443", Some("https://page.test")),
            ("http://page.test:8080", Some("http://page.test:8080")),
            ("http://[::1]:80", Some("http://[::1]")),
            (
                "https://b\u{fc}cher.test",
                Some("https://xn--bcher-kva.test"),
            ),
            ("capacitor://localhost", Some("capacitor://localhost")),
            ("page.test", None),
            ("https://", None),
            ("https://page.test/", None),
            ("https://page.test/a", None),
            ("https://page.test?a", None),
            ("https://user@page.test", None),
            ("https://*.page.test", None),
            ("https://page.test\n", None),
            ("null", None),
        ] {
            assert_eq!(origin(text).as_deref(), written, "{text}");
        }
    }
}

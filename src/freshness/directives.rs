//! Reads `Cache-Control`, `Expires` and `Age`.

use hyper::HeaderMap;
use hyper::header::{AsHeaderName, CACHE_CONTROL, DATE, EXPIRES};

use crate::freshness::time::{FOREVER, parse_date, since_epoch};

/// The directives of `Cache-Control`, from all its lines.
#[derive(Default)]
pub(super) struct Directives {
    pub(super) no_store: bool,
    pub(super) private: bool,
    pub(super) no_cache: bool,
    /// Also for `proxy-revalidate`: this is a proxy.
    pub(super) must_revalidate: bool,
    pub(super) immutable: bool,
    max_age: Option<u64>,
    s_maxage: Option<u64>,
    pub(super) stale_while_revalidate: Option<u64>,
    pub(super) stale_if_error: Option<u64>,
}

impl Directives {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut found = Directives::default();
        for line in headers.get_all(CACHE_CONTROL) {
            for directive in split_outside_quotes(line.as_bytes()) {
                let text = String::from_utf8_lossy(directive);
                let (name, value) = text.split_once('=').unwrap_or((&text, ""));
                found.add(name.trim(), value.trim());
            }
        }
        found
    }

    /// `private="set-cookie"` and `no-cache="set-cookie"` are read as `private` and `no-cache`, which is stricter and allowed.
    fn add(&mut self, name: &str, value: &str) {
        match name.to_ascii_lowercase().as_str() {
            "no-store" => self.no_store = true,
            "private" => self.private = true,
            "no-cache" => self.no_cache = true,
            "must-revalidate" | "proxy-revalidate" => self.must_revalidate = true,
            "immutable" => self.immutable = true,
            "max-age" => lower(&mut self.max_age, number(value)),
            "s-maxage" => lower(&mut self.s_maxage, number(value)),
            "stale-while-revalidate" => lower(&mut self.stale_while_revalidate, number(value)),
            "stale-if-error" => lower(&mut self.stale_if_error, number(value)),
            _ => {}
        }
    }

    /// The lifetime that the header gives, in seconds, if it gives one.
    pub(super) fn lifetime(&self, headers: &HeaderMap, received: u64) -> Option<u64> {
        if self.no_cache {
            return Some(0);
        }
        let expires = || {
            let sent = headers
                .get(DATE)
                .and_then(|value| parse_date(value.to_str().ok()?));
            let sent = sent.map_or(received, since_epoch);
            smallest(headers, EXPIRES, |text| {
                Some(since_epoch(parse_date(text)?).saturating_sub(sent))
            })
        };
        self.s_maxage
            .or(self.max_age)
            .or_else(expires)
            .or(self.must_revalidate.then_some(0))
            .map(|seconds| seconds.min(FOREVER))
    }
}

/// Of a repeated value the smallest counts, and a malformed one counts as zero, as RFC 9111 section 4.2.1 asks for.
fn lower(kept: &mut Option<u64>, read: Option<u64>) {
    let read = read.unwrap_or(0);
    *kept = Some(kept.map_or(read, |kept| kept.min(read)));
}

/// The smallest value of all lines of one header field. A malformed line counts as zero.
pub(super) fn smallest(
    headers: &HeaderMap,
    name: impl AsHeaderName,
    read: impl Fn(&str) -> Option<u64>,
) -> Option<u64> {
    headers
        .get_all(name)
        .iter()
        .map(|line| line.to_str().ok().and_then(&read).unwrap_or(0))
        .min()
}

/// Whole seconds, with or without quotes. A number that is too large means for ever.
pub(super) fn number(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
        .unwrap_or(text);
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(FOREVER).min(FOREVER))
}

/// The parts between commas. Commas inside quoted strings do not separate; a backslash escapes a quote.
fn split_outside_quotes(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut quoted = false;
    let mut escaped = false;
    line.split(move |&byte| {
        let separates = byte == b',' && !quoted;
        if escaped {
            escaped = false;
        } else {
            escaped = quoted && byte == b'\\';
            quoted ^= byte == b'"';
        }
        separates
    })
}

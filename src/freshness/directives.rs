//! What an origin says in `Cache-Control` and the headers beside it, number by number.

use hyper::HeaderMap;
use hyper::header::AsHeaderName;
use hyper::header::CACHE_CONTROL;
use hyper::header::DATE;
use hyper::header::EXPIRES;

use super::FOREVER;
use super::date;
use super::since_epoch;

/// What we read in `Cache-Control`, over all its lines.
#[derive(Default)]
pub(super) struct Directives {
    pub(super) no_store: bool,
    pub(super) private: bool,
    pub(super) no_cache: bool,
    /// Or `proxy-revalidate`, which is the same to us.
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
                found.note(name.trim(), value.trim());
            }
        }
        found
    }

    /// `private="set-cookie"` and `no-cache="set-cookie"` count as the bare words: stricter than asked, and allowed.
    fn note(&mut self, name: &str, value: &str) {
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

    /// The life asked for, in seconds; `None` where nothing was said.
    pub(super) fn lifetime(&self, headers: &HeaderMap, received: u64) -> Option<u64> {
        if self.no_cache {
            return Some(0);
        }
        let expires = || {
            let sent = headers
                .get(DATE)
                .and_then(|value| date(value.to_str().ok()?));
            let sent = sent.map_or(received, since_epoch);
            smallest(headers, EXPIRES, |text| {
                Some(since_epoch(date(text)?).saturating_sub(sent))
            })
        };
        self.s_maxage
            .or(self.max_age)
            .or_else(expires)
            .or(self.must_revalidate.then_some(0))
            .map(|seconds| seconds.min(FOREVER))
    }
}

/// A repeated value counts once, as the smaller; an unreadable one as nought, which is how RFC 9111 section 4.2.1 wants it.
fn lower(kept: &mut Option<u64>, read: Option<u64>) {
    let read = read.unwrap_or(0);
    *kept = Some(kept.map_or(read, |kept| kept.min(read)));
}

/// The smallest reading over all lines of one header; an unreadable line counts as nought.
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

/// Whole seconds, bare or in quotes. More digits than fit mean for ever.
pub(super) fn number(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
        .unwrap_or(text);
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(FOREVER).min(FOREVER))
}

/// The parts between commas, where a comma inside a quoted string (with its backslash escapes) is not one.
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

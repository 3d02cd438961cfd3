//! URLs without what may be secret in them: the user and password before the host, and everything behind the `?`, where presigned URLs carry their
//! signature. A URL may stand inside the path of another one and be percent-encoded there, once or several times; so all of this is looked for in the
//! text as it reads when nothing is left to decode, and cut out of the text as it was written.

use std::borrow::Cow;
use std::ops::Range;

/// What stands in place of a user and password.
const HIDDEN: &str = "***";

/// A byte of the decoded text.
#[derive(Clone, Copy)]
struct Letter {
    byte: u8,
    /// How often it was encoded.
    level: u32,
    /// Where it begins in the text as written, and where it ends.
    start: usize,
    end: usize,
}

/// A text for logs and terminals that is, or holds, a URL or the path of one.
///
/// Of a path such as `/a.jpg?v=1` the query goes with its question mark; of `https://user:password@host/a.jpg` the user and password. What follows a
/// query in the same text goes with it: nothing says where a query ends.
pub fn redacted(text: &str) -> Cow<'_, str> {
    let is_suspect = |byte| matches!(byte, b'%' | b'?' | b'@' | b'&' | b':' | b'#');
    if !text.bytes().any(is_suspect) {
        return Cow::Borrowed(text);
    }
    let letters = decoded(text);
    let letters = &letters[..end_of_address(&letters)];
    let mut hidden = credentials(letters);
    hidden.sort_by_key(|range| range.start);
    let end = letters.last().map_or(0, |last| last.end);
    let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
    if hidden.is_empty() {
        return Cow::Borrowed(part(0, end));
    }
    let mut told = String::with_capacity(end);
    let mut next = 0;
    for range in hidden {
        let secret = letters.get(range).unwrap_or_default();
        let (Some(first), Some(last)) = (secret.first(), secret.last()) else {
            continue;
        };
        if first.start >= next {
            told.push_str(part(next, first.start));
            told.push_str(HIDDEN);
        }
        next = next.max(last.end);
    }
    told.push_str(part(next, end));
    Cow::Owned(told)
}

/// Decodes until nothing is left to decode, in one pass: what a decoded byte completes is decoded in its turn.
fn decoded(text: &str) -> Vec<Letter> {
    let mut letters: Vec<Letter> = Vec::with_capacity(text.len());
    for (start, byte) in text.bytes().enumerate() {
        letters.push(Letter {
            byte,
            level: 0,
            start,
            end: start + 1,
        });
        while let [.., percent, high, low] = letters.as_slice() {
            let (Some(high_value), Some(low_value)) = (digit(high.byte), digit(low.byte)) else {
                break;
            };
            if percent.byte != b'%' {
                break;
            }
            let letter = Letter {
                byte: high_value << 4 | low_value,
                level: 1 + percent.level.max(high.level).max(low.level),
                start: percent.start,
                end: low.end,
            };
            letters.truncate(letters.len() - 3);
            letters.push(letter);
        }
    }
    letters
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

/// Where the query begins, or what may be one whose `?` was lost on the way; a fragment only behind a host, because colours are written with `#`.
fn end_of_address(letters: &[Letter]) -> usize {
    let last_value = letters.iter().rposition(|letter| letter.byte == b'=');
    let is_mark = |(index, letter): (usize, &Letter)| match letter.byte {
        // A question in a message has nothing behind it.
        b'?' => letters
            .get(index + 1)
            .is_some_and(|next| !next.byte.is_ascii_whitespace()),
        b'&' => last_value.is_some_and(|last| last > index),
        _ => false,
    };
    let query = letters.iter().enumerate().position(is_mark);
    let end = query.unwrap_or(letters.len());
    let host = authorities(&letters[..end])
        .next()
        .map(|(range, _)| range.start);
    let fragment = host.and_then(|host| {
        let behind = letters[host..end].iter();
        behind
            .clone()
            .position(|letter| letter.byte == b'#')
            .map(|at| host + at)
    });
    fragment.unwrap_or(end)
}

/// Everything that may be a user and password, with the `@` behind it.
fn credentials(letters: &[Letter]) -> Vec<Range<usize>> {
    let is_at = |letter: &Letter| letter.byte == b'@';
    let last_at = letters.iter().rposition(is_at);
    let mut hidden = Vec::new();
    for (authority, has_scheme) in authorities(letters) {
        if let Some(at) = letters[authority.clone()].iter().rposition(is_at) {
            hidden.push(authority.start..authority.start + at + 1);
        } else if has_scheme && !is_host(&letters[authority.clone()]) {
            // A password with a slash in it, or one that was cut off before its `@`.
            let end = last_at.map_or(authority.end, |at| authority.end.max(at + 1));
            hidden.push(authority.start..end);
        }
    }
    // `user:password@host` without slashes before it.
    let mut segment = 0;
    let mut has_colon = false;
    for (index, letter) in letters.iter().enumerate() {
        match letter.byte {
            _ if is_boundary(letter) => (segment, has_colon) = (index + 1, false),
            b':' => has_colon = true,
            b'@' if has_colon => hidden.push(segment..index + 1),
            _ => {}
        }
    }
    hidden
}

/// What stands where a URL has its host, and whether a scheme is before it: behind a colon and slashes, or behind several slashes. It ends at a slash
/// that is encoded no more often than those.
fn authorities(letters: &[Letter]) -> impl Iterator<Item = (Range<usize>, bool)> {
    let mut next = 0;
    std::iter::from_fn(move || {
        loop {
            let slashes = next + letters[next..].iter().position(is_slash)?;
            let count = letters[slashes..]
                .iter()
                .take_while(|letter| is_slash(letter))
                .count();
            let start = slashes + count;
            next = start;
            let before = slashes.checked_sub(1).map(|index| letters[index]);
            let colon = before.filter(|letter| letter.byte == b':');
            if start == letters.len() || (count == 1 && colon.is_none()) {
                if start == letters.len() {
                    return None;
                }
                continue;
            }
            let marks = letters[slashes..start].iter().chain(&colon);
            let level = marks.map(|letter| letter.level).max().unwrap_or(0);
            let ends = |letter: &Letter| {
                (is_slash(letter) && letter.level <= level)
                    || (is_boundary(letter) && !is_slash(letter))
            };
            let length = letters[start..].iter().position(ends);
            let end = length.map_or(letters.len(), |length| start + length);
            next = end;
            return Some((start..end, colon.is_some()));
        }
    })
}

fn is_slash(letter: &Letter) -> bool {
    matches!(letter.byte, b'/' | b'\\')
}

/// What separates segments of a path, and in a message a quotation from the words around it.
fn is_boundary(letter: &Letter) -> bool {
    let separates_words = letter.byte.is_ascii_whitespace() || letter.byte == b'`';
    is_slash(letter) || (letter.level == 0 && separates_words)
}

/// `host` or `host:port`.
fn is_host(authority: &[Letter]) -> bool {
    let colon = match authority.first() {
        Some(Letter { byte: b'[', .. }) => authority.iter().rposition(|letter| letter.byte == b']'),
        _ => Some(0),
    };
    let Some(from) = colon else { return false };
    let colon = authority[from..]
        .iter()
        .position(|letter| letter.byte == b':');
    let port = colon.map_or(&[][..], |colon| &authority[from + colon + 1..]);
    port.iter().all(|letter| letter.byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use percent_encoding::AsciiSet;
    use percent_encoding::CONTROLS;
    use percent_encoding::NON_ALPHANUMERIC;
    use percent_encoding::utf8_percent_encode;
    use proptest::prelude::Just;
    use proptest::prelude::ProptestConfig;
    use proptest::prelude::Strategy;
    use proptest::prelude::any;
    use proptest::prop_oneof;
    use proptest::proptest;
    use proptest::sample::select;

    use super::redacted;

    #[test]
    fn queries_go_in_every_encoding() {
        for (text, told) in [
            (
                "/w=9/https://h.test/k?X-Amz-Signature=abc",
                "/w=9/https://h.test/k",
            ),
            (
                "/w=9/https%3A%2F%2Fh.test%2Fk%3Fsig=abc",
                "/w=9/https%3A%2F%2Fh.test%2Fk",
            ),
            (
                "/w=9/https%3a%2f%2fh.test%2fk%3fsig=abc?x",
                "/w=9/https%3a%2f%2fh.test%2fk",
            ),
            (
                "/w=9/https%3A%2F%2Fh.test%2Fk%253Fsig=abc",
                "/w=9/https%3A%2F%2Fh.test%2Fk",
            ),
            ("/w=9/k%25253Fsig=abc", "/w=9/k"),
            ("/w=9/k%25%33%46sig=abc", "/w=9/k"),
            ("/w=9/k&X-Amz-Signature=abc", "/w=9/k"),
            ("/w=9/https://h.test/k#abc", "/w=9/https://h.test/k"),
        ] {
            assert_eq!(redacted(text), told, "{text}");
        }
    }

    #[test]
    fn users_and_passwords_go() {
        for (text, told) in [
            ("https://u:p@h.test/a.jpg", "https://***h.test/a.jpg"),
            ("/w=9/https:/u@h.test/a.jpg", "/w=9/https:/***h.test/a.jpg"),
            (
                "/w=9/https%3A%2F%2Fu%3Ap%40h.test%2Fa",
                "/w=9/https%3A%2F%2F***h.test%2Fa",
            ),
            (
                "/w=9/https%253A%252F%252Fu%2540h.test",
                "/w=9/https%253A%252F%252F***h.test",
            ),
            ("/w=9/https://u%3Ap%40h.test/a", "/w=9/https://***h.test/a"),
            ("/w=9/https://u:p/q@h.test/a", "/w=9/https://***h.test/a"),
            ("/w=9/https://u:p%2Fq@h.test/a", "/w=9/https://***h.test/a"),
            ("/w=9/https:u:p@h.test/a", "/w=9/***h.test/a"),
            ("/w=9/u:p@h.test/a", "/w=9/***h.test/a"),
            ("/w=9/https://u:p@ss@h.test/a", "/w=9/https://***h.test/a"),
            ("//u@h.test/a", "//***h.test/a"),
            (
                "must be a URL, got `https://u:pass",
                "must be a URL, got `https://***",
            ),
            (
                "got `https://u:p@h` and `http://v@i`",
                "got `https://***h` and `http://***i`",
            ),
        ] {
            assert_eq!(redacted(text), told, "{text}");
        }
    }

    #[test]
    fn what_holds_no_secret_stays() {
        for text in [
            "",
            "/cdn-cgi/image/width=80,background=%23f4e9d8/photos/me@2x.png",
            "/cdn-cgi/image/width=80/https://h.test:8080/R&B/a%20b@2x.png",
            "/cdn-cgi/image/width=80/https%3A%2F%2Fh.test%2Fa%2520b.jpg",
            "/cdn-cgi/image/width=80/http://[::1]:80/a.jpg",
            "/cdn-cgi/image/trim=1;2;3;4/https:/h.test/100%.jpg",
            "source host `h.test` is not in the list of allowed origins",
            "bucket `b`: answered 403; may these `credentials` do that?",
            "origin `b`: cannot connect: 10.0.0.7:80 refused: `caf\u{e9}`",
        ] {
            assert_eq!(redacted(text), text);
        }
    }

    #[test]
    fn the_longest_head_takes_no_time() {
        for text in [
            "%25".repeat(20_000),
            "/".repeat(60_000),
            ":@".repeat(30_000),
            "//u:@".repeat(12_000),
            "&".repeat(60_000),
        ] {
            let begun = std::time::Instant::now();
            let _ = redacted(&text);
            assert!(begun.elapsed().as_secs() < 2, "{}", &text[..6]);
        }
    }

    /// Nowhere else in what is generated.
    const MARKER: &str = "Hunter2";
    /// What `encodeURIComponent` encodes.
    const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'_')
        .remove(b'.')
        .remove(b'!')
        .remove(b'~')
        .remove(b'*')
        .remove(b'\'')
        .remove(b'(')
        .remove(b')');

    #[derive(Clone, Copy, Debug)]
    enum Encoding {
        Everything,
        Component,
        Separators,
    }

    fn encode(text: &str, encoding: Encoding) -> String {
        const SEPARATORS: &AsciiSet = &CONTROLS.add(b'%').add(b'/').add(b':').add(b'?');
        match encoding {
            Encoding::Everything => text.bytes().map(|byte| format!("%{byte:02x}")).collect(),
            Encoding::Component => utf8_percent_encode(text, COMPONENT).to_string(),
            Encoding::Separators => utf8_percent_encode(text, SEPARATORS).to_string(),
        }
    }

    /// A URL with the marker in its user, password, query or fragment.
    fn url_with_a_secret() -> impl Strategy<Value = String> {
        let scheme = select(vec!["http:", "HTTPS:", "ftp:", "s3:", ""]);
        let slashes = select(vec!["//", "///", "\\\\", "/\\"]);
        let user = select(vec![
            "", "M@", "M:@", ":M@", "u:M@", "M:M@", "u:1M@", "u:M@M@", "u:%4dM@",
        ]);
        let path = select(vec!["", "/", "/a.jpg", "/me@2x.png", "//a", "/a%20b.jpg"]);
        let query = select(vec![
            "",
            "?M",
            "?X-Amz-Signature=M",
            "?a=b&sig=M",
            "??M=M",
            "#M",
            "?a#M",
            "&token=M",
        ]);
        (scheme, slashes, user, path, query).prop_map(|(scheme, slashes, user, path, query)| {
            let host = "h.test:8080";
            format!("{scheme}{slashes}{user}{host}{path}{query}").replace('M', MARKER)
        })
    }

    fn encoded(url: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
        let encoding = prop_oneof![
            Just(Encoding::Everything),
            Just(Encoding::Component),
            Just(Encoding::Separators)
        ];
        let encodings = proptest::collection::vec(encoding, 0..4);
        (url, encodings).prop_map(|(url, encodings)| {
            encodings
                .into_iter()
                .fold(url, |url, encoding| encode(&url, encoding))
        })
    }

    /// Whether a text tells the marker, in any encoding.
    fn tells(text: &str) -> bool {
        let mut text = text.to_owned();
        for _ in 0..6 {
            if text.contains(MARKER) {
                return true;
            }
            text = percent_encoding::percent_decode_str(&text)
                .decode_utf8_lossy()
                .into_owned();
        }
        false
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        #[test]
        fn no_secret_is_told_in_any_encoding(url in encoded(url_with_a_secret()), is_quoted in any::<bool>()) {
            let path = format!("/cdn-cgi/image/width=9,background=%23fff/{url}");
            let told = redacted(&path).into_owned();
            assert!(!tells(&told), "{path}: {told}");
            assert!(told.starts_with("/cdn-cgi/image/width=9,background=%23fff/"), "{told}");
            let message = if is_quoted { format!("must be one, got `{url}`, not two") } else { url };
            let told = redacted(&message).into_owned();
            assert!(!tells(&told), "{message}: {told}");
        }

        #[test]
        fn any_text_is_taken(text in "[/\\\\:@%?#&=`25a3F\\[\\] \u{e9}]{0,60}") {
            let told = redacted(&text).into_owned();
            assert!(told.len() <= text.len() + 3 * text.len());
        }
    }
}

//! Removes secrets from URLs: the user and password before the host, and the query, where presigned URLs have their signature. A URL may stand inside the
//! path of another one and be percent-encoded there, once or several times. So secrets are searched in the text after all decoding, and cut out of the
//! text as it was written.

use std::borrow::Cow;
use std::ops::Range;

/// What stands in place of a user and password.
const HIDDEN: &str = "***";

/// A byte of the decoded text, with its place in the text as written.
#[derive(Clone, Copy)]
struct Letter {
    byte: u8,
    /// How often it was encoded.
    level: u32,
    /// Where it begins in the text as written, and where it ends.
    start: usize,
    end: usize,
}

/// A text without secrets, for logs and terminals. The text may be a URL or the path of one, or contain them.
///
/// Of `/a.jpg?v=1` the query is removed with its question mark, of `https://user:password@host/a.jpg` the user and password. The text behind a query is
/// removed as well, because nothing says where a query ends.
pub(crate) fn redacted(text: &str) -> Cow<'_, str> {
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

/// Decodes a text until nothing is left to decode, in one pass: where a decoded byte completes another escape, that is decoded as well.
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

/// Where the query begins, or what may be a query whose `?` was lost, or a fragment. A fragment counts only behind a host, because colours are written
/// with `#`.
fn end_of_address(letters: &[Letter]) -> usize {
    let last_value = letters.iter().rposition(|letter| letter.byte == b'=');
    let is_mark = |(index, letter): (usize, &Letter)| match letter.byte {
        // In a message, a question mark with nothing behind it ends a question.
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

/// The ranges that may be a user and password, with the `@`.
fn credentials(letters: &[Letter]) -> Vec<Range<usize>> {
    let is_at = |letter: &Letter| letter.byte == b'@';
    let last_at = letters.iter().rposition(is_at);
    let mut hidden = Vec::new();
    for (authority, has_scheme) in authorities(letters) {
        if let Some(at) = letters[authority.clone()].iter().rposition(is_at) {
            hidden.push(authority.start..authority.start + at + 1);
        } else if has_scheme && !is_host(&letters[authority.clone()]) {
            // A password that contains a slash, or that is cut off before its `@`.
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

/// The ranges where a URL has its host (behind a colon and slashes, or behind several slashes), and whether a scheme is before each. A range ends at a
/// slash that is encoded no more often than those.
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

/// Whether a byte separates segments of a path or, in a message, a quotation from the words around it.
fn is_boundary(letter: &Letter) -> bool {
    let separates_words = letter.byte.is_ascii_whitespace() || letter.byte == b'`';
    is_slash(letter) || (letter.level == 0 && separates_words)
}

/// Whether this is `host` or `host:port`.
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
mod tests;

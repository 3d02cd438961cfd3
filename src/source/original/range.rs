//! Ranges of bytes in requests and responses (RFC 9110, section 14).

use hyper::HeaderMap;
use hyper::header;
use hyper::header::HeaderValue;

/// No object has a length with more digits.
const MAX_DIGITS: usize = 18;

/// The header `Range`, if it asks for one range of bytes. Several ranges are ignored: the whole is a valid answer to them.
pub(super) fn single_range(headers: &HeaderMap) -> Option<&HeaderValue> {
    let mut values = headers.get_all(header::RANGE).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    first_and_last(value).map(|_| value)
}

/// The first and the last byte of `bytes=5-9`. `bytes=5-` has no last, and `bytes=-5` no first byte.
pub(super) fn first_and_last(range: &HeaderValue) -> Option<(Option<u64>, Option<u64>)> {
    let (unit, range) = range.to_str().ok()?.split_once('=')?;
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    match range.split_once('-')? {
        ("", count) => Some((None, Some(number(count)?))),
        (first, "") => Some((Some(number(first)?), None)),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some((Some(first), Some(last)))
        }
    }
}

/// The part of an object that a response holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub first: u64,
    pub last: u64,
    /// The length of the object.
    pub total: Option<u64>,
}

impl Part {
    /// Reads `Content-Range: bytes 5-9/100`; `None` if it is malformed.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get(header::CONTENT_RANGE)?.to_str().ok()?;
        let (range, total) = value.strip_prefix("bytes ")?.split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let (first, last) = (number(first)?, number(last)?);
        let total = match total {
            "*" => None,
            total => Some(number(total)?),
        };
        let is_valid = first <= last && total.is_none_or(|total| last < total);
        is_valid.then_some(Part { first, last, total })
    }

    /// The length of the part.
    pub(super) fn length(self) -> u64 {
        self.last - self.first + 1
    }

    /// Whether the object ends with this part.
    pub(super) fn is_at_end(self) -> bool {
        self.total == Some(self.last + 1)
    }
}

fn number(text: &str) -> Option<u64> {
    let is_number =
        (1..=MAX_DIGITS).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use hyper::HeaderMap;
    use hyper::header::{CONTENT_RANGE, HeaderValue, RANGE};

    use super::Part;
    use super::first_and_last;
    use super::single_range;

    #[test]
    fn one_range_is_read() {
        for (text, expected) in [
            ("bytes=0-4", Some((Some(0), Some(4)))),
            ("Bytes=4-4", Some((Some(4), Some(4)))),
            ("bytes=5-", Some((Some(5), None))),
            ("bytes=-5", Some((None, Some(5)))),
            ("bytes=5-4", None),
            ("bytes=0-4,6-7", None),
            ("bytes=0-4, 6-7", None),
            ("bytes= 0-4", None),
            ("bytes=-", None),
            ("bytes=", None),
            ("bytes", None),
            ("lines=0-4", None),
            ("bytes=0x0-4", None),
            ("bytes=+0-4", None),
            ("bytes=0-9999999999999999999", None),
        ] {
            let value = HeaderValue::from_static(text);
            assert_eq!(first_and_last(&value), expected, "{text}");
            let mut headers = HeaderMap::from_iter([(RANGE, value)]);
            assert_eq!(single_range(&headers).is_some(), expected.is_some());
            headers.append(RANGE, HeaderValue::from_static("bytes=0-4"));
            assert_eq!(single_range(&headers), None, "{text}");
        }
    }

    #[test]
    fn the_range_of_a_response_is_read() {
        let part = |first, last, total| Some(Part { first, last, total });
        for (text, expected) in [
            ("bytes 0-4/5", part(0, 4, Some(5))),
            ("bytes 2-2/*", part(2, 2, None)),
            ("bytes 0-5/5", None),
            ("bytes 3-2/5", None),
            ("bytes */5", None),
            ("bytes 0-4", None),
            ("items 0-4/5", None),
            ("bytes 0-18446744073709551615/*", None),
        ] {
            let value = HeaderValue::from_static(text);
            let headers = HeaderMap::from_iter([(CONTENT_RANGE, value)]);
            assert_eq!(Part::of(&headers), expected, "{text}");
        }
        let end = Part {
            first: 3,
            last: 4,
            total: Some(5),
        };
        assert_eq!((end.length(), end.is_at_end()), (2, true));
    }
}

//! Preconditions and ranges (RFC 9110, sections 13 and 14).

use std::ops::Range;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hyper::HeaderMap;
use hyper::Method;
use hyper::header::{
    HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE,
};
use hyper::http::request::Parts;

/// The preconditions of a request, and the range of bytes that it asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conditional {
    /// If-Match or, where there is none, If-Unmodified-Since.
    if_match: Precondition,
    /// If-None-Match or, where there is none, If-Modified-Since.
    if_none_match: Precondition,
    range: Option<(ByteRange, IfRange)>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum Precondition {
    #[default]
    Absent,
    /// `*`.
    Any,
    /// Entity tags with their quotes, without `W/`.
    Tags(Vec<Box<str>>),
    Date(SystemTime),
}

/// One range of bytes, as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ByteRange {
    /// `5-`, or `5-9` with both ends.
    From(usize, Option<usize>),
    /// `-5`.
    Last(usize),
}

/// The header If-Range: whether the client can use a part of this content.
#[derive(Debug, Clone, PartialEq, Eq)]
enum IfRange {
    Always,
    Tag(Box<str>),
    Date(SystemTime),
    /// A weak tag, or a malformed text.
    Never,
}

/// The answer to a request whose precondition is false.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PreconditionOutcome {
    /// 304: the client has the rendition.
    NotModified,
    /// 412: the rendition is not the one that the client requires.
    PreconditionFailed,
}

/// Which bytes of a rendition are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RangeOutcome {
    /// 200: all of them.
    Whole,
    /// 206: these bytes, at least one, all of them within the rendition.
    Part(Range<usize>),
    /// 416: the range is outside the rendition.
    Unsatisfiable,
}

impl Conditional {
    /// Reads the headers of a request. A malformed header is ignored, so that the client gets the whole answer; malformed tags, however,
    /// match nothing.
    pub(crate) fn of(head: &Parts) -> Self {
        // Ranges are defined for GET alone.
        Conditional::of_headers(&head.headers, head.method == Method::GET)
    }

    /// Reads these headers, without a range unless `allows_range`.
    pub(crate) fn of_headers(headers: &HeaderMap, allows_range: bool) -> Self {
        let condition = |tags, date, read_tags: fn(&str) -> Vec<Box<str>>| {
            if headers.contains_key(&tags) {
                tags_of(headers, &tags, read_tags)
            } else {
                date_of(headers, &date).map_or(Precondition::Absent, Precondition::Date)
            }
        };
        Conditional {
            if_match: condition(IF_MATCH, IF_UNMODIFIED_SINCE, strong_tags),
            if_none_match: condition(IF_NONE_MATCH, IF_MODIFIED_SINCE, all_tags),
            range: allows_range
                .then(|| only(headers, &RANGE).and_then(byte_range))
                .flatten()
                .map(|range| (range, if_range(headers))),
        }
    }

    /// Compares the preconditions with the validators of the rendition: its `etag` (strong, with its quotes) and its date. `None` means that the
    /// request goes on. The order is that of RFC 9110, section 13.2.2.
    pub(crate) fn evaluate_preconditions(
        &self,
        etag: &str,
        last_modified: Option<SystemTime>,
    ) -> Option<PreconditionOutcome> {
        let is_match = match &self.if_match {
            Precondition::Absent | Precondition::Any => true,
            Precondition::Tags(tags) => tags.iter().any(|tag| **tag == *etag),
            // A rendition without a date cannot be compared.
            Precondition::Date(date) => {
                last_modified.is_none_or(|modified| !is_later(modified, *date))
            }
        };
        if !is_match {
            return Some(PreconditionOutcome::PreconditionFailed);
        }
        let is_unchanged = match &self.if_none_match {
            Precondition::Absent => false,
            Precondition::Any => true,
            Precondition::Tags(tags) => tags.iter().any(|tag| **tag == *etag),
            Precondition::Date(date) => {
                last_modified.is_some_and(|modified| !is_later(modified, *date))
            }
        };
        is_unchanged.then_some(PreconditionOutcome::NotModified)
    }

    /// Whether the request names this tag.
    pub(crate) fn names(&self, etag: &str) -> bool {
        [&self.if_match, &self.if_none_match]
            .into_iter()
            .any(|condition| matches!(condition, Precondition::Tags(tags) if tags.iter().any(|tag| **tag == *etag)))
            || matches!(&self.range, Some((_, IfRange::Tag(tag))) if **tag == *etag)
    }

    /// Which bytes are sent of a content of `length` bytes that has this tag. `last_modified` is given only if no other content has the same date:
    /// the renditions of one source do.
    pub(crate) fn select_range(
        &self,
        etag: &str,
        last_modified: Option<SystemTime>,
        length: usize,
    ) -> RangeOutcome {
        let Some((range, condition)) = &self.range else {
            return RangeOutcome::Whole;
        };
        let is_same = match condition {
            IfRange::Always => true,
            IfRange::Tag(tag) => **tag == *etag,
            // Exactly the same date: an earlier one belongs to other content as well (RFC 9110, section 13.1.5).
            IfRange::Date(date) => {
                last_modified.is_some_and(|modified| seconds(modified) == seconds(*date))
            }
            IfRange::Never => false,
        };
        if !is_same {
            return RangeOutcome::Whole;
        }
        let part = match *range {
            ByteRange::From(first, last) => {
                first..last.map_or(length, |last| last.saturating_add(1).min(length))
            }
            ByteRange::Last(count) => length.saturating_sub(count)..length,
        };
        if part.is_empty() {
            RangeOutcome::Unsatisfiable
        } else {
            RangeOutcome::Part(part)
        }
    }
}

/// Whether a time is later by at least a second: dates in headers have whole seconds.
fn is_later(modified: SystemTime, date: SystemTime) -> bool {
    modified
        .duration_since(date)
        .is_ok_and(|later| later >= Duration::from_secs(1))
}

/// Whole seconds since 1970.
fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// The text of a header, if there is exactly one.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut lines = headers.get_all(name).iter();
    match (lines.next(), lines.next()) {
        (Some(line), None) => line.to_str().ok().map(str::trim),
        _ => None,
    }
}

fn date_of(headers: &HeaderMap, name: &HeaderName) -> Option<SystemTime> {
    only(headers, name).and_then(|date| httpdate::parse_http_date(date).ok())
}

fn tags_of(
    headers: &HeaderMap,
    name: &HeaderName,
    read: fn(&str) -> Vec<Box<str>>,
) -> Precondition {
    let mut tags = Vec::new();
    for line in headers.get_all(name) {
        let line = line.as_bytes().trim_ascii();
        if line == b"*" {
            return Precondition::Any;
        }
        tags.extend(std::str::from_utf8(line).into_iter().flat_map(read));
    }
    Precondition::Tags(tags)
}

/// For the weak comparison: `W/` makes no difference.
fn all_tags(list: &str) -> Vec<Box<str>> {
    entity_tags(list).map(|(_, tag)| tag.into()).collect()
}

/// For the strong comparison: weak tags match nothing.
fn strong_tags(list: &str) -> Vec<Box<str>> {
    entity_tags(list)
        .filter(|(is_weak, _)| !is_weak)
        .map(|(_, tag)| tag.into())
        .collect()
}

/// The quoted tags of a list, and whether each is weak. Everything else between them is skipped. A tag may itself hold commas.
fn entity_tags(list: &str) -> impl Iterator<Item = (bool, &str)> {
    let mut rest = list;
    std::iter::from_fn(move || {
        let start = rest.find('"')?;
        let length = rest[start + 1..].find('"')? + 2;
        let is_weak = rest[..start].ends_with("W/");
        let tag = &rest[start..start + length];
        rest = &rest[start + length..];
        Some((is_weak, tag))
    })
}

/// Reads `bytes=` and one range. Several ranges are ignored: the whole rendition is a valid answer to them, and shorter.
fn byte_range(text: &str) -> Option<ByteRange> {
    let (unit, range) = text.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    match range.trim().split_once('-')? {
        ("", count) => position(count).map(ByteRange::Last),
        (first, "") => Some(ByteRange::From(position(first)?, None)),
        (first, last) => {
            let (first, last) = (position(first)?, position(last)?);
            (first <= last).then_some(ByteRange::From(first, Some(last)))
        }
    }
}

/// Reads a position or count. A number beyond `usize` becomes its largest.
fn position(text: &str) -> Option<usize> {
    let is_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_digits.then(|| text.parse().unwrap_or(usize::MAX))
}

fn if_range(headers: &HeaderMap) -> IfRange {
    if !headers.contains_key(IF_RANGE) {
        return IfRange::Always;
    }
    let Some(text) = only(headers, &IF_RANGE) else {
        return IfRange::Never;
    };
    let is_tag = text.len() >= 2 && text.starts_with('"') && text.ends_with('"');
    if is_tag {
        return IfRange::Tag(text.into());
    }
    httpdate::parse_http_date(text).map_or(IfRange::Never, IfRange::Date)
}

#[cfg(test)]
mod tests;

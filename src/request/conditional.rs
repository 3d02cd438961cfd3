//! "Only if it changed": If-None-Match and If-Modified-Since (RFC 9110, section 13).

use std::time::SystemTime;

use hyper::HeaderMap;
use hyper::header::IF_MODIFIED_SINCE;
use hyper::header::IF_NONE_MATCH;

/// What the client already has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conditional {
    held: Held,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum Held {
    #[default]
    Nothing,
    /// `If-None-Match: *`.
    Anything,
    /// Entity tags with their quotes, without `W/`: the comparison is the weak one.
    Tags(Vec<Box<str>>),
    /// The date of If-Modified-Since, which counts only where there is no If-None-Match.
    Since(SystemTime),
}

impl Conditional {
    /// Reads the condition of a request. A malformed condition is none, so that the client gets the whole answer.
    pub fn of(headers: &HeaderMap) -> Self {
        let held = if headers.contains_key(IF_NONE_MATCH) {
            let mut tags = Vec::new();
            let mut is_anything = false;
            for line in headers.get_all(IF_NONE_MATCH) {
                let line = line.as_bytes().trim_ascii();
                is_anything |= line == b"*";
                tags.extend(
                    std::str::from_utf8(line)
                        .into_iter()
                        .flat_map(entity_tags)
                        .map(Box::from),
                );
            }
            if is_anything {
                Held::Anything
            } else {
                Held::Tags(tags)
            }
        } else {
            let mut dates = headers.get_all(IF_MODIFIED_SINCE).iter();
            match (dates.next(), dates.next()) {
                (Some(date), None) => date
                    .to_str()
                    .ok()
                    .and_then(|date| httpdate::parse_http_date(date.trim()).ok())
                    .map_or(Held::Nothing, Held::Since),
                _ => Held::Nothing,
            }
        };
        Conditional { held }
    }

    /// Whether 304 is the answer, when what we have carries this `etag` (strong, with its quotes) and this date.
    pub fn is_not_modified(&self, etag: &str, last_modified: Option<SystemTime>) -> bool {
        match &self.held {
            Held::Nothing => false,
            Held::Anything => true,
            Held::Tags(tags) => tags.iter().any(|tag| **tag == *etag),
            // A header's date has whole seconds: what is later by less than one is not later.
            Held::Since(date) => last_modified.is_some_and(|modified| {
                modified
                    .duration_since(*date)
                    .map_or(true, |later| later.as_secs() == 0)
            }),
        }
    }
}

/// The quoted tags of a list; what stands between them is passed over. A tag may itself hold commas.
fn entity_tags(list: &str) -> impl Iterator<Item = &str> {
    let mut rest = list;
    std::iter::from_fn(move || {
        let start = rest.find('"')?;
        let length = rest[start + 1..].find('"')? + 2;
        let tag = &rest[start..start + length];
        rest = &rest[start + length..];
        Some(tag)
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hyper::header::HeaderName;
    use hyper::header::HeaderValue;

    use super::*;

    fn conditional(lines: &[(HeaderName, &str)]) -> Conditional {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(
                name,
                HeaderValue::from_str(value).expect("the table holds header values"),
            );
        }
        Conditional::of(&headers)
    }

    #[track_caller]
    fn check(lines: &[(HeaderName, &str)], is_not_modified: bool) {
        // Sun, 06 Nov 1994 08:49:37 GMT, and a part of a second that headers cannot say.
        let modified = SystemTime::UNIX_EPOCH + Duration::from_millis(784_111_777_900);
        assert_eq!(
            conditional(lines).is_not_modified("\"a,b\"", Some(modified)),
            is_not_modified,
            "{lines:?}"
        );
    }

    #[test]
    fn no_condition_is_never_met() {
        check(&[], false);
    }

    #[test]
    fn tags_compare_weakly() {
        check(&[(IF_NONE_MATCH, "\"a,b\"")], true);
        check(&[(IF_NONE_MATCH, "W/\"a,b\"")], true);
        check(&[(IF_NONE_MATCH, "\"x\", W/\"y\" ,\"a,b\"")], true);
        check(
            &[(IF_NONE_MATCH, "\"x\""), (IF_NONE_MATCH, "\"a,b\"")],
            true,
        );
        check(&[(IF_NONE_MATCH, "\"a\", \"b\"")], false);
        check(&[(IF_NONE_MATCH, "\"A,B\"")], false);
        check(&[(IF_NONE_MATCH, "*")], true);
        check(&[(IF_NONE_MATCH, " * ")], true);
    }

    #[test]
    fn malformed_tags_match_nothing() {
        check(&[(IF_NONE_MATCH, "")], false);
        check(&[(IF_NONE_MATCH, "a,b")], false);
        check(&[(IF_NONE_MATCH, "\"a,b")], false);
        check(&[(IF_NONE_MATCH, "\"*\"")], false);
    }

    #[test]
    fn dates_compare_in_whole_seconds() {
        check(
            &[(IF_MODIFIED_SINCE, "Sun, 06 Nov 1994 08:49:37 GMT")],
            true,
        );
        check(
            &[(IF_MODIFIED_SINCE, "Sunday, 06-Nov-94 08:49:37 GMT")],
            true,
        );
        check(
            &[(IF_MODIFIED_SINCE, "Mon, 07 Nov 1994 08:49:37 GMT")],
            true,
        );
        check(
            &[(IF_MODIFIED_SINCE, "Sun, 06 Nov 1994 08:49:36 GMT")],
            false,
        );
        check(&[(IF_MODIFIED_SINCE, "yesterday")], false);
    }

    #[test]
    fn a_date_needs_a_date_of_ours() {
        let since = conditional(&[(IF_MODIFIED_SINCE, "Sun, 06 Nov 1994 08:49:37 GMT")]);
        assert!(!since.is_not_modified("\"a\"", None));
    }

    #[test]
    fn tags_silence_the_date() {
        let date = "Mon, 07 Nov 1994 08:49:37 GMT";
        check(
            &[(IF_NONE_MATCH, "\"x\""), (IF_MODIFIED_SINCE, date)],
            false,
        );
        check(
            &[(IF_NONE_MATCH, "nonsense"), (IF_MODIFIED_SINCE, date)],
            false,
        );
        check(
            &[(IF_MODIFIED_SINCE, date), (IF_MODIFIED_SINCE, date)],
            false,
        );
    }
}

//! Cache tags, by which sources are purged together.

use std::fmt;

use hyper::HeaderMap;
use hyper::header::HeaderName;
use serde::Deserialize;
use serde::Serialize;

/// The header field of Cloudflare.
const CACHE_TAG: HeaderName = HeaderName::from_static("cache-tag");

/// The longest tag, in bytes: Cloudflare's limit.
const MAX_TAG: usize = 1024;

/// The limits on the number of tags of one source, and on the bytes of all its tags. Cloudflare accepts no longer header. Further tags are left out.
const MAX_TAGS: usize = 100;
const MAX_BYTES: usize = 16 << 10;

/// A tag: printable ASCII without spaces and commas, in lower case, because `Shoes` and `shoes` are one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Tag(String);

/// A text that is not a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagError;

impl fmt::Display for TagError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "a tag must be 1 to {MAX_TAG} printable ASCII characters without spaces and commas"
        )
    }
}

impl std::error::Error for TagError {}

impl Tag {
    /// Reads a tag, in upper or lower case.
    ///
    /// # Errors
    /// [`TagError`] for a text that is not a tag.
    pub fn new(text: &str) -> Result<Self, TagError> {
        let is_tag = (1..=MAX_TAG).contains(&text.len())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && byte != b',');
        if is_tag {
            Ok(Tag(text.to_ascii_lowercase()))
        } else {
            Err(TagError)
        }
    }

    /// In lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Tag {
    type Error = TagError;

    fn try_from(text: String) -> Result<Self, TagError> {
        Tag::new(&text)
    }
}

impl From<Tag> for String {
    fn from(tag: Tag) -> Self {
        tag.0
    }
}

/// The tags of a response: those of its `Cache-Tag` header, and those of the operator for its source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tags {
    /// `None` without such a header.
    stated: Option<Vec<Tag>>,
    given: Vec<Tag>,
}

impl Tags {
    /// The tags in the header of a response, and those of the operator. A text that is not a tag is left out.
    pub fn of(headers: &HeaderMap, given: &[Tag]) -> Self {
        let lines = headers.get_all(CACHE_TAG);
        let is_stated = lines.iter().next().is_some();
        let stated = lines
            .iter()
            .flat_map(|line| line.as_bytes().split(|&byte| byte == b','))
            .filter_map(|tag| Tag::new(std::str::from_utf8(tag.trim_ascii()).ok()?).ok());
        Tags {
            stated: is_stated.then(|| limited(stated)),
            given: given.to_vec(),
        }
    }

    /// The tags of a source that was just fetched.
    pub fn into_tags(self) -> Vec<Tag> {
        limited(
            self.given
                .into_iter()
                .chain(self.stated.into_iter().flatten()),
        )
    }

    /// The tags of a source that had the tags `known` and was not modified. A 304 without the header keeps them.
    pub fn renewing(self, known: &[Tag]) -> Vec<Tag> {
        match self.stated {
            Some(_) => self.into_tags(),
            None => limited(self.given.into_iter().chain(known.iter().cloned())),
        }
    }
}

/// Removes duplicates, and all tags beyond the limits.
fn limited(tags: impl Iterator<Item = Tag>) -> Vec<Tag> {
    let mut kept: Vec<Tag> = Vec::new();
    let mut bytes = 0;
    for tag in tags {
        if kept.contains(&tag) {
            continue;
        }
        bytes += tag.0.len();
        if kept.len() == MAX_TAGS || bytes > MAX_BYTES {
            break;
        }
        kept.push(tag);
    }
    kept
}

#[cfg(test)]
mod tests {
    use hyper::HeaderMap;
    use hyper::header::HeaderValue;
    use proptest::prelude::any;
    use proptest::prop_assert;
    use proptest::proptest;

    use super::CACHE_TAG;
    use super::MAX_BYTES;
    use super::MAX_TAGS;
    use super::Tag;
    use super::Tags;

    fn headers(lines: &[&[u8]]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            let value = HeaderValue::from_bytes(line).expect("a test's own header value");
            headers.append(CACHE_TAG, value);
        }
        headers
    }

    fn tags(texts: &[&str]) -> Vec<Tag> {
        let tags = texts.iter().map(|text| Tag::new(text));
        tags.collect::<Result<_, _>>().expect("a test's own tags")
    }

    #[track_caller]
    fn check(lines: &[&[u8]], expected: &[&str]) {
        let found = Tags::of(&headers(lines), &[]).into_tags();
        let found: Vec<&str> = found.iter().map(Tag::as_str).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn tags_are_read_in_lower_case_and_once() {
        check(
            &[b"shoes,Red, product:12/a ,red"],
            &["shoes", "red", "product:12/a"],
        );
        check(&[b"a", b"b,A"], &["a", "b"]);
        check(&[], &[]);
        check(&[b""], &[]);
        check(&[b" ,,\t, "], &[]);
    }

    #[test]
    fn a_text_that_is_not_a_tag_is_left_out() {
        check(&[b"a b,c\td,e,\xff\xfe,\xc3\xa9,f"], &["e", "f"]);
        let long = "x".repeat(1025);
        check(
            &[format!("{long},{},y", &long[1..]).as_bytes()],
            &[&long[1..], "y"],
        );
    }

    #[test]
    fn the_number_and_size_of_tags_are_limited() {
        let many: Vec<String> = (0..5000).map(|number| format!("tag{number}")).collect();
        let found = Tags::of(&headers(&[many.join(",").as_bytes()]), &[]).into_tags();
        assert_eq!(found.len(), MAX_TAGS);
        assert_eq!(found[99].as_str(), "tag99");
        let long: Vec<String> = (0..50).map(|number| format!("{number:01000}")).collect();
        let found = Tags::of(&headers(&[long.join(",").as_bytes()]), &[]).into_tags();
        assert_eq!(found.len(), MAX_BYTES / 1000);
    }

    #[test]
    fn the_operators_tags_come_first_and_always() {
        let given = tags(&["bucket"]);
        let many: Vec<String> = (0..5000).map(|number| format!("tag{number}")).collect();
        let found = Tags::of(&headers(&[many.join(",").as_bytes()]), &given).into_tags();
        assert_eq!((found.len(), &found[0]), (MAX_TAGS, &given[0]));
        assert_eq!(Tags::of(&headers(&[]), &given).into_tags(), given);
    }

    #[test]
    fn a_304_replaces_tags_only_if_it_has_some() {
        let known = tags(&["old", "bucket"]);
        let renewed = |lines: &[&[u8]]| {
            Tags::of(&headers(lines), &tags(&["bucket", "late"])).renewing(&known)
        };
        assert_eq!(renewed(&[]), tags(&["bucket", "late", "old"]));
        assert_eq!(renewed(&[b"new"]), tags(&["bucket", "late", "new"]));
        assert_eq!(renewed(&[b""]), tags(&["bucket", "late"]));
    }

    #[test]
    fn tags_are_serialized_and_checked_when_read() {
        #[derive(serde::Serialize, serde::Deserialize)]
        struct Stored {
            tags: Vec<Tag>,
        }
        let stored = Stored {
            tags: tags(&["a\"b'\\", "c"]),
        };
        let text = toml::to_string(&stored).expect("tags are plain data");
        let read: Stored = toml::from_str(&text).expect("just written");
        assert_eq!(read.tags, stored.tags);
        assert!(toml::from_str::<Stored>("tags = [\"a b\"]").is_err());
    }

    proptest! {
        #[test]
        fn any_header_results_in_valid_tags(lines in proptest::collection::vec(any::<Vec<u8>>(), 0..4)) {
            let mut headers = HeaderMap::new();
            for line in &lines {
                if let Ok(value) = HeaderValue::from_bytes(line) {
                    headers.append(CACHE_TAG, value);
                }
            }
            for tag in Tags::of(&headers, &[]).into_tags() {
                prop_assert!(Tag::new(tag.as_str()) == Ok(tag));
            }
        }
    }
}

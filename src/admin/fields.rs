//! Bodies of requests: read up to a bound, and told by their fields. Every byte is hostile until the token has been seen, and nothing is read
//! before.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Body;
use serde::Deserialize;
use serde::Deserializer;
use serde::de::MapAccess;
use serde::de::Visitor;
use serde_json::Value;

use crate::operator::PurgeTarget;

/// The longest body: room for as many things as one call may name, in bytes.
pub(super) const MAX_BODY_BYTES: usize = 1 << 20;
/// Things that one call may name. Cloudflare takes 500 at most.
pub(super) const MAX_TARGETS: usize = 500;
/// What is read of a longer body, so that whoever sends it comes to hear why it is refused, in bytes.
const DRAINED_BYTES: usize = 8 << 20;
/// The longest that a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest value that a message repeats, in characters.
const MAX_QUOTED: usize = 100;

/// Why there is no body to look into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyError {
    TooLong,
    TooSlow,
    /// The connection broke.
    Broken,
}

/// Reads a body.
pub(super) async fn read<B: Body<Data = Bytes> + Unpin>(body: B) -> Result<Vec<u8>, BodyError> {
    let reading = read_all(body);
    let read = tokio::time::timeout(BODY_TIMEOUT, reading).await;
    read.map_err(|_| BodyError::TooSlow)?
}

async fn read_all<B: Body<Data = Bytes> + Unpin>(mut body: B) -> Result<Vec<u8>, BodyError> {
    let (mut read, mut length) = (Vec::new(), 0);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| BodyError::Broken)?;
        let piece = frame.into_data().unwrap_or_default();
        length += piece.len();
        if length <= MAX_BODY_BYTES {
            read.extend_from_slice(&piece);
        } else if length > DRAINED_BYTES {
            break;
        }
    }
    (length <= MAX_BODY_BYTES)
        .then_some(read)
        .ok_or(BodyError::TooLong)
}

/// The fields of a JSON object, in their order. A name that is there twice is there twice: nothing that was to be purged is passed over.
#[derive(Debug, PartialEq)]
pub(super) struct Fields(pub Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(Fields(fields))
    }
}

impl Fields {
    /// Reads a body that should be a JSON object.
    pub fn of(body: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(body)
            .map_err(|error| format!("the body must be a JSON object: {error}"))
    }
}

/// What one call asks for, as far as it could be read, and what is wrong with the rest.
#[derive(Debug, Default, PartialEq)]
pub(super) struct FieldReader {
    pub targets: Vec<PurgeTarget>,
    pub soft: bool,
    pub errors: Vec<String>,
}

impl FieldReader {
    /// Takes in a text or a list of texts.
    pub fn texts(&mut self, name: &str, value: &Value, asked: impl Fn(&str) -> PurgeTarget) {
        let texts = self.list(name, value);
        self.targets.extend(texts.iter().map(|text| asked(text)));
    }

    /// A text or a list of texts.
    pub fn list(&mut self, name: &str, value: &Value) -> Vec<String> {
        let one = std::slice::from_ref(value);
        let mut texts = Vec::new();
        for value in value.as_array().map_or(one, Vec::as_slice) {
            match value.as_str() {
                Some(text) => texts.push(text.to_owned()),
                None => self.mistake(name, "a string or a list of strings", value),
            }
        }
        texts
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, name: &str, value: &Value) -> bool {
        value.as_bool().unwrap_or_else(|| {
            self.mistake(name, "`true` or `false`", value);
            false
        })
    }

    pub fn mistake(&mut self, name: &str, expected: &str, value: &Value) {
        let value: String = value.to_string().chars().take(MAX_QUOTED).collect();
        self.errors
            .push(format!("field `{name}` must be {expected}, got {value}"));
    }

    /// A field that is none.
    pub fn unknown(&mut self, name: &str, known: &str) {
        let name: String = name.chars().take(MAX_QUOTED).collect();
        self.errors
            .push(format!("field `{name}` does not exist: there are {known}"));
    }

    /// Judges the call as a whole.
    pub fn finish(mut self, needed: &str) -> Result<(Vec<PurgeTarget>, bool), Vec<String>> {
        if self.errors.is_empty() && self.targets.is_empty() {
            self.errors.push(needed.to_owned());
        }
        if self.targets.len() > MAX_TARGETS {
            let count = self.targets.len();
            self.errors.push(format!(
                "one call may name at most {MAX_TARGETS} things, got {count}: send several"
            ));
        }
        if self.errors.is_empty() {
            Ok((self.targets, self.soft))
        } else {
            self.errors.truncate(MAX_TARGETS);
            Err(self.errors)
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http_body_util::Full;

    use super::BodyError;
    use super::Fields;
    use super::MAX_BODY_BYTES;
    use super::read;

    #[tokio::test]
    async fn a_body_is_read_up_to_its_bound() {
        for (length, is_read) in [
            (0, true),
            (MAX_BODY_BYTES, true),
            (MAX_BODY_BYTES + 1, false),
        ] {
            let body = Full::new(Bytes::from(vec![b' '; length]));
            let outcome = read(body).await.map(|read| read.len());
            let expected = is_read.then_some(length).ok_or(BodyError::TooLong);
            assert_eq!(outcome, expected);
        }
    }

    #[test]
    fn nothing_but_an_object_is_one() {
        for body in ["", "[]", "null", "\"x\"", "{", "{}x", "{\"a\":}"] {
            let error = Fields::of(body.as_bytes()).expect_err(body);
            assert!(
                error.starts_with("the body must be a JSON object"),
                "{error}"
            );
        }
        let deep = "[".repeat(100_000);
        assert!(Fields::of(format!("{{\"a\":{deep}").as_bytes()).is_err());
    }

    #[test]
    fn a_name_that_is_there_twice_counts_twice() {
        let fields = Fields::of(br#"{"tag":"a","tag":"b"}"#).expect("an object");
        assert_eq!(fields.0.len(), 2);
    }
}

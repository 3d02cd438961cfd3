//! Reads the body of a request up to a limit, and its fields. The token is checked before: bodies of strangers are never read.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Body;
use serde::Deserialize;
use serde::Deserializer;
use serde::de::{MapAccess, Visitor};
use serde_json::Value;

use crate::operator::PurgeTarget;

/// The longest body, in bytes. It has room for all targets that one request may name.
pub(super) const MAX_BODY_BYTES: usize = 1 << 20;
/// The most targets of one request. Cloudflare has the same limit.
pub(super) const MAX_TARGETS: usize = 500;
/// How much of a longer body is read and dropped, in bytes, so that its client gets to read why it is refused.
const DRAINED_BYTES: usize = 8 << 20;
/// The longest that a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// The most characters of a value that a message repeats.
const MAX_QUOTED: usize = 100;

/// Why a body cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyError {
    TooLong,
    TooSlow,
    /// The connection ended early.
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

/// The fields of a JSON object, in their order. Fields with the same name are all kept, so that no target of a purge is lost.
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
    /// Parses a body that must be a JSON object.
    pub(super) fn of(body: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(body)
            .map_err(|error| format!("the body must be a JSON object: {error}"))
    }
}

/// Collects the targets of a request, and everything that is wrong with its fields.
#[derive(Debug, Default, PartialEq)]
pub(super) struct FieldReader {
    pub targets: Vec<PurgeTarget>,
    pub soft: bool,
    pub errors: Vec<String>,
}

impl FieldReader {
    /// Adds a target for each text of a field.
    pub(super) fn texts(
        &mut self,
        name: &str,
        value: &Value,
        target: impl Fn(&str) -> PurgeTarget,
    ) {
        let texts = self.list(name, value);
        self.targets.extend(texts.iter().map(|text| target(text)));
    }

    /// The texts of a field, which must be a string or a list of strings.
    pub(super) fn list(&mut self, name: &str, value: &Value) -> Vec<String> {
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

    /// The value of a field that must be `true` or `false`.
    pub(super) fn boolean(&mut self, name: &str, value: &Value) -> bool {
        value.as_bool().unwrap_or_else(|| {
            self.mistake(name, "`true` or `false`", value);
            false
        })
    }

    /// Adds that a field has a wrong value.
    pub(super) fn mistake(&mut self, name: &str, expected: &str, value: &Value) {
        let value: String = value.to_string().chars().take(MAX_QUOTED).collect();
        self.errors
            .push(format!("field `{name}` must be {expected}, got {value}"));
    }

    /// Adds that a field does not exist.
    pub(super) fn unknown(&mut self, name: &str, known: &str) {
        let name: String = name.chars().take(MAX_QUOTED).collect();
        self.errors
            .push(format!("field `{name}` does not exist: there are {known}"));
    }

    /// Checks the request as a whole, and returns its targets and whether it is soft, or everything that is wrong.
    pub(super) fn finish(mut self, needed: &str) -> Result<(Vec<PurgeTarget>, bool), Vec<String>> {
        if self.errors.is_empty() && self.targets.is_empty() {
            self.errors.push(needed.to_owned());
        }
        if self.targets.len() > MAX_TARGETS {
            let count = self.targets.len();
            self.errors.push(format!(
                "one request may name at most {MAX_TARGETS} targets, got {count}: send several requests"
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
    async fn a_body_is_read_up_to_its_limit() {
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
    fn only_an_object_is_accepted() {
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
    fn a_field_that_is_there_twice_counts_twice() {
        let fields = Fields::of(br#"{"tag":"a","tag":"b"}"#).expect("an object");
        assert_eq!(fields.0.len(), 2);
    }
}

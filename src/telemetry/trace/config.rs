//! Section `[traces]` of the settings.

use std::fmt;
use std::path::PathBuf;

use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};
use serde::Deserialize;
use toml::Value;
use url::Url;

use crate::telemetry::redaction::redacted;

/// Where collectors take traces, below the address that operators know.
const PATH: &str = "/v1/traces";

/// Section `[traces]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TracesConfig {
    /// The collector. Without one there are no traces.
    pub endpoint: Endpoint,
    /// The part of the requests whose traces are recorded, from 0 to 1.
    pub sample_ratio: Ratio,
    /// Whether a request that names a trace belongs to it, and is recorded if and only if that trace is.
    pub accept_parent: bool,
    /// Header fields that the collector wants, such as a key.
    pub headers: HeaderFields,
    /// A file with more of them, a line `name: value` for each.
    pub headers_file: Option<PathBuf>,
    /// What this server is called in traces.
    pub service_name: String,
}

impl Default for TracesConfig {
    fn default() -> Self {
        TracesConfig {
            endpoint: Endpoint::default(),
            sample_ratio: Ratio(1.0),
            accept_parent: true,
            headers: HeaderFields::default(),
            headers_file: None,
            service_name: "safelight".to_owned(),
        }
    }
}

/// The URL of a collector, or none. `Debug` hides a password in it.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Endpoint(Option<Url>);

impl Endpoint {
    /// The URL that spans are sent to.
    pub(super) fn url(&self) -> Option<&Url> {
        self.0.as_ref()
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.as_ref().map_or("", Url::as_str);
        out.debug_tuple("Endpoint").field(&redacted(text)).finish()
    }
}

/// A value of the section that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TracesConfigError(String);

impl fmt::Display for TracesConfigError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for TracesConfigError {}

impl TryFrom<String> for Endpoint {
    type Error = TracesConfigError;

    fn try_from(text: String) -> Result<Self, TracesConfigError> {
        if text.is_empty() {
            return Ok(Endpoint(None));
        }
        let wrong = || {
            TracesConfigError(format!(
                "must be the URL of a collector, as in `http://127.0.0.1:4318`, or empty, got `{}`",
                redacted(&text)
            ))
        };
        let mut url = Url::parse(&text).map_err(|_| wrong())?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong());
        }
        if url.path() == "/" {
            url.set_path(PATH);
        }
        Ok(Endpoint(Some(url)))
    }
}

/// A part of a whole, from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(try_from = "f64")]
pub struct Ratio(f64);

impl Ratio {
    pub(super) fn number(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for Ratio {
    type Error = TracesConfigError;

    fn try_from(number: f64) -> Result<Self, TracesConfigError> {
        if (0.0..=1.0).contains(&number) {
            return Ok(Ratio(number));
        }
        Err(TracesConfigError(format!(
            "must be a number from 0 to 1, got `{number}`"
        )))
    }
}

/// Header fields. Their values are secrets, which `Debug` hides.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Value")]
pub struct HeaderFields(HeaderMap);

impl HeaderFields {
    /// Reads lines of `name: value`. Empty lines are left out.
    ///
    /// # Errors
    /// [`TracesConfigError`] tells the number of the line, and nothing of what is in it.
    pub(super) fn parse(text: &str) -> Result<Self, TracesConfigError> {
        let mut fields = HeaderMap::new();
        for (index, line) in text.lines().enumerate() {
            if line.trim().is_empty() {
                continue;
            }
            let field = line.split_once(':');
            let field = field.and_then(|(name, value)| field_of(name.trim(), value.trim()));
            let (name, value) = field.ok_or_else(|| {
                TracesConfigError(format!(
                    "line {} must be a header field, as in `authorization: Bearer …`",
                    index + 1
                ))
            })?;
            fields.insert(name, value);
        }
        Ok(HeaderFields(fields))
    }

    pub(super) fn map(&self) -> &HeaderMap {
        &self.0
    }
}

impl TryFrom<Value> for HeaderFields {
    type Error = TracesConfigError;

    /// No message repeats what is there: it may be a secret at the wrong place.
    fn try_from(given: Value) -> Result<Self, TracesConfigError> {
        let wrong = || TracesConfigError(EXPECTED.to_owned());
        let mut fields = HeaderMap::new();
        for (name, value) in given.as_table().ok_or_else(wrong)? {
            let field = value.as_str().and_then(|value| field_of(name, value));
            let (name, value) = field.ok_or_else(wrong)?;
            fields.insert(name, value);
        }
        Ok(HeaderFields(fields))
    }
}

const EXPECTED: &str =
    "must be names and values of header fields, as in `{ authorization = \"Bearer KEY\" }`";

fn field_of(name: &str, value: &str) -> Option<(HeaderName, HeaderValue)> {
    let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
    let mut value = HeaderValue::from_str(value).ok()?;
    value.set_sensitive(true);
    Some((name, value))
}

#[cfg(test)]
mod tests {
    use super::{Endpoint, HeaderFields, TracesConfig};

    #[test]
    fn a_collector_is_named_by_its_address_or_by_its_whole_url() {
        for (text, url) in [
            ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
            ("https://otel.test/", "https://otel.test/v1/traces"),
            ("https://otel.test/api/otlp", "https://otel.test/api/otlp"),
        ] {
            let endpoint = Endpoint::try_from(text.to_owned()).expect("a URL");
            assert_eq!(endpoint.url().map(url::Url::as_str), Some(url), "{text}");
        }
        let none = Endpoint::try_from(String::new()).expect("no collector");
        assert_eq!(none, Endpoint::default());
        for text in ["127.0.0.1:4318", "grpc://127.0.0.1:4317", "otel", "http://"] {
            let error = Endpoint::try_from(text.to_owned()).expect_err("no URL");
            assert!(error.to_string().contains(text), "{error}");
        }
    }

    #[test]
    fn secrets_of_the_section_are_not_shown() {
        let text = "endpoint = 'http://user:hunter2@otel.test'\nheaders = { x-key = 'hunter2' }";
        let config: TracesConfig = toml::from_str(text).expect("right settings");
        assert!(!format!("{config:?}").contains("hunter2"), "{config:?}");
        let wrong = Endpoint::try_from("grpc://user:hunter2@otel.test".to_owned());
        assert!(!wrong.expect_err("no HTTP").to_string().contains("hunter2"));
        for text in [
            "headers = { 'a b' = 'hunter2' }",
            "headers = { a = \"hunter2\\n\" }",
            "headers = { a = ['hunter2'] }",
            "headers = 'hunter2'",
        ] {
            let error = toml::from_str::<TracesConfig>(text).expect_err("no field");
            assert!(!error.message().contains("hunter2"), "{error}");
        }
        let error = HeaderFields::parse("a: b\n\nhunter2\n").expect_err("no field");
        let expected = "line 3 must be a header field, as in `authorization: Bearer …`";
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn the_ratio_is_a_part_of_one() {
        for ratio in ["0", "1", "0.01", "1.0"] {
            let text = format!("sample_ratio = {ratio}");
            assert!(toml::from_str::<TracesConfig>(&text).is_ok(), "{ratio}");
        }
        for ratio in ["-0.1", "1.01", "nan", "100"] {
            let text = format!("sample_ratio = {ratio}");
            assert!(toml::from_str::<TracesConfig>(&text).is_err(), "{ratio}");
        }
    }
}

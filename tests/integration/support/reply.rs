//! An answer, and assertions about it. Every failure shows the whole head.

use std::fmt;

use bytes::Bytes;
use hyper::HeaderMap;
use hyper::Version;

use super::samples;

pub struct Reply {
    pub target: String,
    pub version: Version,
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Reply {
    /// The values of a header, joined; empty if there is none.
    pub fn header(&self, name: &str) -> String {
        let lines: Vec<_> = self
            .headers
            .get_all(name)
            .iter()
            .map(|value| String::from_utf8_lossy(value.as_bytes()))
            .collect();
        lines.join(", ")
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub fn assert_status(&self, status: u16) -> &Self {
        assert_eq!(self.status, status, "{self}");
        self
    }

    #[track_caller]
    pub fn assert_header(&self, name: &str, value: &str) -> &Self {
        assert_eq!(self.header(name), value, "header {name} of {self}");
        self
    }

    #[track_caller]
    pub fn assert_header_has(&self, name: &str, part: &str) -> &Self {
        let value = self.header(name);
        assert!(value.contains(part), "no `{part}` in {name} of {self}");
        self
    }

    #[track_caller]
    pub fn assert_no_header(&self, name: &str) -> &Self {
        assert!(!self.headers.contains_key(name), "{name} in {self}");
        self
    }

    /// A picture of this size in pixels, which decodes, and is what its type says.
    #[track_caller]
    pub fn assert_size(&self, width: u32, height: u32) -> &Self {
        self.assert_status(200);
        assert_eq!(
            samples::mime_of(&self.body),
            self.header("content-type"),
            "{self}"
        );
        assert_eq!(samples::size_of(&self.body), (width, height), "{self}");
        self
    }

    /// Asserts `ERROR 9404: …`, the same number in `Cf-Resized`, and the cache lifetime of such errors.
    #[track_caller]
    pub fn assert_error(&self, status: u16, number: u16) -> &Self {
        self.assert_status(status)
            .assert_header("cf-resized", &format!("err={number}"))
            .assert_header("content-type", "text/plain; charset=utf-8")
            .assert_header("x-content-type-options", "nosniff");
        let lives: &[&str] = match (status, number) {
            (404, _) => &["public, max-age=10"],
            (400, 9401) | (403, 9406 | 9419 | 9426 | 9427) => &["public, max-age=300"],
            // The requested size is too large, or the source is.
            (403, 9413) => &["public, max-age=300", "public, max-age=60"],
            (413 | 415 | 422, _) => &["public, max-age=60"],
            // The deadline of the request has passed, or that of the render.
            (504, 9529) => &["no-store", "public, max-age=60"],
            _ => &["no-store"],
        };
        let life = self.header("cache-control");
        assert!(lives.contains(&life.as_str()), "not {lives:?}: {self}");
        let text = self.text();
        assert!(
            text.starts_with(&format!("ERROR {number}: ")) && text.ends_with('\n'),
            "{self}"
        );
        self
    }

    /// Asserts that neither head nor body contains a secret.
    #[track_caller]
    pub fn assert_keeps_quiet_about(&self, secrets: &[&str]) -> &Self {
        let whole = self.to_string();
        for secret in secrets {
            assert!(!whole.contains(secret), "contains `{secret}`: {whole}");
        }
        self
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "the answer {} to:", self.status)?;
        writeln!(out, "{}", self.target)?;
        for (name, value) in &self.headers {
            writeln!(
                out,
                "  {name}: {}",
                String::from_utf8_lossy(value.as_bytes())
            )?;
        }
        match std::str::from_utf8(&self.body) {
            Ok(text) => out.write_str(text),
            Err(_) => write!(out, "({} bytes)", self.body.len()),
        }
    }
}

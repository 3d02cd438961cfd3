//! What operators see: one log line for each request, and numbers to scrape. Never a secret: whatever is or holds a URL is [`redacted`] before it is
//! logged, because signatures live in queries, and passwords before hosts.

mod log_writer;
mod metrics;
mod rate;
mod redaction;

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::io::IsTerminal;
use std::time::Duration;

use serde::Deserialize;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use log_writer::LogWriter;

pub use log_writer::LogGuard;
pub use metrics::Metrics;
pub use metrics::RenderStep;
pub use metrics::RequestOutcome;
pub use rate::LogRate;
pub use redaction::redacted;

/// Section `[log]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// `text` for people, `json` for machines.
    pub format: LogFormat,
    /// `error`, `warn`, `info`, `debug` or `trace`, or a filter such as `info,safelight::source=debug`.
    pub level: String,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            format: LogFormat::Text,
            level: "info".to_owned(),
        }
    }
}

/// A log filter that cannot be read.
#[derive(Debug)]
pub struct FilterError {
    text: String,
    reason: String,
}

impl fmt::Display for FilterError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "setting `log.level` must be a level such as \"info\", got `{}`: {}",
            self.text, self.reason
        )
    }
}

impl std::error::Error for FilterError {}

/// Sends everything that is logged to standard error, the last of it when what is returned is dropped. The first call in a process counts.
///
/// # Errors
/// [`FilterError`] when the level is none.
pub fn start(config: &Config) -> Result<LogGuard, FilterError> {
    let filter = filter(&config.level)?;
    let (writer, logging) = LogWriter::start(io::stderr());
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        .with_ansi(io::stderr().is_terminal());
    // A second subscriber (a test, an embedding program that has its own) is no mistake.
    let _ = match config.format {
        LogFormat::Text => lines.with_target(false).try_init(),
        LogFormat::Json => lines
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .try_init(),
    };
    Ok(logging)
}

/// What is logged. A word alone that is no level would be the name of a module, and nothing but that would be logged: `warning` must not be taken so.
fn filter(text: &str) -> Result<EnvFilter, FilterError> {
    let error = |reason: String| FilterError {
        text: text.to_owned(),
        reason,
    };
    let is_sound = |part: &&str| part.contains('=') || part.trim().parse::<LevelFilter>().is_ok();
    if let Some(part) = text.split(',').find(|part| !is_sound(part)) {
        let reason = format!("`{part}` is none of error, warn, info, debug, trace and off");
        return Err(error(reason));
    }
    // The bucket client logs every second try, for as long as a bucket is dead: what comes of it is logged by this program.
    let is_usual = text.split(',').any(|part| {
        part.trim()
            .parse::<LevelFilter>()
            .is_ok_and(|level| level == LevelFilter::INFO)
    });
    let quieter = format!("{text},object_store=warn");
    let text = if is_usual && !text.contains("object_store") {
        &quieter
    } else {
        text
    };
    EnvFilter::try_new(text).map_err(|cause| error(cause.to_string()))
}

/// The most of a text of a client that a log line repeats, in bytes: else the log grows as fast as anybody cares to send.
const MAX_TEXT_BYTES: usize = 2048;

/// The beginning of a text that is long, and how long it is.
fn shortened(text: &str) -> Cow<'_, str> {
    if text.len() <= MAX_TEXT_BYTES {
        return Cow::Borrowed(text);
    }
    let start = &text[..text.floor_char_boundary(MAX_TEXT_BYTES)];
    Cow::Owned(format!("{start}… ({} bytes)", text.len()))
}

/// One request, as its log line tells it.
#[derive(Debug)]
pub struct AccessLog<'a> {
    /// GET, HEAD.
    pub method: &'a str,
    /// The target.
    pub path: &'a str,
    /// The answer.
    pub status: u16,
    /// Length of its body.
    pub bytes: u64,
    /// From head to head.
    pub duration: Duration,
    /// Where the answer came from; empty where no cache was asked.
    pub cache: &'static str,
    /// The stable word of an error, or nothing.
    pub code: &'static str,
    /// The whole story of an error, or nothing.
    pub error: &'a str,
}

impl AccessLog<'_> {
    /// Writes the line.
    pub fn log(&self) {
        if !tracing::enabled!(tracing::Level::INFO) {
            return;
        }
        let AccessLog {
            method,
            path,
            status,
            bytes,
            duration,
            cache,
            code,
            error,
        } = *self;
        let method = &*shortened(method);
        let path = redacted(path);
        let path = &*shortened(&path);
        let ms = duration.as_secs_f64() * 1000.0;
        let ms = (ms * 100.0).round() / 100.0;
        if error.is_empty() {
            tracing::info!(method, path, status, bytes, ms, cache, "request");
        } else {
            let error = redacted(error);
            let error = &*shortened(&error);
            tracing::info!(
                method, path, status, bytes, ms, cache, code, error, "request"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::MAX_TEXT_BYTES;
    use super::filter;
    use super::shortened;

    #[test]
    fn a_word_that_is_no_level_is_refused() {
        for text in [
            "info",
            "WARN",
            "off",
            "info,safelight::source=debug",
            "safelight=trace, error",
        ] {
            assert!(filter(text).is_ok(), "{text}");
        }
        for text in ["warning", "verbose", "info,loud", "info,safelight=loud"] {
            let error = filter(text).expect_err("is no filter").to_string();
            let start =
                format!("setting `log.level` must be a level such as \"info\", got `{text}`: ");
            assert!(error.starts_with(&start), "{error}");
        }
    }

    #[test]
    fn the_bucket_client_does_not_log_its_tries_unless_it_is_asked_to() {
        for (text, is_quieter) in [
            ("info", true),
            ("info,safelight::source=debug", true),
            ("info,object_store=debug", false),
            ("error", false),
            ("trace", false),
        ] {
            let directives = filter(text).expect("is a filter").to_string();
            assert_eq!(
                directives.contains("object_store=warn"),
                is_quieter,
                "{text}"
            );
        }
    }

    #[test]
    fn a_long_text_is_cut_in_the_log() {
        assert_eq!(shortened("/a.jpg"), "/a.jpg");
        let told = shortened(&format!("a{}", "é".repeat(MAX_TEXT_BYTES))).into_owned();
        assert!(told.len() < MAX_TEXT_BYTES + 32, "{} bytes", told.len());
        assert!(told.ends_with("é… (4097 bytes)"), "{told}");
    }
}

//! Logs, metrics and traces: one log line for each request, metrics for Prometheus, and spans for OpenTelemetry. Every text that is a URL or contains
//! one is [`redacted`] before it is logged, because queries contain signatures, and a password may stand before the host.

mod config;
mod log_writer;
mod metrics;
mod rate;
mod redaction;
pub(crate) mod trace;

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::io::IsTerminal;
use std::time::Duration;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use log_writer::LogWriter;

pub(crate) use config::Config;
pub(crate) use config::LogFormat;
pub(crate) use log_writer::LogGuard;
pub(crate) use metrics::Metrics;
pub(crate) use metrics::RenderStep;
pub(crate) use metrics::RequestOutcome;
pub(crate) use metrics::UploadStep;
pub(crate) use rate::LogRate;
pub(crate) use redaction::redacted;
pub(crate) use trace::TracesConfig;

/// Why `log.level` cannot be read.
#[derive(Debug)]
pub(crate) struct FilterError {
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

/// Starts to write log lines to standard error. The last lines are written when the guard is dropped. Only the first call in a process counts.
///
/// # Errors
/// [`FilterError`] when `log.level` is neither a level nor a filter.
pub(crate) fn start(config: &Config) -> Result<(LogGuard, LogLevel), FilterError> {
    let filter = filter(&config.level)?;
    let (writer, logging) = LogWriter::start(io::stderr(), config.format);
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        .with_ansi(io::stderr().is_terminal());
    // An error means that there is a subscriber already: that of a test, or of a program that embeds this library.
    let level = match config.format {
        LogFormat::Text => {
            let lines = lines.with_target(false).with_filter_reloading();
            let handle = lines.reload_handle();
            let _ = lines.try_init();
            LogLevel(Box::new(move |filter| handle.reload(filter).is_ok()))
        }
        LogFormat::Json => {
            let lines = lines.json().flatten_event(true).with_current_span(false);
            let lines = lines.with_filter_reloading();
            let handle = lines.reload_handle();
            let _ = lines.try_init();
            LogLevel(Box::new(move |filter| handle.reload(filter).is_ok()))
        }
    };
    Ok((logging, level))
}

/// What is logged, which can be changed.
pub(crate) struct LogLevel(Box<dyn Fn(EnvFilter) -> bool + Send + Sync>);

impl LogLevel {
    /// Logs by another level or filter from now on.
    pub(crate) fn set(&self, level: &Level) {
        // An error means that nothing is logged any more.
        let _ = (self.0)(level.0.clone());
    }
}

/// A `log.level` that can be used.
pub(crate) struct Level(EnvFilter);

impl Level {
    /// Reads it.
    ///
    /// # Errors
    /// [`FilterError`] when it is neither a level nor a filter.
    pub(crate) fn of(config: &Config) -> Result<Self, FilterError> {
        filter(&config.level).map(Level)
    }
}

/// Reads the filter. Without this check a word that is not a level, such as `warning`, would be taken for the name of a module, and nothing else would
/// be logged.
fn filter(text: &str) -> Result<EnvFilter, FilterError> {
    let error = |reason: String| FilterError {
        text: text.to_owned(),
        reason,
    };
    let is_sound = |part: &&str| part.contains('=') || part.trim().parse::<LevelFilter>().is_ok();
    if let Some(part) = text.split(',').find(|part| !is_sound(part)) {
        let reason = format!("`{part}` is not one of error, warn, info, debug, trace and off");
        return Err(error(reason));
    }
    // The bucket client logs each of its retries while a bucket does not answer. This program logs the outcome.
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

/// The most bytes of a client's text in a log line or a span. Without a limit, clients could fill the log and the memory.
const MAX_TEXT_BYTES: usize = 2048;

/// The beginning of a long text, and its length.
fn shortened(text: &str) -> Cow<'_, str> {
    if text.len() <= MAX_TEXT_BYTES {
        return Cow::Borrowed(text);
    }
    let start = &text[..text.floor_char_boundary(MAX_TEXT_BYTES)];
    Cow::Owned(format!("{start}… ({} bytes)", text.len()))
}

/// The log line of a request.
#[derive(Debug)]
pub(crate) struct AccessLog<'a> {
    /// The method.
    pub method: &'a str,
    /// The path of the request.
    pub path: &'a str,
    /// Whether the path names a hosted image: then it holds no other URL, and a `?` in it is a part of the name.
    pub is_hosted: bool,
    /// The status of the answer.
    pub status: u16,
    /// The length of its body.
    pub bytes: u64,
    /// From the head of the request to the head of its answer.
    pub duration: Duration,
    /// Where the answer came from; empty where the cache was not used.
    pub cache: &'static str,
    /// The flow that took the request, if one did.
    pub flow: Option<&'a str>,
    /// The stable word of an error; empty where there is none.
    pub code: &'static str,
    /// All that is known of an error; empty where there is none.
    pub error: &'a str,
}

impl AccessLog<'_> {
    /// The path without secrets, and no longer than may be.
    fn short_path(&self) -> Cow<'_, str> {
        let path = match self.is_hosted {
            true => Cow::Borrowed(self.path),
            false => redacted(self.path),
        };
        match shortened(&path) {
            Cow::Owned(start) => Cow::Owned(start),
            Cow::Borrowed(_) => path,
        }
    }

    /// Puts what the line says into the span of the request, if it is recorded. `route` is what the paths of its kind have in common.
    pub(crate) fn trace<'a>(&self, route: impl FnOnce() -> Option<&'a str>) {
        if !trace::is_recorded() {
            return;
        }
        trace::note("url.path", self.short_path().into_owned());
        trace::note("safelight.cache", self.cache);
        match (self.flow, route()) {
            (Some(route), _) | (None, Some(route)) => trace::note("http.route", route.to_owned()),
            (None, None) => {}
        }
        if !self.code.is_empty() {
            trace::note("safelight.error", self.code);
        }
    }

    /// Writes the line.
    pub(crate) fn log(&self) {
        if !tracing::enabled!(tracing::Level::INFO) {
            return;
        }
        let path = &*self.short_path();
        let AccessLog {
            method,
            status,
            bytes,
            duration,
            cache,
            flow,
            code,
            error,
            ..
        } = *self;
        let method = &*shortened(method);
        let ms = duration.as_secs_f64() * 1000.0;
        let ms = (ms * 100.0).round() / 100.0;
        if error.is_empty() {
            tracing::info!(method, path, status, bytes, ms, cache, flow, "request");
        } else {
            let error = redacted(error);
            let error = &*shortened(&error);
            tracing::info!(
                method, path, status, bytes, ms, cache, flow, code, error, "request"
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
    fn a_word_that_is_not_a_level_is_refused() {
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
    fn the_bucket_client_logs_its_retries_only_on_request() {
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

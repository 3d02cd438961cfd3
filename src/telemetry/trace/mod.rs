//! Traces: a span for each request and for each of its steps, which a collector of OpenTelemetry gets.
//!
//! A task that works for a request carries the [`Trace`], with the spans that are open in it. A new span belongs to the innermost of them. What runs in a
//! task of its own is given the trace with [`fork`] and [`follow`]. The header of requests to origins and buckets names the span that they are sent for.
//!
//! Never: a secret of a URL in a span, anything that waits for the collector but the end of the process, more spans in memory than [`QUEUE`], any work
//! where there are no traces but one look whether there are.

mod config;
mod exporter;
mod header;
mod open_spans;
mod request;
mod span;
mod task;
mod tracer;

use std::fmt;
use std::fs;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider,
};

use config::HeaderFields;
use exporter::Exporter;
use tracer::{TRACER, Tracer};

pub use config::TracesConfig;
pub(crate) use request::{RequestTrace, of_request};
pub(crate) use span::Step;
pub(crate) use task::{
    SpanPlace, call, follow, fork, is_recorded, note, place, record, step, wait,
};
pub(crate) use tracer::{SpanCounts, counts};

/// The most spans that wait to be sent. Later ones are dropped.
const QUEUE: usize = 4096;

/// The most spans in one message.
const BATCH: usize = 512;

/// How long spans are collected before they are sent.
const INTERVAL: Duration = Duration::from_secs(1);

/// How long the end of the process waits for a collector that does not answer.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// Why there can be no traces.
#[derive(Debug)]
pub(crate) struct TraceError(String);

impl fmt::Display for TraceError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for TraceError {}

/// Sends the last spans when it is dropped.
#[must_use = "the last spans are sent when it is dropped"]
pub(crate) struct TraceGuard(SdkTracerProvider);

impl Drop for TraceGuard {
    fn drop(&mut self) {
        // An error means that the collector does not take them: that has been logged.
        let _ = self.0.shutdown_with_timeout(FLUSH_TIMEOUT);
    }
}

/// Starts to record traces, if the settings name a collector. Only the first call in a process counts.
///
/// # Errors
/// [`TraceError`] names the setting that cannot work.
pub(crate) fn start(config: &TracesConfig) -> Result<Option<TraceGuard>, TraceError> {
    let Some(url) = config.endpoint.url() else {
        return Ok(None);
    };
    let mut fields = config.headers.map().clone();
    if let Some(file) = &config.headers_file {
        let wrong = |error: &dyn fmt::Display| {
            let file = file.display();
            TraceError(format!("setting `traces.headers_file`: `{file}`: {error}"))
        };
        let text = fs::read_to_string(file).map_err(|error| wrong(&error))?;
        let more = HeaderFields::parse(&text).map_err(|error| wrong(&error))?;
        fields.extend(more.map().clone());
    }
    // Nothing of it comes from the environment.
    let resource = Resource::builder_empty()
        .with_attributes([
            KeyValue::new("service.name", config.service_name.clone()),
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", uuid::Uuid::new_v4().to_string()),
        ])
        .build();
    let exporter = Exporter::new(url, fields, &resource)
        .map_err(|error| TraceError(format!("traces cannot be sent: {error}")))?;
    let batches = BatchConfigBuilder::default()
        .with_max_queue_size(QUEUE)
        .with_max_export_batch_size(BATCH)
        .with_scheduled_delay(INTERVAL)
        .build();
    let processor = BatchSpanProcessor::builder(exporter)
        .with_batch_config(batches)
        .build();
    let ratio = Sampler::TraceIdRatioBased(config.sample_ratio.number());
    let provider = SdkTracerProvider::builder()
        .with_span_processor(processor)
        .with_sampler(Sampler::ParentBased(Box::new(ratio)))
        .with_resource(resource)
        .build();
    // An error means that there is a tracer already: that of another server in this process.
    let _ = TRACER.set(Tracer {
        tracer: provider.tracer("safelight"),
        accepts_parent: config.accept_parent,
    });
    Ok(Some(TraceGuard(provider)))
}

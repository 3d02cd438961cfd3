//! Sends spans to the collector, from the one thread of the queue of spans. That thread has a runtime of its own, so that no request shares a thread with
//! it. What the collector does not take is counted, and not sent again: later spans tell more than old ones.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::HeaderMap;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use prost::Message;
use reqwest::Client;
use tokio::runtime::{Builder, Runtime};
use url::Url;

use super::tracer::count_batch;
use crate::outbound::{Resolver, USER_AGENT, client, root_cause};

/// The longest that the collector may take for one message.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The most of an answer of the collector that is read, in bytes, so that its connection can be used again.
const MAX_ANSWER: usize = 64 << 10;

/// Sends spans to a collector.
pub(super) struct Exporter {
    /// `None` when it is dropped.
    runtime: Option<Runtime>,
    client: Client,
    url: Url,
    fields: HeaderMap,
    resource: ResourceAttributesWithSchema,
    /// Whether the last message was not taken.
    is_failing: AtomicBool,
}

impl Exporter {
    /// Sends nothing yet.
    ///
    /// # Errors
    /// The system gives no runtime or client.
    pub(super) fn new(url: &Url, mut fields: HeaderMap, resource: &Resource) -> io::Result<Self> {
        let kind = HeaderValue::from_static("application/x-protobuf");
        fields.insert(CONTENT_TYPE, kind);
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let client = client()
            .user_agent(USER_AGENT)
            .dns_resolver(Resolver::default())
            .timeout(TIMEOUT)
            .build()
            .map_err(|error| io::Error::other(root_cause(&error)))?;
        Ok(Exporter {
            runtime: Some(runtime),
            client,
            url: url.clone(),
            fields,
            resource: ResourceAttributesWithSchema::from(resource),
            is_failing: AtomicBool::new(false),
        })
    }

    /// Returns how many spans the collector has refused of a message that it has taken.
    async fn send(&self, spans: Vec<SpanData>) -> Result<usize, String> {
        let message = ExportTraceServiceRequest {
            resource_spans: group_spans_by_resource_and_scope(spans, &self.resource),
        };
        let request = self.client.post(self.url.clone());
        let request = request.headers(self.fields.clone());
        let answer = request.body(message.encode_to_vec()).send().await;
        let mut answer = answer.map_err(|error| root_cause(&error.without_url()))?;
        let status = answer.status();
        let mut body = Vec::new();
        while body.len() <= MAX_ANSWER
            && let Ok(Some(part)) = answer.chunk().await
        {
            body.extend_from_slice(&part);
        }
        match status.is_success() {
            true => Ok(refused(&body)),
            false => Err(format!("it answered {}", status.as_u16())),
        }
    }

    /// Logs the first failure of several in a row, and that there are no more.
    fn report(&self, outcome: &Result<(), String>) {
        let was_failing = self.is_failing.swap(outcome.is_err(), Ordering::Relaxed);
        let host = self.url.host_str().unwrap_or_default();
        let port = self.url.port_or_known_default().unwrap_or_default();
        let collector = format!("{host}:{port}");
        match outcome {
            Err(reason) if !was_failing => {
                tracing::warn!(
                    collector,
                    reason,
                    "the collector does not take traces: they are lost until it does"
                );
            }
            Ok(()) if was_failing => tracing::info!(collector, "the collector takes traces again"),
            _ => {}
        }
    }
}

/// How many spans a collector has refused, by the body of its answer. It says nothing where it has taken all.
fn refused(body: &[u8]) -> usize {
    let answer = ExportTraceServiceResponse::decode(body).unwrap_or_default();
    let refused = answer.partial_success.unwrap_or_default().rejected_spans;
    usize::try_from(refused).unwrap_or(0)
}

impl SpanExporter for Exporter {
    /// Returns when the collector has answered, or has not in time. The future does not wait: its thread does.
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len();
        let Some(runtime) = &self.runtime else {
            return Err(OTelSdkError::AlreadyShutdown);
        };
        let (refused, outcome) = match runtime.block_on(self.send(batch)) {
            Ok(0) => (0, Ok(())),
            Ok(refused) => (
                refused.min(count),
                Err(format!("it refused {refused} of {count} spans")),
            ),
            Err(reason) => (count, Err(reason)),
        };
        self.report(&outcome);
        count_batch(count - refused, true);
        count_batch(refused, false);
        outcome.map_err(OTelSdkError::InternalFailure)
    }
}

impl fmt::Debug for Exporter {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Exporter").finish_non_exhaustive()
    }
}

impl Drop for Exporter {
    /// Waits for nothing: a name server may be silent for longer than the process may take to end.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::{Duration, Instant};

    use hyper::HeaderMap;
    use opentelemetry_proto::tonic::collector::trace::v1::{
        ExportTracePartialSuccess, ExportTraceServiceResponse,
    };
    use opentelemetry_sdk::Resource;
    use prost::Message as _;
    use url::Url;

    use super::{Exporter, refused};

    #[test]
    fn spans_that_a_collector_refuses_are_counted() {
        let answer = |rejected_spans| {
            let partial_success = Some(ExportTracePartialSuccess {
                rejected_spans,
                error_message: "too many".to_owned(),
            });
            ExportTraceServiceResponse { partial_success }.encode_to_vec()
        };
        assert_eq!(refused(&answer(3)), 3);
        for answer in [&answer(0)[..], &answer(-1), b"", b"{}", b"<html>"] {
            assert_eq!(refused(answer), 0, "{answer:?}");
        }
    }

    #[test]
    fn a_lookup_that_hangs_does_not_hold_up_the_end() {
        let url = Url::parse("http://127.0.0.1:1/v1/traces").expect("a URL");
        let resource = Resource::builder_empty().build();
        let exporter = Exporter::new(&url, HeaderMap::new(), &resource).expect("an exporter");
        let (begun, has_begun) = channel();
        let runtime = exporter.runtime.as_ref().expect("it is not dropped");
        // Lookups of names run there as well.
        runtime.spawn_blocking(move || {
            begun.send(()).expect("it is waited for");
            std::thread::sleep(Duration::from_secs(10));
        });
        has_begun.recv().expect("it begins");
        let started = Instant::now();
        drop(exporter);
        assert!(started.elapsed() < Duration::from_secs(5));
    }
}

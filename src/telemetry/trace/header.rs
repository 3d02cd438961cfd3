//! `traceparent` and `tracestate`, which tell the trace of a request (W3C Trace Context).

use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};
use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::{SpanContext, TraceContextExt};
use opentelemetry_sdk::propagation::TraceContextPropagator;

/// The longest value that is read, in bytes. The standard wants 512 of `tracestate` to be kept.
const MAX_LENGTH: usize = 512;

/// The span that a request was sent for, if it names one.
pub(super) fn parent(headers: &HeaderMap) -> Option<SpanContext> {
    if !headers.contains_key("traceparent") {
        return None;
    }
    let read =
        TraceContextPropagator::new().extract_with_context(&Context::new(), &Reader(headers));
    let parent = read.span().span_context().clone();
    parent.is_valid().then_some(parent)
}

/// Names the span that a request is sent for.
pub(super) fn put(context: SpanContext, headers: &mut HeaderMap) {
    let context = Context::new().with_remote_span_context(context);
    TraceContextPropagator::new().inject_context(&context, &mut Writer(headers));
}

struct Reader<'a>(&'a HeaderMap);

impl Extractor for Reader<'_> {
    /// A field that is there twice, or is too long, counts as missing.
    fn get(&self, name: &str) -> Option<&str> {
        let mut values = self.0.get_all(name).iter();
        let (value, None) = (values.next()?, values.next()) else {
            return None;
        };
        value.to_str().ok().filter(|text| text.len() <= MAX_LENGTH)
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

struct Writer<'a>(&'a mut HeaderMap);

impl Injector for Writer<'_> {
    fn set(&mut self, name: &str, value: String) {
        let name = HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::try_from(value))
            && !value.is_empty()
        {
            self.0.insert(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use hyper::HeaderMap;
    use hyper::header::{HeaderName, HeaderValue};

    use super::{parent, put};

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            let value = HeaderValue::from_str(value).expect("a value");
            headers.append(HeaderName::from_static(name), value);
        }
        headers
    }

    #[test]
    fn a_trace_is_passed_on_as_it_came() {
        let given = headers(&[("traceparent", PARENT), ("tracestate", "vendor=a,other=b")]);
        let mut passed = HeaderMap::new();
        put(parent(&given).expect("a parent"), &mut passed);
        assert_eq!(passed, given);
        let given = headers(&[("traceparent", PARENT)]);
        let mut passed = HeaderMap::new();
        put(parent(&given).expect("a parent"), &mut passed);
        assert_eq!(passed, given);
    }

    #[test]
    fn what_is_no_trace_is_ignored() {
        let long = "0".repeat(60_000);
        for value in [
            "",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "------",
            &long,
        ] {
            assert_eq!(parent(&headers(&[("traceparent", value)])), None, "{value}");
        }
        let twice = headers(&[("traceparent", PARENT), ("traceparent", PARENT)]);
        assert_eq!(parent(&twice), None);
        let state = format!("vendor={long}");
        let given = headers(&[("traceparent", PARENT), ("tracestate", &state)]);
        let parent = parent(&given).expect("the trace itself is right");
        assert_eq!(parent.trace_state().header(), "");
    }
}

//! The body of `POST /warm`, and its answer: pictures are made ahead of requests, while the workers have nothing else to do. The answer has one line of
//! JSON for each source, sent as soon as its pictures are made. When the client hangs up, no further picture is started.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream;
use http_body_util::StreamBody;
use hyper::StatusCode;
use hyper::body::Frame;
use serde_json::Value;
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;

use super::fields::{FieldReader, Fields};
use crate::operator::{Client, Presets, WarmOutcome, WarmResult};
use crate::pipeline::Pipeline;

/// The most requests at once. More are asked to come back later.
pub(super) const MAX_CALLS: usize = 32;
/// The most sources of one request.
const MAX_SOURCES: usize = 100;
/// The most option strings of one request.
const MAX_OPTIONS: usize = 50;
/// The fields of a body, for messages.
const KNOWN: &str = "`source`, `options`, `accept` and `host`";

/// The body of an answer: lines of JSON.
pub(super) type WarmLines =
    StreamBody<Pin<Box<dyn Stream<Item = Result<Frame<Bytes>, Infallible>> + Send>>>;

/// What a request asks for. Its sources and options have not been checked yet.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct WarmRequest {
    pub sources: Vec<String>,
    pub options: Vec<String>,
    pub clients: Vec<Client>,
    /// The host under which clients know the zone.
    pub host: Option<String>,
}

/// Parses a body: `{"source": …, "options": …, "accept": …, "host": …}`. The first three are a string or a list of strings each. A body without a
/// source asks only whether the options are right.
pub(super) fn parse(body: &[u8]) -> Result<WarmRequest, Vec<String>> {
    let Fields(fields) = Fields::of(body).map_err(|errors| vec![errors])?;
    let mut read = FieldReader::default();
    let mut call = WarmRequest {
        sources: Vec::new(),
        options: Vec::new(),
        clients: Vec::new(),
        host: None,
    };
    for (name, value) in &fields {
        match name.as_str() {
            "source" | "sources" => call.sources.extend(read.list(name, value)),
            "options" => call.options.extend(read.list(name, value)),
            "accept" => call.clients.extend(clients(name, value, &mut read)),
            "host" => match value.as_str().filter(|host| is_host(host)) {
                Some(host) => call.host = Some(host.to_owned()),
                None => read.mistake(name, "a host, as in `www.shop.com`", value),
            },
            _ => read.unknown(name, KNOWN),
        }
    }
    let mut errors = read.errors;
    if call.options.is_empty() && errors.is_empty() {
        errors.push(
            "the body must have `options`: a string such as `width=320,format=auto`, or a list of them"
                .to_owned(),
        );
    }
    for (what, count, most) in [
        ("sources", call.sources.len(), MAX_SOURCES),
        ("option strings", call.options.len(), MAX_OPTIONS),
    ] {
        if count > most {
            errors.push(format!(
                "one request may name at most {most} {what}, got {count}: send several requests"
            ));
        }
    }
    if call.clients.is_empty() {
        call.clients.extend(Client::USUAL);
    }
    if errors.is_empty() {
        Ok(call)
    } else {
        Err(errors)
    }
}

fn clients(name: &str, value: &Value, read: &mut FieldReader) -> Vec<Client> {
    let mut clients = Vec::new();
    for word in read.list(name, value) {
        match Client::ALL.iter().find(|client| client.word() == word) {
            Some(client) if clients.contains(client) => {}
            Some(client) => clients.push(*client),
            None => read.mistake(name, "`jxl`, `avif`, `webp` or `none`", &word.into()),
        }
    }
    clients
}

fn is_host(host: &str) -> bool {
    let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:[]".contains(&byte);
    !host.is_empty() && host.bytes().all(is_fit)
}

/// The lines of an answer. To drop them ends the work, and frees `permit`.
pub(super) fn lines(
    pipeline: Arc<Pipeline>,
    sources: Vec<String>,
    presets: Presets,
    permit: OwnedSemaphorePermit,
) -> WarmLines {
    let state = (sources.into_iter(), pipeline, presets, permit);
    let lines = stream::unfold(state, |(mut sources, pipeline, presets, permit)| async {
        let source = sources.next()?;
        let warmed = pipeline.warm(&source, &presets).await;
        let line = Bytes::from(line(&source, &warmed));
        Some((Ok(Frame::data(line)), (sources, pipeline, presets, permit)))
    });
    StreamBody::new(Box::pin(lines))
}

/// The line for one source.
fn line(source: &str, warmed: &[WarmResult]) -> String {
    let renditions: Vec<Value> = warmed.iter().map(rendition_json).collect();
    format!("{}\n", json!({"source": source, "renditions": renditions}))
}

fn rendition_json(warmed: &WarmResult) -> Value {
    let WarmResult {
        options,
        client,
        result,
    } = warmed;
    let mut rendition = json!({
        "options": &**options,
        "accept": client.word(),
        "result": result.word(),
    });
    if let WarmOutcome::Failed(error) = result {
        let info = error.info();
        rendition["status"] = info.status.as_u16().into();
        rendition["code"] = info.code.into();
        rendition["error"] = error.public_message().into();
    }
    rendition
}

/// The answer to a request that is refused.
pub(super) fn refusal(status: StatusCode, errors: &[String]) -> (StatusCode, String) {
    super::purge::refusal(status, errors)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::any;
    use proptest::proptest;

    use super::Client;
    use super::WarmRequest;
    use super::parse;

    #[track_caller]
    fn check_wrong(body: &str, parts: &[&str]) {
        let errors = parse(body.as_bytes()).expect_err(body);
        for part in parts {
            let is_named = errors.iter().any(|line| line.contains(part));
            assert!(is_named, "no `{part}` in {errors:?}");
        }
    }

    #[test]
    fn one_thing_or_many_are_named() {
        let call = WarmRequest {
            sources: vec!["/a.jpg".to_owned()],
            options: vec!["width=8".to_owned()],
            clients: Client::USUAL.to_vec(),
            host: None,
        };
        let body = r#"{"source":"/a.jpg","options":"width=8"}"#;
        assert_eq!(parse(body.as_bytes()), Ok(call.clone()));
        let body = r#"{"sources":["/a.jpg","/b.jpg"],"options":["width=8","width=9"],"accept":["webp","webp"],"host":"www.shop.com"}"#;
        let many = WarmRequest {
            sources: vec!["/a.jpg".to_owned(), "/b.jpg".to_owned()],
            options: vec!["width=8".to_owned(), "width=9".to_owned()],
            clients: vec![Client::Webp],
            host: Some("www.shop.com".to_owned()),
        };
        assert_eq!(parse(body.as_bytes()), Ok(many));
        let none = WarmRequest {
            sources: Vec::new(),
            ..call
        };
        assert_eq!(parse(br#"{"sources":[],"options":["width=8"]}"#), Ok(none));
    }

    #[test]
    fn mistakes_are_named_all_at_once() {
        check_wrong("{}", &["the body must have `options`"]);
        check_wrong(
            r#"{"source":7,"options":[1],"accept":"jpeg","host":"a/b","presets":"x"}"#,
            &[
                "field `source` must be a string or a list of strings, got 7",
                "field `options` must be a string or a list of strings, got 1",
                "field `accept` must be `jxl`, `avif`, `webp` or `none`, got \"jpeg\"",
                "field `host` must be a host, as in `www.shop.com`, got \"a/b\"",
                "field `presets` does not exist: there are `source`",
            ],
        );
        let many = vec!["\"x\""; 101].join(",");
        check_wrong(
            &format!("{{\"sources\":[{many}],\"options\":[{many}]}}"),
            &[
                "at most 100 sources, got 101: send several requests",
                "at most 50 option strings, got 101",
            ],
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_call_or_not(body in any::<Vec<u8>>()) {
            let _ = parse(&body);
        }

        #[test]
        fn any_object_is_a_call_or_not(
            name in "sources?|options|accept|host|[a-z]{0,3}",
            value in "[\\[\\]{}\":,a-z0-9 ]{0,24}",
        ) {
            let _ = parse(format!("{{\"{name}\":{value}}}").as_bytes());
        }
    }
}

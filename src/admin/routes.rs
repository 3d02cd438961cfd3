//! What a request on the operator's listener leads to.

use hyper::Method;
use hyper::Request;
use hyper::Response;
use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::header::ALLOW;
use hyper::header::CONTENT_TYPE;
use hyper::header::HeaderValue;
use hyper::header::WWW_AUTHENTICATE;

use super::Readiness;
use super::cloudflare;
use super::fields;
use super::fields::BODY_BYTES;
use super::fields::NoBody;
use super::purging;
use super::token::Refusal;
use super::token::Token;
use crate::pipeline::Pipeline;
use crate::response;
use crate::response::Body;

const METRICS_TYPE: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
const READ: HeaderValue = HeaderValue::from_static("GET, HEAD");
const POST: HeaderValue = HeaderValue::from_static("POST");
const BEARER: HeaderValue = HeaderValue::from_static("Bearer");

/// In whose words a purge is asked for and answered.
#[derive(Clone, Copy)]
enum Dialect<'a> {
    Ours,
    /// With the zone that the path names.
    Cloudflare(&'a str),
}

pub(super) async fn answer(
    request: Request<Incoming>,
    token: &Token,
    pipeline: &Pipeline,
    readiness: &Readiness,
) -> Response<Body> {
    let (head, body) = request.into_parts();
    let path = head.uri.path();
    let dialect = match path {
        "/purge" => Some(Dialect::Ours),
        _ => cloudflare::zone_of(path).map(Dialect::Cloudflare),
    };
    let Some(dialect) = dialect else {
        return answer_reader(&head.method, path, pipeline, readiness);
    };
    if head.method != Method::POST {
        return not_allowed(POST, "this is done with POST\n");
    }
    if let Err(refusal) = token.judge(&head.headers) {
        return unauthorized(dialect, refusal);
    }
    let (status, text) = match fields::read(body).await {
        Ok(body) => purge(dialect, &body, pipeline).await,
        Err(why) => unread(dialect, why),
    };
    response::json(status, text)
}

fn answer_reader(
    method: &Method,
    path: &str,
    pipeline: &Pipeline,
    readiness: &Readiness,
) -> Response<Body> {
    let is_read = matches!(*method, Method::GET | Method::HEAD);
    match path {
        "/healthz" | "/readyz" | "/metrics" if !is_read => {
            not_allowed(READ, "this is read with GET\n")
        }
        "/healthz" => response::text(StatusCode::OK, "alive\n"),
        "/readyz" if readiness.get() => response::text(StatusCode::OK, "ready\n"),
        "/readyz" => response::text(
            StatusCode::SERVICE_UNAVAILABLE,
            "not ready: starting or draining\n",
        ),
        "/metrics" => {
            let mut response = response::text(StatusCode::OK, pipeline.metrics_text());
            response.headers_mut().insert(CONTENT_TYPE, METRICS_TYPE);
            response
        }
        _ => response::text(
            StatusCode::NOT_FOUND,
            "there are /healthz, /readyz, /metrics, /purge and /client/v4/zones/ZONE/purge_cache\n",
        ),
    }
}

fn not_allowed(allowed: HeaderValue, text: &'static str) -> Response<Body> {
    let mut response = response::text(StatusCode::METHOD_NOT_ALLOWED, text);
    response.headers_mut().insert(ALLOW, allowed);
    response
}

fn unauthorized(dialect: Dialect<'_>, refusal: Refusal) -> Response<Body> {
    let status = match refusal {
        Refusal::Off => StatusCode::FORBIDDEN,
        Refusal::Missing | Refusal::Wrong => StatusCode::UNAUTHORIZED,
    };
    let (status, text) = match dialect {
        Dialect::Ours => purging::refusal(status, &[refusal.to_string()]),
        Dialect::Cloudflare(_) => cloudflare::unauthorized(status, refusal),
    };
    tracing::warn!(%refusal, "a purge was refused");
    let mut response = response::json(status, text);
    if status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(WWW_AUTHENTICATE, BEARER);
    }
    response
}

fn unread(dialect: Dialect<'_>, why: NoBody) -> (StatusCode, String) {
    let (status, reason) = match why {
        NoBody::TooLong => (
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the body must be at most {BODY_BYTES} bytes long: send several"),
        ),
        NoBody::TooSlow => (
            StatusCode::REQUEST_TIMEOUT,
            "the body took too long to arrive".to_owned(),
        ),
        NoBody::Broken => (StatusCode::BAD_REQUEST, "the body broke off".to_owned()),
    };
    match dialect {
        Dialect::Ours => purging::refusal(status, &[reason]),
        Dialect::Cloudflare(_) => cloudflare::unread(status, &reason),
    }
}

async fn purge(dialect: Dialect<'_>, body: &[u8], pipeline: &Pipeline) -> (StatusCode, String) {
    match dialect {
        Dialect::Ours => match purging::parse(body) {
            Ok((asked, soft)) => purging::outcome(&pipeline.purge(&asked, soft).await),
            Err(wrong) => purging::refusal(StatusCode::BAD_REQUEST, &wrong),
        },
        Dialect::Cloudflare(zone) => match cloudflare::parse(body) {
            Ok(asked) => cloudflare::outcome(zone, &pipeline.purge(&asked, false).await),
            Err(wrong) => cloudflare::refusal(StatusCode::BAD_REQUEST, &wrong),
        },
    }
}

//! What a request on the operator's listener leads to.

use std::sync::Arc;

use http_body_util::Either;
use hyper::Method;
use hyper::Request;
use hyper::Response;
use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::header::ALLOW;
use hyper::header::CONTENT_TYPE;
use hyper::header::HeaderValue;
use hyper::header::WWW_AUTHENTICATE;
use tokio::sync::Semaphore;

use super::Readiness;
use super::cloudflare;
use super::fields;
use super::fields::BODY_BYTES;
use super::fields::NoBody;
use super::hosts;
use super::hosts::HostName;
use super::purging;
use super::token::Refusal;
use super::token::Token;
use super::warming;
use super::warming::Call;
use super::warming::Lines;
use crate::pipeline::Pipeline;
use crate::response;
use crate::response::Body;
use crate::server::Host;
use crate::telemetry::LogRate;

const METRICS_TYPE: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
const LINES_TYPE: HeaderValue = HeaderValue::from_static("application/x-ndjson");
const READ: HeaderValue = HeaderValue::from_static("GET, HEAD");
const POST: HeaderValue = HeaderValue::from_static("POST");
const BEARER: HeaderValue = HeaderValue::from_static("Bearer");

/// What answers need.
pub(super) struct Desk {
    pub token: Token,
    /// Names that are answered to.
    pub hosts: Vec<HostName>,
    /// Bounds the log lines about requests without the right token.
    pub refusals: LogRate,
    pub pipeline: Arc<Pipeline>,
    pub readiness: Readiness,
    /// Places of calls that have something made ahead.
    pub warming: Arc<Semaphore>,
}

/// Told at once, or line by line.
type Answer = Response<Either<Body, Lines>>;

/// What is to change, and in whose words that is asked and answered.
#[derive(Clone, Copy)]
enum Errand<'a> {
    Purge,
    /// A purge in Cloudflare's words, with the zone that the path names.
    Cloudflare(&'a str),
    Warm,
}

impl Errand<'_> {
    fn word(self) -> &'static str {
        match self {
            Errand::Purge | Errand::Cloudflare(_) => "purge",
            Errand::Warm => "warm",
        }
    }

    /// The answer where there is no body to look into.
    fn refusal(self, status: StatusCode, reason: String) -> (StatusCode, String) {
        match self {
            Errand::Purge => purging::refusal(status, &[reason]),
            Errand::Warm => warming::refusal(status, &[reason]),
            Errand::Cloudflare(_) => cloudflare::unread(status, &reason),
        }
    }
}

pub(super) async fn answer(request: Request<Incoming>, desk: &Desk) -> Answer {
    let (head, body) = request.into_parts();
    match Host::of(&head) {
        Err(fault) => return fault.answer(head.version).map(Either::Left),
        Ok(host) if !hosts::is_known(host, &desk.hosts) => {
            return misdirected().map(Either::Left);
        }
        Ok(_) => {}
    }
    let path = head.uri.path();
    let errand = match path {
        "/purge" => Some(Errand::Purge),
        "/warm" => Some(Errand::Warm),
        _ => cloudflare::zone_of(path).map(Errand::Cloudflare),
    };
    let Some(errand) = errand else {
        let read = answer_reader(&head.method, path, &desk.pipeline, &desk.readiness);
        return read.map(Either::Left);
    };
    if head.method != Method::POST {
        return not_allowed(POST, "this is done with POST\n").map(Either::Left);
    }
    if let Err(refusal) = desk.token.judge(&head.headers) {
        return unauthorized(errand, refusal, &desk.refusals).map(Either::Left);
    }
    let (status, text) = match (fields::read(body).await, errand) {
        (Ok(body), Errand::Warm) => match warm(&body, desk) {
            Ok(answer) => return answer,
            Err(refused) => refused,
        },
        (Ok(body), Errand::Purge) => purge(&body, &desk.pipeline).await,
        (Ok(body), Errand::Cloudflare(zone)) => purge_zone(zone, &body, &desk.pipeline).await,
        (Err(why), errand) => unread(errand, why),
    };
    response::json(status, text).map(Either::Left)
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
            "there are /healthz, /readyz, /metrics, /purge, /warm and /client/v4/zones/ZONE/purge_cache\n",
        ),
    }
}

fn not_allowed(allowed: HeaderValue, text: &'static str) -> Response<Body> {
    let mut response = response::text(StatusCode::METHOD_NOT_ALLOWED, text);
    response.headers_mut().insert(ALLOW, allowed);
    response
}

/// The answer to a request under an unknown name: it may come from a page whose own name leads here (DNS rebinding).
fn misdirected() -> Response<Body> {
    response::text(
        StatusCode::MISDIRECTED_REQUEST,
        "this listener answers to IP addresses, to localhost and to the names in `hosts` of section [admin]\n",
    )
}

fn unauthorized(errand: Errand<'_>, refusal: Refusal, refusals: &LogRate) -> Response<Body> {
    let status = match refusal {
        Refusal::Off => StatusCode::FORBIDDEN,
        Refusal::Missing | Refusal::Wrong => StatusCode::UNAUTHORIZED,
    };
    let (status, text) = match errand {
        Errand::Cloudflare(_) => cloudflare::unauthorized(status, refusal),
        Errand::Purge | Errand::Warm => errand.refusal(status, refusal.to_string()),
    };
    if let Some(left_out) = refusals.admit() {
        tracing::warn!(errand = errand.word(), %refusal, left_out, "an operator was refused");
    }
    let mut response = response::json(status, text);
    if status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(WWW_AUTHENTICATE, BEARER);
    }
    response
}

fn unread(errand: Errand<'_>, why: NoBody) -> (StatusCode, String) {
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
    errand.refusal(status, reason)
}

async fn purge(body: &[u8], pipeline: &Pipeline) -> (StatusCode, String) {
    match purging::parse(body) {
        Ok((asked, soft)) => purging::outcome(&pipeline.purge(&asked, soft).await),
        Err(wrong) => purging::refusal(StatusCode::BAD_REQUEST, &wrong),
    }
}

async fn purge_zone(zone: &str, body: &[u8], pipeline: &Pipeline) -> (StatusCode, String) {
    match cloudflare::parse(body) {
        Ok(asked) => cloudflare::outcome(zone, &pipeline.purge(&asked, false).await),
        Err(wrong) => cloudflare::refusal(StatusCode::BAD_REQUEST, &wrong),
    }
}

/// Nothing is begun before all of the call makes sense.
fn warm(body: &[u8], desk: &Desk) -> Result<Answer, (StatusCode, String)> {
    let wrong = |wrong: Vec<String>| warming::refusal(StatusCode::BAD_REQUEST, &wrong);
    let busy =
        |reason: &str| warming::refusal(StatusCode::SERVICE_UNAVAILABLE, &[reason.to_owned()]);
    let call = warming::parse(body).map_err(wrong)?;
    let Call {
        sources,
        options,
        clients,
        host,
    } = call;
    let presets = desk.pipeline.presets(&options, &clients, host.as_deref());
    let presets = presets.map_err(wrong)?;
    if !desk.readiness.get() {
        return Err(busy("not ready: starting or draining"));
    }
    let place = Arc::clone(&desk.warming).try_acquire_owned();
    let place = place.map_err(|_| busy("too many such calls at once, try again in a moment"))?;
    let lines = warming::lines(Arc::clone(&desk.pipeline), sources, presets, place);
    let mut answer = Response::new(Either::Right(lines));
    answer.headers_mut().insert(CONTENT_TYPE, LINES_TYPE);
    Ok(answer)
}

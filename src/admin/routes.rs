//! Answers the requests of the admin listener.

use std::sync::Arc;

use http_body_util::Either;
use hyper::Method;
use hyper::Request;
use hyper::Response;
use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use hyper::http::request::Parts;
use tokio::sync::Semaphore;

use super::Subject;
use super::cloudflare;
use super::fields;
use super::fields::{BodyError, MAX_BODY_BYTES};
use super::hosts;
use super::playground;
use super::playground::PlaygroundRequest;
use super::purge;
use super::refusal::TokenError;
use super::reload;
use super::warm;
use super::warm::{WarmLines, WarmRequest};
use crate::pipeline::Pipeline;
use crate::response;
use crate::response::Body;
use crate::server::Host;
use crate::telemetry::LogRate;
use crate::token::Token;

const OPENMETRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
const NDJSON: HeaderValue = HeaderValue::from_static("application/x-ndjson");
const READ: HeaderValue = HeaderValue::from_static("GET, HEAD");
const POST: HeaderValue = HeaderValue::from_static("POST");
const BEARER: HeaderValue = HeaderValue::from_static("Bearer");

/// What all requests of the admin listener share.
pub(super) struct AdminState {
    pub subject: Subject,
    /// Limits the log lines about requests without the right token.
    pub refusals: LogRate,
    /// Limits the `/warm` requests at once.
    pub warm_calls: Arc<Semaphore>,
}

impl AdminState {
    /// The pipeline that answers requests now.
    fn pipeline(&self) -> Arc<Pipeline> {
        Arc::clone(&self.subject.live.get().pipeline)
    }
}

/// A response that is complete, or one that is sent line by line.
type AdminResponse = Response<Either<Body, WarmLines>>;

/// A request that changes something.
#[derive(Clone, Copy)]
enum AdminCommand<'a> {
    Purge,
    /// A purge in the form of Cloudflare's API, with the zone in its path.
    Cloudflare(&'a str),
    Warm,
    Reload,
}

impl AdminCommand<'_> {
    fn word(self) -> &'static str {
        match self {
            AdminCommand::Purge | AdminCommand::Cloudflare(_) => "purge",
            AdminCommand::Warm => "warm",
            AdminCommand::Reload => "reload",
        }
    }

    /// The answer to a request that is refused.
    fn refusal(self, status: StatusCode, reason: String) -> (StatusCode, String) {
        match self {
            AdminCommand::Purge | AdminCommand::Reload => purge::refusal(status, &[reason]),
            AdminCommand::Warm => warm::refusal(status, &[reason]),
            AdminCommand::Cloudflare(_) => cloudflare::unread(status, &reason),
        }
    }
}

pub(super) async fn answer(request: Request<Incoming>, state: &AdminState) -> AdminResponse {
    let (head, body) = request.into_parts();
    let rules = state.subject.rules.get();
    match Host::of(&head) {
        Err(fault) => return fault.answer(head.version).map(Either::Left),
        Ok(host) if !hosts::is_accepted(host, &rules.hosts) => {
            return misdirected().map(Either::Left);
        }
        Ok(_) => {}
    }
    let path = head.uri.path();
    let command = match path {
        "/purge" => Some(AdminCommand::Purge),
        "/warm" => Some(AdminCommand::Warm),
        "/reload" => Some(AdminCommand::Reload),
        _ => cloudflare::zone_of(path).map(AdminCommand::Cloudflare),
    };
    let Some(command) = command else {
        return answer_reader(&head, &rules.token, state)
            .await
            .map(Either::Left);
    };
    if head.method != Method::POST {
        return not_allowed(POST, "use POST\n").map(Either::Left);
    }
    if let Err(refusal) = TokenError::check(&rules.token, &head.headers) {
        return unauthorized(command, refusal, &state.refusals).map(Either::Left);
    }
    let (status, text) = match (fields::read(body).await, command) {
        (Ok(body), AdminCommand::Warm) => match warm(&body, state) {
            Ok(answer) => return answer,
            Err(refused) => refused,
        },
        (Ok(body), AdminCommand::Purge) => purge(&body, &state.pipeline()).await,
        (Ok(body), AdminCommand::Cloudflare(zone)) => {
            purge_zone(zone, &body, &state.pipeline()).await
        }
        (Ok(_), AdminCommand::Reload) => reload::outcome(state.subject.reloads.call().await),
        (Err(why), command) => unread(command, why),
    };
    response::json(status, text).map(Either::Left)
}

/// Answers a request that changes nothing.
async fn answer_reader(head: &Parts, token: &Token, state: &AdminState) -> Response<Body> {
    let path = head.uri.path();
    let is_read = matches!(head.method, Method::GET | Method::HEAD);
    let wrong_method = || not_allowed(READ, "use GET or HEAD\n");
    let playground = PlaygroundRequest::find(path);
    match path {
        "/healthz" | "/readyz" | "/metrics" if !is_read => wrong_method(),
        "/healthz" => response::text(StatusCode::OK, "alive\n"),
        "/readyz" if state.subject.readiness.get() => response::text(StatusCode::OK, "ready\n"),
        "/readyz" => response::text(
            StatusCode::SERVICE_UNAVAILABLE,
            "not ready: starting or draining\n",
        ),
        "/metrics" => {
            let mut response = response::text(StatusCode::OK, state.pipeline().metrics_text());
            response.headers_mut().insert(CONTENT_TYPE, OPENMETRICS);
            response
        }
        path => match (playground, playground::asset(path)) {
            (None, None) => response::text(
                StatusCode::NOT_FOUND,
                "nothing is served at this path: there are /, /healthz, /readyz, /metrics, /purge, /warm, /reload and /client/v4/zones/ZONE/purge_cache\n",
            ),
            _ if !is_read => wrong_method(),
            (None, Some(asset)) => asset,
            (Some(request), _) => answer_playground(request, head, token, state).await,
        },
    }
}

/// Answers a request of the playground, which needs the token where one is set.
async fn answer_playground(
    request: PlaygroundRequest,
    head: &Parts,
    token: &Token,
    state: &AdminState,
) -> Response<Body> {
    match TokenError::check(token, &head.headers) {
        Ok(()) | Err(TokenError::NotConfigured) => {
            playground::answer(request, head, &state.pipeline()).await
        }
        Err(refusal @ (TokenError::Missing | TokenError::Wrong)) => {
            log_refusal("playground", refusal, &state.refusals);
            let status = StatusCode::UNAUTHORIZED;
            let mut response = playground::refused(status, refusal.to_string());
            response.headers_mut().insert(WWW_AUTHENTICATE, BEARER);
            response
        }
    }
}

fn log_refusal(command: &str, refusal: TokenError, refusals: &LogRate) {
    if let Some(left_out) = refusals.admit() {
        tracing::warn!(command, %refusal, left_out, "an admin request was refused");
    }
}

fn not_allowed(allowed: HeaderValue, text: &'static str) -> Response<Body> {
    let mut response = response::text(StatusCode::METHOD_NOT_ALLOWED, text);
    response.headers_mut().insert(ALLOW, allowed);
    response
}

/// The answer to a request under an unknown name, which may come from a hostile page (DNS rebinding).
fn misdirected() -> Response<Body> {
    response::text(
        StatusCode::MISDIRECTED_REQUEST,
        "this listener answers to IP addresses, to localhost and to the names in `hosts` of section [admin]\n",
    )
}

fn unauthorized(
    command: AdminCommand<'_>,
    refusal: TokenError,
    refusals: &LogRate,
) -> Response<Body> {
    let status = match refusal {
        TokenError::NotConfigured => StatusCode::FORBIDDEN,
        TokenError::Missing | TokenError::Wrong => StatusCode::UNAUTHORIZED,
    };
    let (status, text) = match command {
        AdminCommand::Cloudflare(_) => cloudflare::unauthorized(status, refusal),
        AdminCommand::Purge | AdminCommand::Warm | AdminCommand::Reload => {
            command.refusal(status, refusal.to_string())
        }
    };
    log_refusal(command.word(), refusal, refusals);
    let mut response = response::json(status, text);
    if status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(WWW_AUTHENTICATE, BEARER);
    }
    response
}

fn unread(command: AdminCommand<'_>, why: BodyError) -> (StatusCode, String) {
    let (status, reason) = match why {
        BodyError::TooLong => (
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the body must be at most {MAX_BODY_BYTES} bytes long: send several requests"),
        ),
        BodyError::TooSlow => (
            StatusCode::REQUEST_TIMEOUT,
            "the body took too long to arrive".to_owned(),
        ),
        BodyError::Broken => (StatusCode::BAD_REQUEST, "the body ended early".to_owned()),
    };
    command.refusal(status, reason)
}

async fn purge(body: &[u8], pipeline: &Pipeline) -> (StatusCode, String) {
    match purge::parse(body) {
        Ok((targets, soft)) => purge::outcome(&pipeline.purge(&targets, soft).await),
        Err(errors) => purge::refusal(StatusCode::BAD_REQUEST, &errors),
    }
}

async fn purge_zone(zone: &str, body: &[u8], pipeline: &Pipeline) -> (StatusCode, String) {
    match cloudflare::parse(body) {
        Ok(targets) => cloudflare::outcome(zone, &pipeline.purge(&targets, false).await),
        Err(errors) => cloudflare::refusal(StatusCode::BAD_REQUEST, &errors),
    }
}

/// Answers `/warm`. No picture is made before the whole request has been checked.
fn warm(body: &[u8], state: &AdminState) -> Result<AdminResponse, (StatusCode, String)> {
    let bad_request = |errors: Vec<String>| warm::refusal(StatusCode::BAD_REQUEST, &errors);
    let busy = |reason: &str| warm::refusal(StatusCode::SERVICE_UNAVAILABLE, &[reason.to_owned()]);
    let call = warm::parse(body).map_err(bad_request)?;
    let WarmRequest {
        sources,
        options,
        clients,
        host,
    } = call;
    let pipeline = state.pipeline();
    let presets = pipeline.presets(&options, &clients, host.as_deref());
    let presets = presets.map_err(bad_request)?;
    if !state.subject.readiness.get() {
        return Err(busy("not ready: starting or draining"));
    }
    let permit = Arc::clone(&state.warm_calls).try_acquire_owned();
    let permit =
        permit.map_err(|_| busy("too many /warm requests at once, try again in a moment"))?;
    let lines = warm::lines(pipeline, sources, presets, permit);
    let mut answer = Response::new(Either::Right(lines));
    answer.headers_mut().insert(CONTENT_TYPE, NDJSON);
    Ok(answer)
}

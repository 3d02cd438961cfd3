//! Answers one request, by the API or by the pipeline, and records it where there are traces.

use std::sync::Arc;

use hyper::Method;
use hyper::Request;
use hyper::Response;
use hyper::Version;
use hyper::body::Incoming;

use super::host::Host;
use super::idle::RequestGuard;
use super::live::Service;
use super::streams;
use super::streams::PacedBody;
use crate::api::Api;
use crate::clients::{Peer, Place};
use crate::pipeline::Pipeline;
use crate::response;
use crate::response::Body;
use crate::telemetry::trace;
use crate::telemetry::trace::RequestTrace;

/// Answers a request.
pub(super) async fn respond(
    service: Service,
    request: Request<Incoming>,
    peer: Peer,
    busy: RequestGuard,
) -> Response<PacedBody> {
    let Service { pipeline, api } = service;
    let takes = |_: &Arc<Api>| Api::takes(request.uri().path());
    let api = api.filter(takes);
    match (trace::of_request(&request), api) {
        (None, Some(api)) => Box::pin(answer_api(&api, request, busy)).await,
        (None, None) => answer(&pipeline, request, peer, busy).await,
        (Some(trace), Some(api)) => {
            let work = answer_api(&api, request, busy);
            Box::pin(traced(trace, work)).await
        }
        (Some(trace), None) => {
            let work = answer(&pipeline, request, peer, busy);
            Box::pin(traced(trace, work)).await
        }
    }
}

/// Answers a request, and records how.
async fn traced(
    trace: RequestTrace,
    work: impl Future<Output = Response<PacedBody>>,
) -> Response<PacedBody> {
    let answer = trace.follow(work).await;
    trace.end(answer.status().as_u16());
    answer
}

async fn answer(
    pipeline: &Arc<Pipeline>,
    request: Request<Incoming>,
    peer: Peer,
    busy: RequestGuard,
) -> Response<PacedBody> {
    let (head, _body) = request.into_parts();
    let mut place = Place::default();
    let mut answer = match Host::of(&head) {
        Err(error) => error.answer(head.version),
        Ok(_) if head.method == Method::OPTIONS => {
            response::options(pipeline.cors(), &head.headers)
        }
        Ok(_) => {
            let client = pipeline.clients.of_request(peer, &head.headers);
            match pipeline.clients.begin(client) {
                Ok(taken) => {
                    place = taken;
                    pipeline.respond(&head, client).await
                }
                Err(error) => pipeline.refuse(&head, error.into()),
            }
        }
    };
    pipeline.cors().apply(&head.headers, answer.headers_mut());
    paced(answer, head.version, busy.holding(place))
}

/// Answers a request of the API, whose body is read while it arrives.
async fn answer_api(
    api: &Api,
    request: Request<Incoming>,
    busy: RequestGuard,
) -> Response<PacedBody> {
    let (head, body) = request.into_parts();
    let version = head.version;
    let answer = match Host::of(&head) {
        Err(error) => error.answer(version),
        Ok(_) => api.respond(head, body).await,
    };
    paced(answer, version, busy)
}

fn paced(answer: Response<Body>, version: Version, busy: RequestGuard) -> Response<PacedBody> {
    streams::step();
    if version < Version::HTTP_2 {
        answer.map(|body| PacedBody::whole(body, busy))
    } else {
        answer.map(|body| PacedBody::of_stream(body, busy))
    }
}

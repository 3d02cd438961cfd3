//! Answers one request, by the API or by the pipeline, and records it where there are traces.

use std::sync::Arc;

use futures_util::future::BoxFuture;
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

/// Answers a request. Work for the API and for traces is in a box, so that the future of an ordinary request does not hold it.
pub(super) async fn respond(
    service: Arc<Service>,
    request: Request<Incoming>,
    peer: Peer,
    busy: RequestGuard,
) -> Response<PacedBody> {
    let is_of_api = service.api.is_some() && Api::takes(request.uri().path());
    match trace::of_request(&request) {
        None if !is_of_api => answer(&service.pipeline, request, peer, busy).await,
        trace => respond_boxed(service, trace, request, peer, busy).await,
    }
}

/// Answers a request that is one of the API, or is recorded.
fn respond_boxed(
    service: Arc<Service>,
    trace: Option<RequestTrace>,
    request: Request<Incoming>,
    peer: Peer,
    busy: RequestGuard,
) -> BoxFuture<'static, Response<PacedBody>> {
    let work = async move {
        let api = service.api.as_ref();
        match api.filter(|_| Api::takes(request.uri().path())) {
            Some(api) => answer_api(api, request, busy).await,
            None => answer(&service.pipeline, request, peer, busy).await,
        }
    };
    Box::pin(async move {
        let Some(trace) = trace else {
            return work.await;
        };
        let answer = trace.follow(work).await;
        trace.end(answer.status().as_u16());
        answer
    })
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

//! Originals: what the zone has at a path that is no transformation URL, passed on as it is while it arrives. Nothing of it is cached here.

use std::sync::Arc;

use hyper::Method;
use hyper::header::HeaderValue;
use hyper::http::request::Parts;

use crate::cache::FlightError;
use crate::clients::Place;
use crate::deadline::Stage;
use crate::error::Error;
use crate::pipeline::Pipeline;
use crate::pipeline::answer::Answer;
use crate::pipeline::context::RequestContext;
use crate::pipeline::strip;
use crate::policy::OriginalJob;
use crate::request::{RequestError, proxy_hops};
use crate::response;
use crate::response::Disposition;
use crate::source::OriginalRequest;
use crate::telemetry::RequestOutcome;

impl Pipeline {
    /// The answer with the original at the path and query of a request.
    pub(crate) async fn original(
        self: &Arc<Self>,
        head: &Parts,
        context: &RequestContext,
    ) -> Result<Answer, FlightError<Error>> {
        if !matches!(head.method, Method::GET | Method::HEAD) {
            return Err(Error::from(RequestError::Method(head.method.clone())).into());
        }
        let target = head.uri.path_and_query();
        let target = target.ok_or_else(|| Error::from(RequestError::NotFound))?;
        self.original_at(target.as_str(), head, context).await
    }

    /// The answer with the original at a path of the zone, with its query.
    pub(crate) async fn original_at(
        self: &Arc<Self>,
        target: &str,
        head: &Parts,
        context: &RequestContext,
    ) -> Result<Answer, FlightError<Error>> {
        let hops = proxy_hops(&head.headers);
        let job = self.policy.admit_original(target, hops);
        let job = job.map_err(Error::from)?;
        let request = original_request(&job, head, hops);
        let place = self.begin_original(context)?;
        let original = self.sources.original(&job.source, request);
        let original = context.deadline.bound(Stage::Fetch, original).await;
        let original = original.map_err(Error::from)?.map_err(Error::from)?;
        let mut original = original.holding(place);
        if job.strip {
            let stripped = context.deadline.bound(Stage::Fetch, strip::strip(original));
            original = stripped.await.map_err(Error::from)??;
        }
        let disposition = (self.disposition == Disposition::Attachment)
            .then(|| Disposition::Attachment.header(&job.source.last_segment(), None));
        let elapsed = context.started.elapsed();
        let response = response::original(original, disposition, elapsed, context.head_only);
        Ok(Answer {
            response,
            outcome: RequestOutcome::Original,
            error: None,
        })
    }
}

impl Pipeline {
    /// A place for an original on its way to a client.
    pub(crate) fn begin_original(&self, context: &RequestContext) -> Result<Place, Error> {
        let free = self.sources.free_transfers();
        Ok(self.clients.begin_original(context.client, free)?)
    }
}

/// What is asked of the origin. It chooses itself what of the client's headers it needs.
fn original_request(job: &OriginalJob, head: &Parts, hops: usize) -> OriginalRequest {
    let mut headers = head.headers.clone();
    if job.strip {
        strip::prepare(&mut headers);
    }
    OriginalRequest {
        headers,
        head_only: head.method == Method::HEAD,
        pictures_only: job.pictures_only,
        via: Some(via(hops)),
    }
}

/// The `Via` of a request that so many servers of this kind have passed on before this one.
fn via(hops: usize) -> HeaderValue {
    let names = vec!["1.1 safelight"; hops + 1].join(", ");
    HeaderValue::try_from(names).unwrap_or(HeaderValue::from_static("1.1 safelight"))
}

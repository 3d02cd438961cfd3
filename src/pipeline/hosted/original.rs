//! The uploaded file of a hosted image, sent as it is while it is read.

use std::sync::Arc;
use std::time::Instant;

use hyper::HeaderMap;
use hyper::Method;
use hyper::Response;
use hyper::http::request::Parts;

use crate::cache::FlightError;
use crate::deadline::{Deadline, Stage};
use crate::error::Error;
use crate::hosted::Original;
use crate::pipeline::Pipeline;
use crate::pipeline::answer::Answer;
use crate::pipeline::context::RequestContext;
use crate::pipeline::request_memo::ResolvedRequest;
use crate::policy::Allowlist;
use crate::response;
use crate::response::{Body, Disposition};
use crate::source::OriginalRequest;
use crate::telemetry::RequestOutcome;

impl Pipeline {
    /// The uploaded file for the API: all of it, or the part that the `Range` of these headers names.
    ///
    /// # Errors
    /// [`Error::Source`], [`Error::TimedOut`].
    pub(crate) async fn stored_file(
        &self,
        original: &Original,
        headers: HeaderMap,
        head_only: bool,
    ) -> Result<Response<Body>, Error> {
        let started = Instant::now();
        let asked = OriginalRequest {
            headers,
            head_only,
            pictures_only: false,
            via: None,
        };
        let source = Allowlist::approve_hosted(&original.key, "");
        let sent = self.sources.original(&source, asked);
        let deadline = Deadline::since(started, self.request_timeout);
        let sent = deadline.bound(Stage::Fetch, sent).await??;
        Ok(response::original(sent, None, started.elapsed(), head_only))
    }

    /// The answer with the uploaded file, or the part of it that the client wants, to be saved under the name that it had.
    pub(crate) async fn uploaded_file(
        self: &Arc<Self>,
        request: &ResolvedRequest,
        head: &Parts,
        context: &RequestContext,
    ) -> Result<Answer, FlightError<Error>> {
        let admitted = request.admitted.as_ref().map_err(Arc::clone)?;
        let source = &admitted.job.source;
        let asked = OriginalRequest {
            headers: head.headers.clone(),
            head_only: head.method == Method::HEAD,
            pictures_only: false,
            via: None,
        };
        let place = self.begin_original(context)?;
        let original = self.sources.original(source, asked);
        let original = context.deadline.bound(Stage::Fetch, original).await;
        let original = original.map_err(Error::from)?.map_err(Error::from)?;
        let original = original.holding(place);
        let disposition = Disposition::Attachment.header(&source.last_segment(), None);
        let elapsed = context.started.elapsed();
        let mut response =
            response::original(original, Some(disposition), elapsed, context.head_only);
        if let Some(lifetime) = request.lifetime() {
            response::limit_lifetime(&mut response, lifetime);
        }
        Ok(Answer {
            response,
            outcome: RequestOutcome::Original,
            error: None,
        })
    }
}

//! The uploaded file of a hosted image, sent as it is.

use std::sync::Arc;

use hyper::Method;
use hyper::http::request::Parts;

use crate::cache::FlightError;
use crate::deadline::Stage;
use crate::error::Error;
use crate::pipeline::Pipeline;
use crate::pipeline::answer::Answer;
use crate::pipeline::context::RequestContext;
use crate::pipeline::request_memo::ResolvedRequest;
use crate::response;
use crate::response::Disposition;
use crate::source::OriginalRequest;
use crate::telemetry::RequestOutcome;

impl Pipeline {
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
        let original = self.sources.original(source, asked);
        let original = context.deadline.bound(Stage::Fetch, original).await;
        let original = original.map_err(Error::from)?.map_err(Error::from)?;
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

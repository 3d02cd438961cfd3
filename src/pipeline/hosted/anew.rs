//! Delivery of an image whose file was removed between the look at its record and the read of its file.

use std::sync::Arc;

use hyper::http::request::Parts;

use crate::cache::FlightError;
use crate::error::Error;
use crate::pipeline::Pipeline;
use crate::pipeline::answer::Answer;
use crate::pipeline::context::RequestContext;
use crate::pipeline::request_memo::ResolvedRequest;
use crate::source::SourceError;

impl Pipeline {
    /// The answer for the image as it is now, if its file is missing because it has been replaced, renamed or deleted meanwhile, perhaps by another
    /// process. `failed` otherwise.
    pub(crate) async fn deliver_anew(
        self: &Arc<Self>,
        failed: FlightError<Error>,
        request: &ResolvedRequest,
        head: &Parts,
        context: &RequestContext,
    ) -> Result<Answer, FlightError<Error>> {
        let (Some(delivery), Some(hosted)) = (&request.delivery, &self.hosted) else {
            return Err(failed);
        };
        let is_missing = matches!(*failed.error, Error::Source(SourceError::NotFound { .. }));
        if !is_missing || !hosted.has_changed(&delivery.id, &delivery.rev).await {
            return Err(failed);
        }
        let request = self.resolve_delivery(head, hosted, context).await;
        if request.is_uploaded_file() {
            return self.uploaded_file(&request, head, context).await;
        }
        let run = self.run(&request, context);
        self.cache.within_wait_budget(run).await
    }
}

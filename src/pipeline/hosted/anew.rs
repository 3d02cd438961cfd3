//! Delivery of an image whose file was removed between the look at its record and the read of its file.

use std::sync::Arc;

use hyper::http::request::Parts;

use crate::cache::FlightError;
use crate::error::Error;
use crate::hosted::{DeliveryError, HostedError};
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
        if is_of_store(&failed.error) {
            let reason = HostedError::Store(failed.error.to_string());
            return Err(FlightError {
                error: Arc::new(Error::Delivery(DeliveryError::Store(reason))),
                ..failed
            });
        }
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

/// Whether the store did not give a file that it has.
fn is_of_store(error: &Error) -> bool {
    matches!(
        error,
        Error::Source(
            SourceError::ClientError(_)
                | SourceError::RequestTimeout(_)
                | SourceError::ServerError(_)
                | SourceError::BadStatus(_)
                | SourceError::Dns { .. }
                | SourceError::Connect { .. }
                | SourceError::Timeout(_)
                | SourceError::BrokenOff(_)
        )
    )
}

//! Originals from buckets.

use futures_util::StreamExt;
use futures_util::TryStreamExt;

use crate::bucket::{Bucket, ObjectRequest};
use crate::source::context::FetchContext;
use crate::source::error::{FetchStage, SourceError};
use crate::source::original::answer::OriginAnswer;
use crate::source::original::headers::OriginRequest;
use crate::source::original::http::stated_length;

/// Requests the object `key`.
pub(super) async fn original(
    bucket: &Bucket,
    key: &str,
    request: &OriginRequest,
    context: FetchContext<'_>,
) -> Result<OriginAnswer, SourceError> {
    let sent = ObjectRequest {
        headers: request.headers.clone(),
        head_only: request.head_only,
    };
    let response = bucket.request(key, sent);
    let response = context.deadline.bound(FetchStage::FirstByte, response);
    let (status, object) = response.await??;
    let Some(accepted) = request.accepted_status(status, &object.headers) else {
        let text = format!("bucket `{}` answered {}", bucket.name(), status.as_u16());
        return Err(SourceError::of_status(status, text));
    };
    let length = match request.head_only {
        true => stated_length(&object.headers),
        false => object.length,
    };
    let content = object.body.map_err(SourceError::from).boxed();
    let content = (!request.head_only).then_some(content);
    Ok(OriginAnswer::new(accepted, object.headers, length, content))
}

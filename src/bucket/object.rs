//! Objects as the client of this server asks for them: with its conditions and its range, and with the response of the bucket as it is.

use futures_util::TryStreamExt;
use futures_util::stream;
use hyper::HeaderMap;
use hyper::StatusCode;
use hyper::header;
use object_store::GetOptions;
use object_store::GetResult;

use crate::bucket::http::{Capture, Exchange, ExtraHeaders};
use crate::bucket::{Bucket, BucketError, BucketProblem, Object};
use crate::outbound::root_cause;

/// A request for an object.
pub(crate) struct ObjectRequest {
    /// Conditions, a range, and accepted codings. They are not signed, so that a value of any form is passed on.
    pub headers: HeaderMap,
    /// HEAD: without the content.
    pub head_only: bool,
}

impl Bucket {
    /// Requests the object `key`. The status of the response is 2xx, 304, 412 or 416; all others are errors. If the connection breaks, the rest of a
    /// whole object is requested, but not the rest of a range.
    ///
    /// # Errors
    /// [`BucketProblem`] says what went wrong. A missing object is [`BucketProblem::Status`] with 404.
    pub(crate) async fn request(
        &self,
        key: &str,
        request: ObjectRequest,
    ) -> Result<(StatusCode, Object), BucketError> {
        self.check_readable(key)?;
        let capture = Capture::default();
        let mut options = GetOptions {
            head: request.head_only,
            ..GetOptions::default()
        };
        options.extensions.insert(capture.clone());
        options.extensions.insert(ExtraHeaders(request.headers));
        match (self.reader.get(key, options).await, capture.take()) {
            (
                Ok(found),
                Some(Exchange::Response {
                    status, headers, ..
                }),
            ) => Ok((status, self.object(found, headers))),
            (
                Err(_),
                Some(Exchange::Response {
                    status:
                        status @ (StatusCode::NOT_MODIFIED
                        | StatusCode::PRECONDITION_FAILED
                        | StatusCode::RANGE_NOT_SATISFIABLE),
                    headers,
                    ..
                }),
            ) => {
                let object = Object {
                    headers,
                    length: None,
                    body: Box::pin(stream::empty()),
                };
                Ok((status, object))
            }
            (Err(error), exchange) => Err(self.failed(&error, exchange)),
            (Ok(_), Some(Exchange::Failure { .. }) | None) => Err(self.not_captured()),
        }
    }

    /// An object whose header has arrived.
    pub(super) fn object(&self, found: GetResult, headers: HeaderMap) -> Object {
        let length = headers
            .contains_key(header::CONTENT_LENGTH)
            .then_some(found.meta.size);
        let name = self.name.clone();
        let broken = move |error: object_store::Error| BucketError {
            bucket: name.clone(),
            problem: BucketProblem::BrokenOff(root_cause(&error)),
        };
        Object {
            headers,
            length,
            body: Box::pin(found.into_stream().map_err(broken)),
        }
    }

    pub(super) fn not_captured(&self) -> BucketError {
        self.error(BucketProblem::BrokenOff(
            "the response was not captured".to_owned(),
        ))
    }
}

//! Reads an object of the bucket as a whole.

use bytes::Bytes;
use futures_util::TryStreamExt;

use crate::bucket::{Bucket, BucketError, Conditions, GetResponse};

/// The content of an object; empty if the object is longer than `max_bytes`, so that no more than that is ever in memory.
pub(super) async fn read_object(
    bucket: &Bucket,
    name: &str,
    max_bytes: u64,
) -> Result<Bytes, BucketError> {
    let mut object = match bucket.get(name, Conditions::default()).await? {
        GetResponse::Object(object) if object.length.is_none_or(|length| length <= max_bytes) => {
            object
        }
        // "Not modified" answers a question that was not asked.
        GetResponse::Object(_) | GetResponse::NotModified(_) => return Ok(Bytes::new()),
    };
    let room = object.length.unwrap_or_default();
    let mut content = Vec::with_capacity(usize::try_from(room).unwrap_or_default());
    while let Some(chunk) = object.body.try_next().await? {
        // A bucket need not say the length before.
        if content.len().saturating_add(chunk.len()) as u64 > max_bytes {
            return Ok(Bytes::new());
        }
        content.extend_from_slice(&chunk);
    }
    Ok(Bytes::from(content))
}

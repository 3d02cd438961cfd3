//! Whether a bucket can be shared: of several writers with the same condition, one must win.

use bytes::Bytes;
use futures_util::future::join_all;
use ulid::Ulid;

use crate::hosted::error::HostedError;
use crate::hosted::store::s3::BucketStore;
use crate::hosted::store::{Condition, Fetched, Put};

/// How many writers there are at the same time.
const WRITERS: usize = 4;
/// A write that is sent again after a failure can be refused because of itself. So the second result counts.
const TRIES: usize = 2;

/// Whether the bucket keeps the conditions of writes.
pub(super) async fn keeps_conditions(store: &BucketStore) -> Result<bool, HostedError> {
    for _ in 0..TRIES {
        let key = format!("probe/{}", Ulid::generate());
        let kept = has_one_winner(store, &key).await;
        let deleted = store.delete(vec![key]).await;
        if kept? {
            deleted?;
            return Ok(true);
        }
    }
    Ok(false)
}

async fn has_one_winner(store: &BucketStore, key: &str) -> Result<bool, HostedError> {
    if count_winners(store, key, Condition::Absent).await? != 1 {
        return Ok(false);
    }
    match store.get(key, None).await? {
        Fetched::Object(_, etag) => {
            Ok(count_winners(store, key, Condition::Matches(&etag)).await? == 1)
        }
        Fetched::Missing | Fetched::Same => Ok(false),
    }
}

async fn count_winners(
    store: &BucketStore,
    key: &str,
    condition: Condition<'_>,
) -> Result<usize, HostedError> {
    let writers = (0..WRITERS).map(|_| {
        let content = Bytes::from(Ulid::generate().to_string());
        store.put(key, content, condition)
    });
    let mut winners = 0;
    for put in join_all(writers).await {
        winners += usize::from(matches!(put?, Put::Stored(_)));
    }
    Ok(winners)
}

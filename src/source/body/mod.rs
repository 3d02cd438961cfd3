//! Reads the content of a response: within a limit on its size and on its pauses, into memory that is reserved first.

mod buffer;

use std::pin::pin;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::Stream;
use futures_util::StreamExt;
use hyper::HeaderMap;
use tokio::time::Instant;

use crate::deadline::Timeout;
use crate::freshness::negative_ttl;
use crate::source::body::buffer::SourceBuffer;
use crate::source::coding::Codings;
use crate::source::context::FetchContext;
use crate::source::error::{BusyReason, FetchStage, SourceError};
use crate::source::file_kind;
use crate::source::file_kind::Look;
use crate::source::outcome::{FetchOutcome, Metadata};

/// The buffer for content of unknown length, before anything has arrived, in bytes.
const FIRST_BUFFER: u64 = 64 * 1024;

/// Reads the content that belongs to a header, and makes a source of both. `length` is that of the content, if the origin says it.
///
/// # Errors
/// As [`collect`], and [`SourceError::Coding`] for a content coding other than gzip, deflate, brotli and zstd.
pub(super) async fn receive(
    headers: &HeaderMap,
    length: Option<u64>,
    content: impl Stream<Item = Result<Bytes, SourceError>> + Send + 'static,
    context: FetchContext<'_>,
) -> Result<FetchOutcome, SourceError> {
    let metadata = Metadata::of(headers, context.rules);
    let negative_ttl = negative_ttl(headers, SystemTime::now());
    let codings = Codings::of(headers)?;
    let bytes = collect(content, length, codings, context)
        .await
        .map_err(|error| error.with_negative_ttl(negative_ttl))?;
    Ok(metadata.fetched(bytes))
}

/// Reads `content` to its end and decodes its `codings`. `length` is that of the content as it is sent.
///
/// Memory is reserved once for `length`. Without a length, memory for a small source is reserved, and when the source turns out to be larger,
/// memory for the largest source. It is never reserved bit by bit, because then fetches that have half of their memory would wait for each other.
///
/// # Errors
/// [`SourceError::TooLarge`] as soon as the limit is sure to be exceeded: before reading, if `length` exceeds it.
/// [`SourceError::Timeout`] if the origin pauses for too long or the deadline passes. [`SourceError::Busy`] if no memory is free before the
/// deadline. [`SourceError::NotAPicture`] as soon as the first bytes show it. All errors of the stream.
async fn collect(
    content: impl Stream<Item = Result<Bytes, SourceError>> + Send + 'static,
    length: Option<u64>,
    codings: Codings,
    context: FetchContext<'_>,
) -> Result<Bytes, SourceError> {
    let limit = context.max_bytes();
    let too_large = || SourceError::TooLarge {
        limit,
        negative_ttl: None,
    };
    let idle_timeout = context.config.idle_timeout.duration();
    // The length of coded content does not say how long the decoded content is.
    let length = length.filter(|_| codings.is_empty());
    if length.is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    let windows = codings.window_bytes();
    let mut reserved = length.unwrap_or_else(|| context.memory.first_guess());
    let start = Instant::now();
    let mut reservation = context.reserve(reserved.saturating_add(windows)).await?;
    let mut waited = start.elapsed();
    let mut content = pin!(codings.decode(content));
    let mut look = Some(Look::new(context.sniff));
    let first = length.unwrap_or(FIRST_BUFFER).min(limit);
    let mut buffer = SourceBuffer::new(context.memory.is_shared(), first)?;
    loop {
        let deadline = context.deadline.within(idle_timeout);
        let next = deadline.bound(FetchStage::Body, content.next()).await;
        let Some(chunk) = next.map_err(|timeout| blame(timeout, waited, context))? else {
            break;
        };
        let chunk = chunk?;
        let total = u64::try_from(buffer.len().saturating_add(chunk.len())).unwrap_or(u64::MAX);
        if total > limit {
            return Err(too_large());
        }
        if total > reserved {
            // The bytes so far are not counted while this waits. To keep their reservation could make fetches wait for each other, see above.
            drop(reservation);
            reserved = limit;
            let start = Instant::now();
            reservation = context.reserve(limit.saturating_add(windows)).await?;
            waited += start.elapsed();
        }
        buffer.push(&chunk, total, limit)?;
        let beginning = buffer.beginning();
        if let Some(kind) = look.as_mut().and_then(|look| look.at(beginning, false)) {
            file_kind::check(kind)?;
            look = None;
        }
    }
    buffer.finish(reservation)
}

/// Who is to blame for a timeout: if the fetch spent more than a tenth of its time waiting for memory, this server and not the origin.
fn blame(timeout: Timeout<FetchStage>, waited: Duration, context: FetchContext<'_>) -> SourceError {
    let total = context.config.total_timeout.duration();
    if context.deadline.has_passed() && waited > total / 10 {
        SourceError::Busy(BusyReason::Memory)
    } else {
        timeout.into()
    }
}

#[cfg(test)]
mod tests;

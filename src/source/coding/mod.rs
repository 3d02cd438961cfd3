//! Decodes the content codings (RFC 9110, section 8.4.1) that origins and buckets apply although no request accepts any, while the content arrives.
//!
//! Never decodes more than one step ahead of the reader, who counts the output: a decompression bomb ends at the limit on sources, like any other
//! content.

use std::fmt;
use std::pin::Pin;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::StreamExt;
use futures_util::stream;
use hyper::HeaderMap;
use hyper::header;

use crate::source::error::SourceError;
use brotli::Brotli;
use deflate::Deflate;
use gzip::Gzip;
use step::CorruptData;
use step::StreamState;
use zstd::Zstd;

mod brotli;
mod deflate;
mod gzip;
mod step;
mod zstd;

/// How many codings may be applied one after the other. Servers apply one; more than a few are an attack.
const MAX_CODINGS: usize = 4;

/// Registered codings that web servers do not send to browsers: a source in one of them is refused. A name that is not registered (`base64`, `utf-8`, `aws-chunked`) is metadata that somebody set by
/// mistake. It is ignored, as browsers do.
const UNSUPPORTED: [&str; 7] = [
    "aes128gcm",
    "compress",
    "dcb",
    "dcz",
    "exi",
    "pack200-gzip",
    "x-compress",
];

/// Content as it arrives.
type BodyStream = Pin<Box<dyn Stream<Item = Result<Bytes, SourceError>> + Send>>;

/// A supported coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

impl fmt::Display for Coding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Coding::Gzip => "gzip",
            Coding::Deflate => "deflate",
            Coding::Brotli => "br",
            Coding::Zstd => "zstd",
        })
    }
}

/// The codings of one response, in the order in which they were applied.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Codings(Vec<Coding>);

impl Codings {
    /// Reads `Content-Encoding`.
    ///
    /// # Errors
    /// [`SourceError::Coding`] for a registered coding other than gzip, deflate, brotli and zstd, and for too many codings.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, SourceError> {
        let values = headers.get_all(header::CONTENT_ENCODING).iter();
        let names = values
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(|name| name.trim().to_ascii_lowercase());
        let mut codings = Vec::new();
        for name in names {
            let coding = match name.as_str() {
                "gzip" | "x-gzip" => Coding::Gzip,
                "deflate" => Coding::Deflate,
                "br" => Coding::Brotli,
                "zstd" => Coding::Zstd,
                name if UNSUPPORTED.contains(&name) => {
                    return Err(SourceError::Coding(format!(
                        "content coding `{name}` must be one of gzip, deflate, br and zstd"
                    )));
                }
                _ => continue,
            };
            if codings.len() == MAX_CODINGS {
                return Err(SourceError::Coding(format!(
                    "there must be at most {MAX_CODINGS} content codings"
                )));
            }
            codings.push(coding);
        }
        Ok(Codings(codings))
    }

    /// Whether there are none, so the content arrives as it is stored.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The memory that the decoders may need for their windows, besides the output, in bytes.
    pub(super) fn window_bytes(&self) -> u64 {
        let window = |coding: &Coding| match coding {
            Coding::Gzip | Coding::Deflate => 0,
            Coding::Brotli => brotli::MAX_WINDOW,
            Coding::Zstd => 2 * zstd::MAX_WINDOW,
        };
        self.0.iter().map(window).sum()
    }

    /// The content with all codings decoded.
    pub(super) fn decode(
        self,
        body: impl Stream<Item = Result<Bytes, SourceError>> + Send + 'static,
    ) -> BodyStream {
        let Codings(codings) = self;
        codings
            .into_iter()
            .rev()
            .fold(Box::pin(body), |body: BodyStream, coding| {
                decode(body, coding)
            })
    }
}

/// The content with its outermost coding decoded.
fn decode(body: BodyStream, coding: Coding) -> BodyStream {
    let decoder = BodyDecoder {
        body,
        coding,
        decoder: Some(Decoder::of(coding)),
        input: Bytes::new(),
        has_ended: false,
    };
    Box::pin(stream::try_unfold(decoder, BodyDecoder::next))
}

/// A body with the decoder of its outermost coding.
struct BodyDecoder {
    body: BodyStream,
    coding: Coding,
    /// `None` only during a step, and after a step that panicked.
    decoder: Option<Decoder>,
    /// Coded bytes that have arrived and are not decoded yet.
    input: Bytes,
    has_ended: bool,
}

impl BodyDecoder {
    /// The next decoded bytes. `None` at the end.
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, SourceError> {
        loop {
            if self.input.is_empty() && !self.has_ended {
                match self.body.next().await {
                    Some(piece) => self.input = piece?,
                    None => self.has_ended = true,
                }
            }
            let (output, state) = self.step().await?;
            if !output.is_empty() {
                return Ok(Some((Bytes::from(output), self)));
            }
            match (self.has_ended, state) {
                (true, StreamState::Complete) => return Ok(None),
                (true, StreamState::Incomplete) => {
                    let coding = self.coding;
                    return Err(SourceError::BrokenOff(format!(
                        "content coding `{coding}` ends early"
                    )));
                }
                // Bytes after the end are read, so that the connection can be used again, and ignored.
                (false, StreamState::Complete) => self.input.clear(),
                (false, StreamState::Incomplete) => {}
            }
        }
    }

    /// One step, on a thread for blocking work: to decode a hundred megabytes takes half a second, during which this thread would answer nobody. If
    /// the reader goes away, the work ends with the step.
    #[expect(
        clippy::disallowed_methods,
        reason = "at most as many at once as fetches, each for a bounded step"
    )]
    async fn step(&mut self) -> Result<(Vec<u8>, StreamState), SourceError> {
        let crashed = || {
            SourceError::Coding(format!(
                "the decoder of content coding `{}` crashed",
                self.coding
            ))
        };
        let mut decoder = self.decoder.take().ok_or_else(crashed)?;
        let mut input = std::mem::take(&mut self.input);
        let has_ended = self.has_ended;
        let step = tokio::task::spawn_blocking(move || {
            let mut output = Vec::new();
            let state = decoder.step(&mut input, has_ended, &mut output);
            (decoder, input, output, state)
        });
        let (decoder, input, output, state) = step.await.map_err(|_| crashed())?;
        self.decoder = Some(decoder);
        self.input = input;
        let state = state.map_err(|CorruptData| {
            SourceError::Coding(format!("content coding `{}` is corrupt", self.coding))
        })?;
        Ok((output, state))
    }
}

/// The decoder of one coding, with its state.
enum Decoder {
    Gzip(Box<Gzip>),
    Deflate(Deflate),
    Brotli(Box<Brotli>),
    Zstd(Box<Zstd>),
}

impl Decoder {
    fn of(coding: Coding) -> Self {
        match coding {
            Coding::Gzip => Decoder::Gzip(Box::default()),
            Coding::Deflate => Decoder::Deflate(Deflate::default()),
            Coding::Brotli => Decoder::Brotli(Box::new(Brotli::new())),
            Coding::Zstd => Decoder::Zstd(Box::new(Zstd::new())),
        }
    }

    /// Decodes all of `input`, or about [`step::STEP`] bytes of output, whichever is less. What was decoded is removed from the input.
    fn step(
        &mut self,
        input: &mut Bytes,
        has_ended: bool,
        output: &mut Vec<u8>,
    ) -> Result<StreamState, CorruptData> {
        match self {
            Decoder::Gzip(gzip) => gzip.step(input, has_ended, output),
            Decoder::Deflate(deflate) => deflate.step(input, output),
            Decoder::Brotli(brotli) => brotli.step(input, output),
            Decoder::Zstd(zstd) => zstd.step(input, has_ended, output),
        }
    }
}

#[cfg(test)]
mod tests;

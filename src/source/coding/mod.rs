//! Content codings (RFC 9110, section 8.4.1) that an origin or a bucket sends although none was asked for, undone while the body arrives.
//!
//! Never unpacks more than one step ahead of its reader, who counts what comes out: a bomb ends at the limit on sources like every other body.

use std::fmt;
use std::io;
use std::io::Write as _;
use std::pin::Pin;

use brotli_decompressor::BrotliDecompressStream;
use brotli_decompressor::BrotliResult;
use brotli_decompressor::BrotliState;
use brotli_decompressor::StandardAlloc;
use bytes::Buf as _;
use bytes::Bytes;
use flate2::Decompress;
use flate2::FlushDecompress;
use flate2::Status;
use flate2::write::GzDecoder;
use futures_util::Stream;
use futures_util::StreamExt;
use futures_util::stream;
use hyper::HeaderMap;
use hyper::header;

use super::SourceError;
use zstd::Zstd;

mod zstd;

/// What one step unpacks at least, where there is so much, in bytes. Each step goes to another thread and back, so it should not be small.
const STEP: usize = 256 << 10;

/// How many codings may be applied one over the other. Servers apply one; more than a few are an attack.
const MAX_CODINGS: usize = 4;

/// Registered codings that are not undone. A name that is not registered (`base64`, `utf-8`, `aws-chunked`) is metadata that somebody set by
/// mistake: it changes nothing, as in browsers.
const UNSUPPORTED: [&str; 7] = [
    "aes128gcm",
    "compress",
    "dcb",
    "dcz",
    "exi",
    "pack200-gzip",
    "x-compress",
];

/// A body, as it arrives.
pub(super) type BodyStream = Pin<Box<dyn Stream<Item = Result<Bytes, SourceError>> + Send>>;

/// A coding that can be undone.
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

/// The codings of one answer, in the order in which they were applied.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Codings(Vec<Coding>);

impl Codings {
    /// Reads `Content-Encoding`.
    ///
    /// # Errors
    /// [`SourceError::Coding`] for a coding that is registered and not undone, and for too many.
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
                    "at most {MAX_CODINGS} content codings may be applied one over the other"
                )));
            }
            codings.push(coding);
        }
        Ok(Codings(codings))
    }

    /// Whether the body is as it was stored.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What undoing them may take of memory beside what comes out, in bytes: their windows.
    pub(super) fn memory(&self) -> u64 {
        let window = |coding: &Coding| match coding {
            Coding::Gzip | Coding::Deflate => 0,
            Coding::Brotli => 16 << 20,
            Coding::Zstd => 2 * zstd::WINDOW,
        };
        self.0.iter().map(window).sum()
    }

    /// The body without its codings.
    pub(super) fn undone(
        self,
        body: impl Stream<Item = Result<Bytes, SourceError>> + Send + 'static,
    ) -> BodyStream {
        let Codings(codings) = self;
        codings
            .into_iter()
            .rev()
            .fold(Box::pin(body), |body: BodyStream, coding| {
                undone(body, coding)
            })
    }
}

/// A body without its outermost coding.
fn undone(body: BodyStream, coding: Coding) -> BodyStream {
    let decoder = BodyDecoder {
        body,
        coding,
        decoder: Some(Decoder::of(coding)),
        input: Bytes::new(),
        has_ended: false,
    };
    Box::pin(stream::try_unfold(decoder, BodyDecoder::next))
}

/// A body that is being unpacked.
struct BodyDecoder {
    body: BodyStream,
    coding: Coding,
    /// `None` only while a step is being made, or after one that crashed.
    decoder: Option<Decoder>,
    /// What has arrived and was not unpacked yet.
    input: Bytes,
    has_ended: bool,
}

impl BodyDecoder {
    /// The next piece that was unpacked, until the body ends.
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
                        "the content coding `{coding}` has no end"
                    )));
                }
                // What follows the end of the stream is read, so that the connection can be used again, and means nothing.
                (false, StreamState::Complete) => self.input.clear(),
                (false, StreamState::Incomplete) => {}
            }
        }
    }

    /// One step, on a thread that may be busy: a hundred megabytes take half a second, in which others would get no answer. What nobody waits for
    /// any longer ends with its step.
    #[expect(
        clippy::disallowed_methods,
        reason = "no more at once than fetches, each for a bounded step"
    )]
    async fn step(&mut self) -> Result<(Vec<u8>, StreamState), SourceError> {
        let crashed =
            || SourceError::Coding(format!("undoing content coding `{}` crashed", self.coding));
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
            SourceError::Coding(format!("content coding `{}` is damaged", self.coding))
        })?;
        Ok((output, state))
    }
}

/// Whether everything has been unpacked that there is to unpack, if nothing more comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StreamState {
    Complete,
    Incomplete,
}

impl StreamState {
    fn of(is_complete: bool) -> Self {
        if is_complete {
            StreamState::Complete
        } else {
            StreamState::Incomplete
        }
    }
}

/// The content is not what its coding says.
#[derive(Debug)]
struct CorruptData;

impl From<io::Error> for CorruptData {
    fn from(_: io::Error) -> Self {
        CorruptData
    }
}

/// A stream of one coding, as far as it was unpacked.
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

    /// Unpacks what there is of `input`, or about [`STEP`] bytes of output, whichever comes first. What was unpacked leaves the input.
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

/// Gzip (RFC 1952): members one after the other. What follows the last and does not begin like one is padding.
#[derive(Default)]
struct Gzip {
    /// The member that has begun.
    member: Option<GzDecoder<Vec<u8>>>,
    has_member: bool,
}

impl Gzip {
    const FIRST_BYTE: u8 = 0x1f;

    fn step(
        &mut self,
        input: &mut Bytes,
        has_ended: bool,
        output: &mut Vec<u8>,
    ) -> Result<StreamState, CorruptData> {
        while output.len() < STEP {
            let Some(first) = input.first() else { break };
            let member = match &mut self.member {
                Some(member) => member,
                None if *first != Self::FIRST_BYTE && !self.has_member => return Err(CorruptData),
                None if *first != Self::FIRST_BYTE => {
                    input.clear();
                    break;
                }
                None => self.member.insert(GzDecoder::new(Vec::new())),
            };
            let read = member.write(input)?;
            output.append(member.get_mut());
            input.advance(read);
            if read == 0 {
                self.finish(output)?;
            }
        }
        if has_ended && input.is_empty() && output.len() < STEP && self.member.is_some() {
            // Its end is not seen before somebody asks. Where it has none, it stays incomplete.
            if self.finish(output).is_err() {
                self.has_member = false;
                return Ok(StreamState::Incomplete);
            }
        }
        Ok(StreamState::of(self.has_member && self.member.is_none()))
    }

    fn finish(&mut self, output: &mut Vec<u8>) -> Result<(), CorruptData> {
        if let Some(member) = self.member.take() {
            output.append(&mut member.finish()?);
            self.has_member = true;
        }
        Ok(())
    }
}

/// Deflate: what RFC 9110 calls so is zlib (RFC 1950), and what some servers send is without zlib's frame.
#[derive(Default)]
struct Deflate {
    inflate: Option<Decompress>,
    is_complete: bool,
}

impl Deflate {
    fn step(
        &mut self,
        input: &mut Bytes,
        output: &mut Vec<u8>,
    ) -> Result<StreamState, CorruptData> {
        let inflate = match (&mut self.inflate, input.first()) {
            (Some(inflate), _) => inflate,
            (None, None) => return Ok(StreamState::Incomplete),
            // A raw stream that began so would have bits set in its padding.
            (None, Some(first)) => {
                let is_zlib = first & 0x0f == 8 && first >> 4 <= 7;
                self.inflate.insert(Decompress::new(is_zlib))
            }
        };
        if self.is_complete {
            return Ok(StreamState::Complete);
        }
        output.reserve(STEP);
        let before = inflate.total_in();
        let status = inflate
            .decompress_vec(input, output, FlushDecompress::None)
            .map_err(|_| CorruptData)?;
        let read = usize::try_from(inflate.total_in() - before).map_err(|_| CorruptData)?;
        let is_stuck = read == 0 && output.is_empty() && !input.is_empty();
        input.advance(read);
        self.is_complete = status == Status::StreamEnd;
        if is_stuck && !self.is_complete {
            return Err(CorruptData);
        }
        Ok(StreamState::of(self.is_complete))
    }
}

/// Brotli (RFC 7932), with windows up to 16 MiB, as the RFC has them: larger ones are another coding.
struct Brotli {
    state: BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>,
    written: usize,
    is_complete: bool,
}

impl Brotli {
    fn new() -> Self {
        let alloc = StandardAlloc::default;
        Brotli {
            state: BrotliState::new_strict(alloc(), alloc(), alloc()),
            written: 0,
            is_complete: false,
        }
    }

    fn step(
        &mut self,
        input: &mut Bytes,
        output: &mut Vec<u8>,
    ) -> Result<StreamState, CorruptData> {
        if self.is_complete {
            return Ok(StreamState::Complete);
        }
        output.resize(STEP, 0);
        let (mut unread, mut read) = (input.len(), 0);
        let (mut room, mut unpacked) = (output.len(), 0);
        let result = BrotliDecompressStream(
            &mut unread,
            &mut read,
            input,
            &mut room,
            &mut unpacked,
            output,
            &mut self.written,
            &mut self.state,
        );
        input.advance(read);
        output.truncate(unpacked);
        match result {
            BrotliResult::ResultSuccess => self.is_complete = true,
            BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput => {}
            BrotliResult::ResultFailure => return Err(CorruptData),
        }
        Ok(StreamState::of(self.is_complete))
    }
}

#[cfg(test)]
mod tests;

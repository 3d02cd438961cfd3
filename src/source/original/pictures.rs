//! Originals that are pictures by their first bytes. What is no picture is answered as a missing file, in every way of asking for it.

use std::sync::Arc;

use blake3::Hash;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use futures_util::stream;
use hyper::StatusCode;
use hyper::header;
use hyper::header::HeaderValue;

use crate::deadline::Deadline;
use crate::freshness::Validators;
use crate::policy::ApprovedSource;
use crate::source::Sources;
use crate::source::context::FetchContext;
use crate::source::error::{FetchStage, SourceError};
use crate::source::file_kind::{FIRST_LOOK, FileKind, LAST_LOOK, Look, Sniff};
use crate::source::original::Original;
use crate::source::original::answer::OriginAnswer;
use crate::source::original::body::Content;
use crate::source::original::headers::OriginRequest;
use crate::source::original::verdicts::{Picture, Verdict, Verdicts};

const NO_PICTURE: SourceError = SourceError::NotFound { negative_ttl: None };

/// How often the beginning of an object that changes all the time is looked at for one request.
const MAX_LOOKS: usize = 2;

impl Sources {
    /// Requests an original that must be a picture.
    ///
    /// An answer that holds the beginning of the object is judged by it. For all others (HEAD, 304, a part in the middle) the beginning is requested
    /// apart, unless the verdict about content with the same validators is remembered.
    pub(super) async fn picture(
        &self,
        source: &ApprovedSource,
        request: &OriginRequest,
        context: FetchContext<'_>,
    ) -> Result<Original, SourceError> {
        let key = Verdicts::key(source);
        let mut looked = None;
        if request.skips_beginning() && self.verdicts.get(&key).is_none() {
            looked = Some(self.look(source, request, context).await?);
        }
        let mut kept = None;
        for _ in 0..=MAX_LOOKS {
            let answer = match kept.take() {
                Some(answer) => answer,
                None => self.ask_decoded(source, request, context).await?,
            };
            if answer.holds_beginning() {
                return self.judge(key, answer, context).await;
            }
            let validators = Validators::of(&answer.headers);
            let of_look = |verdict: &Arc<Verdict>| verdict.is_about(&validators) != Some(false);
            let remembered = |verdict: &Arc<Verdict>| verdict.is_about(&validators) == Some(true);
            let verdict = looked.clone().filter(of_look);
            let verdict = verdict.or_else(|| self.verdicts.get(&key).filter(remembered));
            if let Some(verdict) = verdict {
                return as_picture(answer, verdict.picture);
            }
            // Content keeps its slot, and requests that each hold one and want another could wait for each other.
            kept = (answer.content.is_none() && looked.is_none()).then_some(answer);
            looked = Some(self.look(source, request, context).await?);
        }
        Err(SourceError::BrokenOff(
            "the object changed while its first bytes were read".to_owned(),
        ))
    }

    /// Sends a request, and decodes content that is coded although nobody asked for it.
    async fn ask_decoded(
        &self,
        source: &ApprovedSource,
        request: &OriginRequest,
        context: FetchContext<'_>,
    ) -> Result<OriginAnswer, SourceError> {
        let mut answer = self.ask_part(source, request, context).await?;
        if answer.is_coded_part() {
            drop(answer);
            answer = self.ask(source, &request.without_range(), context).await?;
        }
        answer.decoded(context).await
    }

    /// Judges an answer by the beginning of its content.
    async fn judge(
        &self,
        key: Hash,
        mut answer: OriginAnswer,
        context: FetchContext<'_>,
    ) -> Result<Original, SourceError> {
        let content = answer.content.take().ok_or(NO_PICTURE)?;
        let beginning = Beginning::read(content, true, context.sniff, context.deadline).await?;
        let picture = beginning.picture();
        let verdict = Verdict {
            validators: Validators::of(&answer.headers),
            picture,
        };
        self.verdicts.insert(key, Arc::new(verdict));
        answer.content = Some(beginning.into_content());
        as_picture(answer, picture)
    }

    /// Requests the beginning of an object to see what it is.
    async fn look(
        &self,
        source: &ApprovedSource,
        request: &OriginRequest,
        context: FetchContext<'_>,
    ) -> Result<Arc<Verdict>, SourceError> {
        let key = Verdicts::key(source);
        let mut verdict = Verdict {
            validators: Validators::default(),
            picture: None,
        };
        for length in [FIRST_LOOK, LAST_LOOK] {
            let request = request.beginning(length);
            let answer = self.ask_decoded(source, &request, context).await?;
            verdict.validators = Validators::of(&answer.headers);
            let is_part = answer.status == StatusCode::PARTIAL_CONTENT && !answer.holds_all();
            // An empty object has no range.
            let Some(content) = answer.content else {
                break;
            };
            let beginning =
                Beginning::read(content, !is_part, context.sniff, context.deadline).await?;
            verdict.picture = beginning.picture();
            if beginning.kind.is_some() {
                break;
            }
        }
        let verdict = Arc::new(verdict);
        self.verdicts.insert(key, Arc::clone(&verdict));
        Ok(verdict)
    }
}

/// The beginning of a content that has been read to see what it is.
struct Beginning {
    /// `None`: there is not enough of it.
    kind: Option<FileKind>,
    bytes: Bytes,
    rest: Content,
}

impl Beginning {
    /// Reads as much as is needed. `is_whole` says that the content ends where the object does.
    async fn read(
        mut content: Content,
        is_whole: bool,
        sniff: Sniff,
        deadline: Deadline,
    ) -> Result<Self, SourceError> {
        let mut look = Look::new(sniff);
        let mut bytes = BytesMut::new();
        loop {
            let next = deadline.bound(FetchStage::Body, content.next()).await?;
            let has_ended = next.is_none();
            if let Some(piece) = next.transpose()? {
                bytes.extend_from_slice(&piece);
            }
            let kind = look.at(&bytes, has_ended && is_whole);
            if kind.is_some() || has_ended {
                return Ok(Beginning {
                    kind,
                    bytes: bytes.freeze(),
                    rest: content,
                });
            }
        }
    }

    fn picture(&self) -> Option<Picture> {
        Picture::of(self.kind?, &self.bytes)
    }

    /// The whole content.
    fn into_content(self) -> Content {
        let beginning = (!self.bytes.is_empty()).then_some(Ok(self.bytes));
        stream::iter(beginning).chain(self.rest).boxed()
    }
}

/// The answer about a picture, with the media type of its bytes.
///
/// # Errors
/// [`SourceError::NotFound`] if it is none.
fn as_picture(answer: OriginAnswer, picture: Option<Picture>) -> Result<Original, SourceError> {
    let picture = picture.ok_or(NO_PICTURE)?;
    let mut original = answer.into_original();
    if matches!(
        original.status,
        StatusCode::OK | StatusCode::PARTIAL_CONTENT
    ) {
        let media_type = HeaderValue::from_static(picture.media_type);
        original.headers.insert(header::CONTENT_TYPE, media_type);
        if picture.is_gzipped {
            let gzip = HeaderValue::from_static("gzip");
            original.headers.insert(header::CONTENT_ENCODING, gzip);
        }
    }
    Ok(original)
}

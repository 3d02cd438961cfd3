//! Originals from a folder: conditions and ranges are evaluated here.

use std::fs::{File, Metadata};
use std::ops::Range;
use std::path::Path;
use std::time::SystemTime;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream;
use hyper::HeaderMap;
use hyper::StatusCode;
use hyper::header;
use hyper::header::{HeaderName, HeaderValue};

use crate::freshness::{Freshness, Validators, http_date};
use crate::request::{Conditional, PreconditionOutcome, RangeOutcome};
use crate::source::context::FetchContext;
use crate::source::error::SourceError;
use crate::source::file_kind::{FIRST_LOOK, FileKind, LAST_LOOK, Look, Sniff};
use crate::source::folder::FolderOrigin;
use crate::source::folder::file::{
    Fingerprint, NOT_FOUND, changed, fingerprint, open, read_part, relative, validators,
};
use crate::source::folder::readers::Readers;
use crate::source::original::body::{Content, TransferBody};
use crate::source::original::verdicts::Picture;
use crate::source::original::{Original, OriginalRequest};
use crate::source::slots::FetchSlot;

/// How much of a file is read at once, in bytes.
const CHUNK: u64 = 256 << 10;

/// What of a file is sent, and whether as a part of it.
#[derive(Debug, PartialEq, Eq)]
enum Selection {
    NotModified,
    PreconditionFailed,
    Unsatisfiable,
    Whole,
    Part(Range<u64>),
}

/// A file that has been opened, with the answer to a request for it.
struct OpenFile {
    file: File,
    metadata: Metadata,
    selection: Selection,
    /// `None` if that was not asked.
    picture: Option<Picture>,
    /// The first of the content that is sent. For a small file it is all, so that one change of threads is enough.
    first: Vec<u8>,
}

impl FolderOrigin {
    /// Opens the file that the percent-encoded `path` names.
    pub(super) async fn original(
        &self,
        path: &str,
        request: OriginalRequest,
        slot: FetchSlot,
        context: FetchContext<'_>,
    ) -> Result<Original, SourceError> {
        let relative = relative(path).ok_or(NOT_FOUND)?;
        let (root, name) = (self.root.clone(), relative.clone());
        let head_only = request.head_only;
        let sniff = request.pictures_only.then_some(context.sniff);
        let opened = self.readers.run(move || {
            let conditional = Conditional::of_headers(&request.headers, !head_only);
            OpenFile::open(&root, &name, &conditional, sniff, head_only)
        });
        let opened = opened.await?;
        let mut headers = opened.headers();
        if matches!(opened.selection, Selection::Whole | Selection::Part(_)) {
            insert(
                &mut headers,
                header::CONTENT_TYPE,
                &opened.media_type(&relative),
            );
            if opened.is_gzipped(&relative) {
                insert(&mut headers, header::CONTENT_ENCODING, "gzip");
            }
        }
        if opened.selection.may_be_cached() {
            let rules = &context.rules.freshness;
            let freshness = Freshness::of(&HeaderMap::new(), SystemTime::now(), rules);
            insert(
                &mut headers,
                header::CACHE_CONTROL,
                &freshness.cache_control(),
            );
        }
        let length = opened.range().map(|range| range.end - range.start);
        Ok(Original {
            status: opened.selection.status(),
            headers,
            length,
            body: match length {
                Some(length) if !head_only => {
                    let content = opened.into_content(self.readers.clone());
                    let idle_timeout = context.config.idle_timeout.duration();
                    TransferBody::new(content, Some(length), idle_timeout, slot).boxed()
                }
                _ => stream::empty().boxed(),
            },
        })
    }
}

impl Selection {
    fn of(conditional: &Conditional, validators: &Validators, length: u64) -> Self {
        let etag = validators.etag.as_deref().unwrap_or_default();
        let date = validators.last_modified;
        match conditional.evaluate_preconditions(etag, date) {
            Some(PreconditionOutcome::NotModified) => return Selection::NotModified,
            Some(PreconditionOutcome::PreconditionFailed) => return Selection::PreconditionFailed,
            None => {}
        }
        // A machine that cannot count so far sends such a file as a whole.
        let Ok(length) = usize::try_from(length) else {
            return Selection::Whole;
        };
        match conditional.select_range(etag, date, length) {
            RangeOutcome::Whole => Selection::Whole,
            RangeOutcome::Part(part) => Selection::Part(part.start as u64..part.end as u64),
            RangeOutcome::Unsatisfiable => Selection::Unsatisfiable,
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Selection::NotModified => StatusCode::NOT_MODIFIED,
            Selection::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
            Selection::Unsatisfiable => StatusCode::RANGE_NOT_SATISFIABLE,
            Selection::Whole => StatusCode::OK,
            Selection::Part(_) => StatusCode::PARTIAL_CONTENT,
        }
    }

    fn may_be_cached(&self) -> bool {
        match self {
            Selection::NotModified | Selection::Whole | Selection::Part(_) => true,
            Selection::PreconditionFailed | Selection::Unsatisfiable => false,
        }
    }
}

impl OpenFile {
    /// Opens a file. With `sniff` it must be a picture, whatever the conditions are.
    fn open(
        root: &Path,
        relative: &Path,
        conditional: &Conditional,
        sniff: Option<Sniff>,
        head_only: bool,
    ) -> Result<Self, SourceError> {
        let (file, metadata) = open(root, relative)?;
        let picture = match sniff {
            Some(sniff) => Some(picture(&file, &metadata, sniff)?.ok_or(NOT_FOUND)?),
            None => None,
        };
        let selection = Selection::of(conditional, &validators(&metadata), metadata.len());
        let mut opened = OpenFile {
            file,
            metadata,
            selection,
            picture,
            first: Vec::new(),
        };
        if let Some(range) = opened.range()
            && !head_only
        {
            let before = fingerprint(&opened.metadata);
            opened.first = read_chunk(&opened.file, before, range)?;
        }
        Ok(opened)
    }

    /// The bytes that are sent, or that GET would get.
    fn range(&self) -> Option<Range<u64>> {
        match &self.selection {
            Selection::Whole => Some(0..self.metadata.len()),
            Selection::Part(part) => Some(part.clone()),
            Selection::NotModified | Selection::PreconditionFailed | Selection::Unsatisfiable => {
                None
            }
        }
    }

    /// The validators, and what belongs to the range.
    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let total = self.metadata.len();
        if self.selection != Selection::PreconditionFailed {
            let Validators {
                etag,
                last_modified,
            } = validators(&self.metadata);
            // A date after that of the answer must not be sent (RFC 9110, section 8.8.2.1).
            let date = last_modified.map(|date| date.min(SystemTime::now()));
            let date = date.and_then(http_date);
            for (name, value) in [(header::ETAG, etag), (header::LAST_MODIFIED, date)] {
                if let Some(value) = value {
                    insert(&mut headers, name, &value);
                }
            }
        }
        let content_range = match &self.selection {
            Selection::Part(part) => format!("bytes {}-{}/{total}", part.start, part.end - 1),
            Selection::Unsatisfiable => format!("bytes */{total}"),
            Selection::Whole => String::new(),
            Selection::NotModified | Selection::PreconditionFailed => return headers,
        };
        if !content_range.is_empty() {
            insert(&mut headers, header::CONTENT_RANGE, &content_range);
        }
        insert(&mut headers, header::ACCEPT_RANGES, "bytes");
        if let Some(range) = self.range() {
            let length = HeaderValue::from(range.end - range.start);
            headers.insert(header::CONTENT_LENGTH, length);
        }
        headers
    }

    /// Of a picture that of its bytes, of other files that of their names.
    fn media_type(&self, relative: &Path) -> String {
        if let Some(picture) = &self.picture {
            return picture.media_type.to_owned();
        }
        match mime_guess::from_path(relative).first_raw() {
            Some(text) if text.starts_with("text/") => format!("{text}; charset=utf-8"),
            Some(other) => other.to_owned(),
            None => "application/octet-stream".to_owned(),
        }
    }

    /// Whether it is a compressed drawing, which browsers read only if it has a content coding.
    fn is_gzipped(&self, relative: &Path) -> bool {
        match &self.picture {
            Some(picture) => picture.is_gzipped,
            None => relative
                .extension()
                .is_some_and(|extension| extension.eq_ignore_ascii_case("svgz")),
        }
    }

    /// Reads the file bit by bit. A thread and a permit for reading are held only while a bit is read.
    fn into_content(self, readers: Readers) -> Content {
        let range = self.range().unwrap_or(0..0);
        let first = self.first.len() as u64;
        let unread = UnreadFile {
            before: fingerprint(&self.metadata),
            file: self.file,
            range: (range.start + first).min(range.end)..range.end,
            readers,
        };
        let first = (first > 0).then_some(Ok(Bytes::from(self.first)));
        let rest = stream::try_unfold(unread, UnreadFile::next);
        stream::iter(first).chain(rest).boxed()
    }
}

/// The part of a file that is still to be sent.
struct UnreadFile {
    file: File,
    before: Fingerprint,
    range: Range<u64>,
    readers: Readers,
}

impl UnreadFile {
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, SourceError> {
        if self.range.is_empty() {
            return Ok(None);
        }
        let readers = self.readers.clone();
        let read = readers.run(move || {
            let chunk = read_chunk(&self.file, self.before, self.range.clone())?;
            self.range.start += chunk.len() as u64;
            Ok((Bytes::from(chunk), self))
        });
        read.await.map(Some)
    }
}

/// Reads the first bytes of a range that lies within the file.
fn read_chunk(file: &File, before: Fingerprint, range: Range<u64>) -> Result<Vec<u8>, SourceError> {
    let length = usize::try_from((range.end - range.start).min(CHUNK)).unwrap_or(usize::MAX);
    let chunk = read_part(file, before, range.start, length)?;
    if chunk.len() < length {
        return Err(changed());
    }
    Ok(chunk)
}

/// Whether a file is a picture by its first bytes.
fn picture(file: &File, metadata: &Metadata, sniff: Sniff) -> Result<Option<Picture>, SourceError> {
    let mut look = Look::new(sniff);
    for length in [FIRST_LOOK, LAST_LOOK] {
        let beginning = read_part(file, fingerprint(metadata), 0, length)?;
        let is_all = metadata.len() <= length as u64;
        if let Some(kind) = look.at(&beginning, is_all) {
            return Ok(Picture::of(kind, &beginning));
        }
    }
    Ok(Picture::of(FileKind::Unknown, &[]))
}

/// Inserts a value made here, of characters that headers can hold.
fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

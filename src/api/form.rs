//! Reads multipart forms as streams: fields before or after the file, and the file straight into a [`Spool`]. What a form may hold is bounded.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use hyper::HeaderMap;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE};
use multer::{Field, Multipart};
use tokio::time::Instant;

use crate::api::error::{ApiError, Failure};
use crate::api::spool::Spool;
use crate::api::upload_body::{ArrivalError, UploadBody};
use crate::hosted::SpooledFile;

/// The most parts of a form. SDKs send each field of metadata as a part of its own.
const MAX_PARTS: usize = 256;
/// The longest text in a part, in bytes.
const MAX_TEXT: usize = 64 << 10;
/// The most bytes of all names and texts.
const MAX_FIELDS: usize = 256 << 10;
/// The most bytes that are read without finding the end of a part's header.
const MAX_PART_HEADER: usize = 64 << 10;
/// What a form may have beside its file, in bytes.
const FORM_BYTES: u64 = 1 << 20;
/// The longest name of a file, in bytes.
const MAX_FILENAME: usize = 255;

/// A form that has arrived.
#[derive(Debug, Default)]
pub(super) struct Form {
    /// The names and texts of its fields, in their order.
    pub fields: Vec<(String, String)>,
    pub file: Option<FormFile>,
}

/// The file of a form.
#[derive(Debug)]
pub(super) struct FormFile {
    pub filename: String,
    pub spooled: SpooledFile,
    /// How long it took to arrive.
    pub time: Duration,
}

/// Which part is the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FilePart {
    /// The one whose name is `file`.
    Named,
    /// The first that is a file, whatever its name.
    First,
}

/// What a form may hold.
pub(super) struct FormLimits<'a> {
    pub file: FilePart,
    /// The largest file.
    pub max_bytes: u64,
    /// Where files are written.
    pub folder: &'a std::path::Path,
}

/// Whether a request has a form.
pub(super) fn is_form(headers: &HeaderMap) -> bool {
    content_type(headers).is_some_and(|media| {
        let media = media.split(';').next().unwrap_or_default().trim();
        media.eq_ignore_ascii_case("multipart/form-data")
    })
}

fn content_type(headers: &HeaderMap) -> Option<&str> {
    headers.get(CONTENT_TYPE)?.to_str().ok()
}

/// Reads a form.
pub(super) async fn read(
    headers: &HeaderMap,
    body: UploadBody,
    limits: FormLimits<'_>,
) -> Result<Form, ApiError> {
    if !is_form(headers) {
        return Err(ApiError::new(
            Failure::NotAForm,
            "Images must be uploaded as a form, not as raw image data. Please use multipart/form-data format",
        ));
    }
    let boundary = content_type(headers).and_then(|media| multer::parse_boundary(media).ok());
    let boundary = boundary.ok_or_else(|| {
        ApiError::new(
            Failure::NotAForm,
            "the header `Content-Type` of a form must have a `boundary`",
        )
    })?;
    let announced = headers.get(CONTENT_LENGTH);
    let announced = announced.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limits.max_bytes.saturating_add(FORM_BYTES)) {
        return Err(too_large(limits.max_bytes));
    }
    let unread = Arc::new(AtomicUsize::new(0));
    let steps = Steps {
        body,
        unread: Arc::clone(&unread),
        rests: false,
    };
    let mut parts = Multipart::new(steps, boundary);
    let mut form = Form::default();
    let mut count = 0;
    while let Some(part) = parts.next_field().await.map_err(unreadable)? {
        unread.store(0, Ordering::Relaxed);
        count += 1;
        if count > MAX_PARTS {
            let message = format!("a form must have at most {MAX_PARTS} parts");
            return Err(ApiError::bad_request(message));
        }
        read_part(part, &unread, &limits, &mut form).await?;
    }
    Ok(form)
}

async fn read_part(
    part: Field<'_>,
    unread: &AtomicUsize,
    limits: &FormLimits<'_>,
    form: &mut Form,
) -> Result<(), ApiError> {
    let name = part.name().unwrap_or_default().to_owned();
    let filename = part.file_name().map(str::to_owned);
    let is_file = match limits.file {
        FilePart::Named => name == "file",
        FilePart::First => name == "file" || filename.is_some(),
    };
    if !is_file {
        let text = read_text(part, unread, &name).await?;
        form.fields.push((name, text));
        let fields = form.fields.iter();
        let held: usize = fields.map(|(name, text)| name.len() + text.len()).sum();
        if held > MAX_FIELDS {
            let message =
                format!("the fields of a form must have at most {MAX_FIELDS} bytes together");
            return Err(ApiError::bad_request(message));
        }
        return Ok(());
    }
    let is_first = form.file.is_none();
    if !is_first && limits.file == FilePart::First {
        return skip(part, unread, limits.max_bytes).await;
    }
    let file = read_file(part, unread, limits).await?;
    // What a browser sends for a file that was not chosen.
    if file.spooled.bytes == 0 && filename.as_deref() == Some("") {
        return Ok(());
    }
    if !is_first {
        let message = "a form must have one `file`, got two";
        return Err(ApiError::bad_request(message).at("/file"));
    }
    if file.spooled.bytes == 0 {
        return Err(ApiError::bad_request("the `file` is empty").at("/file"));
    }
    form.file = Some(file);
    Ok(())
}

async fn read_file(
    mut part: Field<'_>,
    unread: &AtomicUsize,
    limits: &FormLimits<'_>,
) -> Result<FormFile, ApiError> {
    let started = Instant::now();
    let filename = filename(part.file_name());
    let mut spool = Spool::new(limits.folder).await.map_err(unwritable)?;
    while let Some(piece) = part.chunk().await.map_err(unreadable)? {
        unread.store(0, Ordering::Relaxed);
        if spool.bytes().saturating_add(piece.len() as u64) > limits.max_bytes {
            return Err(too_large(limits.max_bytes));
        }
        spool.write(piece).await.map_err(unwritable)?;
    }
    let spooled = spool.finish().await.map_err(unwritable)?;
    Ok(FormFile {
        filename,
        spooled,
        time: started.elapsed(),
    })
}

async fn read_text(
    mut part: Field<'_>,
    unread: &AtomicUsize,
    name: &str,
) -> Result<String, ApiError> {
    let mut text = Vec::new();
    while let Some(piece) = part.chunk().await.map_err(unreadable)? {
        unread.store(0, Ordering::Relaxed);
        if text.len() + piece.len() > MAX_TEXT {
            let name: String = name.chars().take(100).collect();
            let message = format!("field `{name}` must have at most {MAX_TEXT} bytes");
            return Err(ApiError::bad_request(message));
        }
        text.extend_from_slice(&piece);
    }
    String::from_utf8(text).map_err(|_| {
        let name: String = name.chars().take(100).collect();
        ApiError::bad_request(format!("field `{name}` must be UTF-8"))
    })
}

async fn skip(mut part: Field<'_>, unread: &AtomicUsize, most: u64) -> Result<(), ApiError> {
    let mut skipped = 0;
    while let Some(piece) = part.chunk().await.map_err(unreadable)? {
        unread.store(0, Ordering::Relaxed);
        skipped += piece.len() as u64;
        if skipped > most {
            return Err(too_large(most));
        }
    }
    Ok(())
}

/// The last segment of a file's name, as some browsers send whole paths; it has no control characters and a bounded length.
pub(super) fn filename(told: Option<&str>) -> String {
    let told = told.unwrap_or_default();
    let last = told.rsplit(['/', '\\']).next().unwrap_or_default();
    let mut name: String = last
        .chars()
        .filter(|character| !character.is_control())
        .collect();
    name.truncate(name.floor_char_boundary(MAX_FILENAME));
    if name.is_empty() {
        return "file".to_owned();
    }
    name
}

pub(super) fn too_large(max_bytes: u64) -> ApiError {
    let message = format!("Maximum image size of {max_bytes} bytes is reached");
    ApiError::new(Failure::TooLarge, message).at("/file")
}

fn unwritable(error: std::io::Error) -> ApiError {
    let message = "the upload cannot be written to disk";
    ApiError::new(Failure::Storage, message)
        .because(error)
        .retry_after(5)
}

fn unreadable(error: multer::Error) -> ApiError {
    match error {
        multer::Error::StreamReadFailed(cause) => match cause.downcast_ref::<StepError>() {
            Some(StepError::Arrival(error)) => arrival(*error),
            Some(StepError::LongHeader) => {
                let message =
                    format!("the header of a part must have at most {MAX_PART_HEADER} bytes");
                ApiError::bad_request(message)
            }
            None => ApiError::internal(cause),
        },
        multer::Error::IncompleteFieldData { .. }
        | multer::Error::IncompleteHeaders
        | multer::Error::IncompleteStream => {
            ApiError::bad_request("the form ends before its closing boundary")
        }
        other => ApiError::bad_request("the form cannot be read").because(other),
    }
}

pub(super) fn arrival(error: ArrivalError) -> ApiError {
    match error {
        ArrivalError::TooSlow => {
            let message = "Client was sending upload too slowly";
            ApiError::new(Failure::TooSlow, message)
        }
        ArrivalError::Aborted => ApiError::new(Failure::Aborted, error.to_string()),
    }
}

/// Gives the reader of forms one piece at a time. It would collect all that has arrived, without a limit.
struct Steps {
    body: UploadBody,
    /// How many bytes the reader has got since it last told of something.
    unread: Arc<AtomicUsize>,
    rests: bool,
}

#[derive(Debug)]
enum StepError {
    Arrival(ArrivalError),
    LongHeader,
}

impl std::fmt::Display for StepError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            StepError::Arrival(error) => error.fmt(out),
            StepError::LongHeader => out.write_str("the header of a part is too long"),
        }
    }
}

impl std::error::Error for StepError {}

impl Stream for Steps {
    type Item = Result<Bytes, StepError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if std::mem::take(&mut this.rests) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        if this.unread.load(Ordering::Relaxed) > MAX_PART_HEADER {
            return Poll::Ready(Some(Err(StepError::LongHeader)));
        }
        let piece = ready!(Pin::new(&mut this.body).poll_next(context));
        let piece = piece.map(|piece| piece.map_err(StepError::Arrival));
        if let Some(Ok(piece)) = &piece {
            this.rests = true;
            this.unread.fetch_add(piece.len(), Ordering::Relaxed);
        }
        Poll::Ready(piece)
    }
}

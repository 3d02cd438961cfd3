//! Uploads: by file and by URL, and another file for an image that is there.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::State;
use axum::response::Response;
use hyper::HeaderMap;
use hyper::StatusCode;
use url::Url;
use uuid::Uuid;

use crate::api::access::Access;
use crate::api::call::Call;
use crate::api::envelope::success;
use crate::api::error::{ApiError, Failure};
use crate::api::form;
use crate::api::form::{FilePart, Form, FormFile, FormLimits};
use crate::api::input::Input;
use crate::api::seal;
use crate::api::seal::Purpose;
use crate::api::spool::Spool;
use crate::api::state::ApiState;
use crate::hosted::{Facts, HostedError, ImageId, NewImage, Record, SpooledFile};
use crate::pipeline::{CommitPermit, Excess, InspectError};
use crate::source::SourceError;
use crate::telemetry::UploadStep;

/// The header that says which requests are the same one.
const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// How often a client of Cloudflare has sent a request before.
const RETRY_COUNT: &str = "x-stainless-retry-count";

/// `POST /images/v1`.
pub(super) async fn create(
    State(state): State<Arc<ApiState>>,
    mut call: Call,
) -> Result<Response, ApiError> {
    let access = state.access(&call)?.writes()?;
    let mut source = "file";
    let stored = receive_and_store(&state, &mut call, &access, &mut source).await;
    let record = state.count_upload(source, stored)?;
    Ok(success(state.view(&call).image(&record)))
}

async fn receive_and_store(
    state: &Arc<ApiState>,
    call: &mut Call,
    access: &Access,
    source: &mut &'static str,
) -> Result<Arc<Record>, ApiError> {
    let form = read_form(state, call, FilePart::Named, None).await?;
    let mut input = Input::of_form(&form.fields)?;
    let creator = access.creator(input.creator())?;
    check_private_name(state, &input)?;
    let repeat = Repeat::of(&call.headers)?;
    if input.id.is_none() {
        input.id = repeat.id(&state.hosted().settings().secret);
    }
    let file = obtain_file(state, form.file, input.url.as_deref(), source).await?;
    let image = NewImage {
        id: input.id,
        filename: file.filename,
        creator,
        meta: input.meta.unwrap_or_default(),
        require_signed_urls: input.require_signed_urls.unwrap_or_default(),
    };
    let state = Arc::clone(state);
    // In a task of its own: where the client disappears now, its image is stored all the same, and not half of it.
    finish(async move {
        let (spooled, facts) = inspect(&state, file.spooled, false).await?;
        store(&state, image, spooled, facts, repeat).await
    })
    .await
}

async fn store(
    state: &ApiState,
    image: NewImage,
    file: SpooledFile,
    facts: Facts,
    repeat: Repeat,
) -> Result<Arc<Record>, ApiError> {
    let _permit = permit_commit(state, file.bytes).await?;
    let started = Instant::now();
    let wanted = image.clone();
    let sha256 = file.sha256.clone();
    let created = state.hosted().create(image, file, facts).await;
    state.time_upload(UploadStep::Commit, started.elapsed());
    match (created, wanted.id.as_ref()) {
        (Err(HostedError::Exists), Some(id)) if repeat.is_one() => {
            let found = state.hosted().find(id).await?;
            found
                .filter(|record| is_same(record, &wanted, &sha256))
                .ok_or_else(|| HostedError::Exists.into())
        }
        (created, _) => Ok(created?),
    }
}

/// Whether an image is what an upload would make.
fn is_same(record: &Record, wanted: &NewImage, sha256: &str) -> bool {
    record
        .original
        .as_ref()
        .is_some_and(|original| original.sha256 == sha256)
        && record.meta == wanted.meta
        && record.creator == wanted.creator
        && record.require_signed_urls == wanted.require_signed_urls
}

/// `PUT /images/v1/ID`: another file under the same ID.
pub(super) async fn replace(
    State(state): State<Arc<ApiState>>,
    mut call: Call,
) -> Result<Response, ApiError> {
    let access = state.access(&call)?.writes()?;
    let id = call.id("")?;
    let found = state.find(&id, &access).await?;
    if !found.is_ready() {
        return Err(ApiError::not_found());
    }
    let replaced = receive_and_replace(&state, &mut call, id).await;
    let record = state.count_upload("replace", replaced)?;
    Ok(success(state.view(&call).image(&record)))
}

async fn receive_and_replace(
    state: &Arc<ApiState>,
    call: &mut Call,
    id: ImageId,
) -> Result<Arc<Record>, ApiError> {
    let form = read_form(state, call, FilePart::Named, None).await?;
    let input = Input::of_form(&form.fields)?;
    let has_more = Input {
        url: input.url.clone(),
        ..Input::default()
    } != input;
    if has_more {
        let message = "PUT takes a `file` or a `url` and nothing else: change the rest with PATCH";
        return Err(ApiError::bad_request(message));
    }
    let file = obtain_file(state, form.file, input.url.as_deref(), &mut "url").await?;
    let state = Arc::clone(state);
    finish(async move {
        let (spooled, facts) = inspect(&state, file.spooled, false).await?;
        let _permit = permit_commit(&state, spooled.bytes).await?;
        let started = Instant::now();
        let replaced = state
            .hosted()
            .replace(&id, file.filename, spooled, facts)
            .await;
        state.time_upload(UploadStep::Commit, started.elapsed());
        Ok(replaced?)
    })
    .await
}

/// Reads the form of an upload. `max_bytes` is a limit below that of the settings.
pub(super) async fn read_form(
    state: &ApiState,
    call: &mut Call,
    file: FilePart,
    max_bytes: Option<u64>,
) -> Result<Form, ApiError> {
    let config = state.config();
    let most = config.upload_bytes.bytes();
    let limits = FormLimits {
        file,
        max_bytes: max_bytes.map_or(most, |bytes| bytes.min(most)),
        folder: &config.index,
    };
    let body = call.body()?;
    let form = form::read(&call.headers, body, limits).await?;
    if let Some(file) = &form.file {
        state.time_upload(UploadStep::Spool, file.time);
    }
    Ok(form)
}

/// The file of a form, or the one at its URL.
async fn obtain_file(
    state: &ApiState,
    file: Option<FormFile>,
    url: Option<&str>,
    source: &mut &'static str,
) -> Result<FormFile, ApiError> {
    match (file, url) {
        (Some(file), None) => Ok(file),
        (None, Some(url)) => {
            *source = "url";
            download(state, url).await
        }
        (Some(_), Some(_)) => {
            let message = "a form must have a `file` or a `url`, got both";
            Err(ApiError::bad_request(message).at("/file"))
        }
        (None, None) => {
            let message = "a form must have a `file` or a `url`, got neither";
            Err(ApiError::bad_request(message).at("/file"))
        }
    }
}

/// Cloudflare does not let images be private that have a name of their own.
pub(super) fn check_private_name(state: &ApiState, input: &Input) -> Result<(), ApiError> {
    let is_custom = input.id.as_ref().is_some_and(|id| !id.is_random());
    if is_custom && input.require_signed_urls == Some(true) && !state.config().private_keeps_id {
        return Err(private_name());
    }
    Ok(())
}

pub(super) fn private_name() -> ApiError {
    let message = "The image contains a custom ID and cannot be set to private, because `hosted.private_keeps_id` is off";
    ApiError::new(Failure::PrivateName, message).at("/requireSignedURLs")
}

/// Fetches the file at a URL.
async fn download(state: &ApiState, text: &str) -> Result<FormFile, ApiError> {
    let started = Instant::now();
    let url = Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let url = url.ok_or_else(|| {
        ApiError::bad_request("field `url` must be a URL as in `https://example.com/cat.jpg`")
            .at("/url")
    })?;
    let bytes = state.pipeline().download(&url).await;
    let bytes = bytes.map_err(fetch_error)?;
    let most = state.config().upload_bytes.bytes();
    if bytes.len() as u64 > most {
        return Err(form::too_large(most));
    }
    let last = url.path().rsplit('/').next().unwrap_or_default();
    let name = percent_encoding::percent_decode_str(last).decode_utf8_lossy();
    let spooled = async {
        let mut spool = Spool::new(&state.config().index).await?;
        spool.write(bytes).await?;
        spool.finish().await
    };
    let spooled = spooled.await.map_err(|error: io::Error| {
        ApiError::new(Failure::Storage, "the upload cannot be written to disk").because(error)
    })?;
    let time = started.elapsed();
    state.time_upload(UploadStep::Spool, time);
    Ok(FormFile {
        filename: form::filename(Some(&name)),
        spooled,
        time,
    })
}

fn fetch_error(error: SourceError) -> ApiError {
    let message = match &error {
        SourceError::NotFound { .. } => "the origin answered 404".to_owned(),
        SourceError::BadRequest(origin)
        | SourceError::RequestTimeout(origin)
        | SourceError::ClientError(origin)
        | SourceError::ServerError(origin)
        | SourceError::BadStatus(origin) => {
            format!("the origin answered {}", origin.status.as_u16())
        }
        SourceError::TooLarge { limit, .. } => return form::too_large(*limit).because(&error),
        SourceError::NotAPicture { .. } => return not_an_image().because(&error),
        SourceError::Busy(_) => return ApiError::busy().because(&error),
        SourceError::RedirectDenied(_) => {
            "the origin or one it redirects to is not in `hosted.fetch.allowed`".to_owned()
        }
        SourceError::PrivateAddress { .. } => "the origin has a private address".to_owned(),
        SourceError::Dns { .. } => "the origin's name cannot be resolved".to_owned(),
        SourceError::Connect { .. } => "the origin cannot be connected to".to_owned(),
        SourceError::Timeout(_) => "the origin was too slow".to_owned(),
        SourceError::TooManyRedirects { .. } | SourceError::BadRedirect { .. } => {
            "the origin redirects too often, or nowhere".to_owned()
        }
        _ => "the origin's answer cannot be read".to_owned(),
    };
    let message = format!("Error during fetching: {message}");
    ApiError::new(Failure::Fetch, message)
        .at("/url")
        .because(&error)
}

/// Takes metadata out of an upload, where the settings say so, and looks at it.
pub(super) async fn inspect(
    state: &Arc<ApiState>,
    file: SpooledFile,
    by_creator: bool,
) -> Result<(SpooledFile, Facts), ApiError> {
    let started = Instant::now();
    let pipeline = state.pipeline();
    let inspected = match pipeline.strip_upload(file, by_creator).await {
        Ok(file) => {
            let facts = pipeline.inspect_file(&file).await;
            facts.map(|facts| (file, facts))
        }
        Err(error) => Err(error),
    };
    state.time_upload(UploadStep::Inspect, started.elapsed());
    inspected.map_err(refusal)
}

/// Waits until a file of so many bytes may be sent to the store.
pub(super) async fn permit_commit(
    state: &ApiState,
    bytes: u64,
) -> Result<Option<CommitPermit>, ApiError> {
    let permit = state.pipeline().permit_commit(bytes).await;
    permit.map_err(refusal)
}

fn refusal(error: InspectError) -> ApiError {
    let message = error.to_string();
    match &error {
        InspectError::NotAnImage => not_an_image(),
        InspectError::Format { .. } => ApiError::new(Failure::Format, message).at("/file"),
        InspectError::Damaged(_) => {
            let message = format!("Decode error: image failed to be decoded: {message}");
            ApiError::new(Failure::Undecodable, message).at("/file")
        }
        InspectError::TooLarge(Excess::Frames { .. }) => {
            ApiError::new(Failure::Animation, message).at("/file")
        }
        InspectError::TooLarge(_) => ApiError::new(Failure::TooLarge, message).at("/file"),
        InspectError::Failed(cause) => match cause.info().status {
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
                ApiError::busy().because(cause)
            }
            _ => ApiError::internal(cause),
        },
    }
}

fn not_an_image() -> ApiError {
    let message = "the file is not an image: images are JPEG, PNG, WebP, GIF, AVIF, SVG and what else `hosted.formats` allows";
    ApiError::new(Failure::Format, message).at("/file")
}

/// Runs work to its end, whether its client waits or not.
pub(super) async fn finish<T: Send + 'static>(
    work: impl Future<Output = Result<T, ApiError>> + Send + 'static,
) -> Result<T, ApiError> {
    tokio::spawn(work).await.map_err(ApiError::internal)?
}

/// Whether a request may have been sent before.
struct Repeat {
    key: Option<String>,
    is_retry: bool,
}

impl Repeat {
    fn of(headers: &HeaderMap) -> Result<Self, ApiError> {
        const MAX_KEY: usize = 255;
        let key = headers.get(IDEMPOTENCY_KEY).map(|key| {
            let key = key.to_str().ok();
            key.filter(|key| !key.is_empty() && key.len() <= MAX_KEY)
                .map(str::to_owned)
                .ok_or_else(|| {
                    ApiError::bad_request(
                        "the header `Idempotency-Key` must have 1 to 255 visible ASCII characters",
                    )
                })
        });
        let count = headers
            .get(RETRY_COUNT)
            .and_then(|count| count.to_str().ok());
        Ok(Repeat {
            key: key.transpose()?,
            is_retry: count.is_some_and(|count| count.parse::<u32>().is_ok_and(|count| count > 0)),
        })
    }

    fn is_one(&self) -> bool {
        self.is_retry || self.key.is_some()
    }

    /// The ID of an image that gets none from its client: the same for the same key, whichever process is asked, so that two requests make one image.
    fn id(&self, secret: &str) -> Option<ImageId> {
        let key = self.key.as_ref()?;
        let hash = seal::signature(secret, Purpose::Idempotency, key.as_bytes())?;
        let bytes = *hash.first_chunk::<16>()?;
        let uuid = uuid_of(bytes);
        ImageId::new(&uuid.to_string()).ok()
    }
}

/// A UUID of version 4 with these bytes.
fn uuid_of(mut bytes: [u8; 16]) -> Uuid {
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    Uuid::from_bytes(bytes)
}

//! Direct creator uploads: a URL with which somebody without a token uploads one image.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::State;
use axum::response::Response;
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::api::access::{Access, now_secs};
use crate::api::call::Call;
use crate::api::envelope::success;
use crate::api::error::{ApiError, Failure};
use crate::api::form::FilePart;
use crate::api::form::is_form;
use crate::api::input::Input;
use crate::api::query;
use crate::api::seal;
use crate::api::seal::Purpose;
use crate::api::state::ApiState;
use crate::api::upload;
use crate::hosted::{Draft, ImageId, NewImage, Record};
use crate::telemetry::UploadStep;

/// How long an upload URL can be used unless the request says, in seconds.
const DEFAULT_TIME: u64 = 30 * 60;
/// The shortest and the longest time, in milliseconds.
const MIN_TIME: u64 = 2 * 60 * 1000;
const MAX_TIME: u64 = 6 * 60 * 60 * 1000;

/// What an upload URL says.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Ticket {
    id: String,
    expires: u64,
    nonce: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_bytes: Option<u64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    formats: Vec<String>,
}

/// `POST /images/v2/direct_upload`, with a form, with JSON or with nothing; and the same under `v1`, as old clients have it.
pub(super) async fn create(
    State(state): State<Arc<ApiState>>,
    mut call: Call,
) -> Result<Response, ApiError> {
    let access = state.access(&call)?.writes()?;
    let input = if is_form(&call.headers) {
        let form = upload::read_form(&state, &mut call, FilePart::Named, Some(0)).await?;
        Input::of_form(&form.fields)?
    } else {
        Input::of_json(call.json().await?)?
    };
    let draft = draft(&state, &access, input)?;
    let state_of_task = Arc::clone(&state);
    let record = upload::finish(async move {
        let draft = state_of_task.hosted().create_draft(draft).await?;
        Ok(draft)
    });
    let record = record.await?;
    let url = upload_url(&state, &call, &record)
        .ok_or_else(|| ApiError::internal("the account has no secret"))?;
    Ok(success(json!({"id": record.id.as_str(), "uploadURL": url})))
}

fn draft(state: &ApiState, access: &Access, input: Input) -> Result<Draft, ApiError> {
    upload::check_private_name(state, &input)?;
    let creator = access.creator(input.creator())?;
    let expires = match &input.expiry {
        None => now_secs() + DEFAULT_TIME,
        Some(text) => expiry(text, now_secs())?,
    };
    if input.max_bytes == Some(0) {
        let message = "field `max_bytes` must be at least 1, got `0`";
        return Err(ApiError::bad_request(message).at("/max_bytes"));
    }
    Ok(Draft {
        image: NewImage {
            id: input.id,
            filename: String::new(),
            creator,
            meta: input.meta.unwrap_or_default(),
            require_signed_urls: input.require_signed_urls.unwrap_or_default(),
        },
        expires,
        max_bytes: input.max_bytes,
        formats: input.formats,
    })
}

/// When an upload URL ends, in seconds since 1970. A clock that differs by seconds does no harm.
fn expiry(text: &str, now: u64) -> Result<u64, ApiError> {
    const CLOCKS: u64 = 5000;
    let now = now.saturating_mul(1000);
    let bounds = now + MIN_TIME - CLOCKS..=now + MAX_TIME + CLOCKS;
    let expires = query::millis(text).filter(|expires| bounds.contains(expires));
    // In these words, also for what is no time, as at Cloudflare.
    let message = "expiry is out of accepted bound.";
    let refusal = || ApiError::bad_request(message).at("/expiry");
    expires.map(|expires| expires / 1000).ok_or_else(refusal)
}

fn upload_url(state: &ApiState, call: &Call, record: &Record) -> Option<String> {
    let upload = record.upload.as_ref()?;
    let ticket = Ticket {
        id: record.id.as_str().to_owned(),
        expires: record.expires?,
        nonce: upload.nonce.clone(),
        max_bytes: upload.max_bytes,
        formats: upload.formats.clone(),
    };
    let ticket = serde_json::to_vec(&ticket).ok()?;
    let token = seal::seal(&state.hosted().settings().secret, Purpose::Upload, &ticket)?;
    Some(format!(
        "{}/upload/{}/{token}",
        call.base.0,
        state.config().hash
    ))
}

/// `POST /upload/HASH/TOKEN`: no other token is needed.
pub(super) async fn fill(
    State(state): State<Arc<ApiState>>,
    mut call: Call,
) -> Result<Response, ApiError> {
    let filled = receive_and_fill(&state, &mut call).await;
    let record = state.count_upload("direct", filled)?;
    Ok(success(state.view(&call).image(&record)))
}

async fn receive_and_fill(state: &Arc<ApiState>, call: &mut Call) -> Result<Arc<Record>, ApiError> {
    state.hosted().check_open()?;
    let ticket = ticket(state, call)?;
    let id = ImageId::new(&ticket.id).map_err(|_| unknown())?;
    if ticket.expires <= now_secs() {
        return Err(ApiError::new(Failure::Gone, "the upload URL has expired"));
    }
    let found = state.hosted().find(&id).await?.ok_or_else(unknown)?;
    if found.is_ready() {
        let message = "the upload URL has been used already";
        return Err(ApiError::new(Failure::Exists, message));
    }
    let place = state.crowd.enter(&ticket.nonce).ok_or_else(|| {
        let message = "the upload URL is being used";
        ApiError::new(Failure::Exists, message)
    })?;
    let form = upload::read_form(state, call, FilePart::First, ticket.max_bytes).await?;
    let file = form.file.ok_or_else(|| {
        ApiError::bad_request("the form must have a `file`, got none").at("/file")
    })?;
    let state = Arc::clone(state);
    upload::finish(async move {
        let _place = place;
        let (spooled, facts) = upload::inspect(&state, file.spooled, true).await?;
        if !ticket.formats.is_empty() && !ticket.formats.contains(&facts.format) {
            let (format, wanted) = (&facts.format, ticket.formats.join(", "));
            let message = format!("this upload URL takes {wanted}, got {format}");
            return Err(ApiError::new(Failure::Format, message).at("/file"));
        }
        let _permit = upload::permit_commit(&state, spooled.bytes).await?;
        let started = Instant::now();
        let hosted = state.hosted();
        let filled = hosted
            .fill_draft(&id, &ticket.nonce, file.filename, spooled, facts)
            .await;
        state.time_upload(UploadStep::Commit, started.elapsed());
        Ok(filled?)
    })
    .await
}

/// What the upload URL of a request says, if this server made it.
fn ticket(state: &ApiState, call: &Call) -> Result<Ticket, ApiError> {
    let rest = call.path().strip_prefix("/upload/").unwrap_or_default();
    let (hash, token) = rest.split_once('/').ok_or_else(unknown)?;
    let hash = percent_decode_str(hash).decode_utf8_lossy();
    let secret = &state.hosted().settings().secret;
    let ticket = seal::open(secret, Purpose::Upload, token);
    let ticket = ticket.and_then(|ticket| serde_json::from_slice(&ticket).ok());
    ticket
        .filter(|_| hash == state.config().hash)
        .ok_or_else(unknown)
}

fn unknown() -> ApiError {
    ApiError::new(Failure::NotFound, "there is no such upload URL")
}

#[cfg(test)]
mod tests {
    use super::expiry;
    use crate::api::view::time;

    #[test]
    fn an_upload_url_lives_two_minutes_to_six_hours() {
        let now = 1_800_000_000;
        for (seconds, is_fine) in [
            (120, true),
            (6 * 3600, true),
            (1800, true),
            (110, false),
            (6 * 3600 + 10, false),
            (0, false),
        ] {
            let text = time((now + seconds) * 1000);
            let read = expiry(&text, now);
            assert_eq!(read.is_ok(), is_fine, "{seconds}");
            assert!(read.is_err() || read.ok() == Some(now + seconds));
        }
        for text in ["", "tomorrow", "1800000600"] {
            assert!(expiry(text, now).is_err(), "{text}");
        }
    }
}

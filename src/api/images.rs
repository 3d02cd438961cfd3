//! One image: its record, its file, changes of its record, another name.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{
    ACCEPT_RANGES, ALLOW, CACHE_CONTROL, CONTENT_RANGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
    ETAG, HeaderName, HeaderValue,
};
use serde_json::{Map, Value, json};
use tokio::sync::OwnedSemaphorePermit;

use crate::api::call::Call;
use crate::api::envelope::success;
use crate::api::error::{ApiError, Failure};
use crate::api::form::FilePart;
use crate::api::form::is_form;
use crate::api::input::Input;
use crate::api::state::ApiState;
use crate::api::upload;
use crate::hosted::{Changes, ImageId, Record};
use crate::request::{Conditional, PreconditionOutcome, RangeOutcome};

/// `GET /images/v1/ID` and `GET /images/v1/ID/blob`.
pub(super) async fn show(
    State(state): State<Arc<ApiState>>,
    call: Call,
) -> Result<Response, ApiError> {
    let access = state.access(&call)?;
    if call.names_blob() {
        let record = state.find(&call.id("/blob")?, &access).await?;
        return blob(&state, &call, &record).await;
    }
    let record = state.find(&call.id("")?, &access).await?;
    Ok(success(state.view(&call).image(&record)))
}

/// A file in memory, with the right to be there.
struct HeldFile {
    bytes: Bytes,
    _permit: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for HeldFile {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// The file as it was uploaded.
async fn blob(state: &ApiState, call: &Call, record: &Record) -> Result<Response, ApiError> {
    const OPTIONS: HeaderName = HeaderName::from_static("x-content-type-options");
    let original = record.original.as_ref().ok_or_else(ApiError::not_found)?;
    let etag = format!("\"{}\"", original.sha256);
    let conditions = Conditional::of_headers(&call.headers, true);
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        headers.insert(ETAG, etag);
    }
    match conditions.evaluate_preconditions(&etag, None) {
        None => {}
        Some(PreconditionOutcome::NotModified) => {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return Ok(response);
        }
        Some(PreconditionOutcome::PreconditionFailed) => {
            *response.status_mut() = StatusCode::PRECONDITION_FAILED;
            return Ok(response);
        }
    }
    let permit = state.hold_blob()?;
    let bytes = state.hosted().read(&original.key).await?;
    let bytes = Bytes::from_owner(HeldFile {
        bytes,
        _permit: permit,
    });
    let length = bytes.len();
    if let Ok(media) = HeaderValue::from_str(&original.facts.mime) {
        headers.insert(CONTENT_TYPE, media);
    }
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(OPTIONS, HeaderValue::from_static("nosniff"));
    // A drawing is sent as it was uploaded, so nothing in it may run.
    let sandbox =
        HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; sandbox");
    headers.insert(CONTENT_SECURITY_POLICY, sandbox);
    match conditions.select_range(&etag, None, length) {
        RangeOutcome::Whole => *response.body_mut() = Body::from(bytes),
        RangeOutcome::Part(part) => {
            let last = part.end.saturating_sub(1);
            set_range(
                &mut response,
                &format!("bytes {}-{last}/{length}", part.start),
            );
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            *response.body_mut() = Body::from(bytes.slice(part));
        }
        RangeOutcome::Unsatisfiable => {
            set_range(&mut response, &format!("bytes */{length}"));
            *response.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
        }
    }
    Ok(response)
}

fn set_range(response: &mut Response, range: &str) {
    if let Ok(range) = HeaderValue::from_str(range) {
        response.headers_mut().insert(CONTENT_RANGE, range);
    }
}

/// `PATCH /images/v1/ID`, with JSON, or with a form, as old Terraform providers send it.
pub(super) async fn update(
    State(state): State<Arc<ApiState>>,
    mut call: Call,
) -> Result<Response, ApiError> {
    let access = state.access(&call)?.writes()?;
    let id = call.id("")?;
    let found = state.find(&id, &access).await?;
    let input = if is_form(&call.headers) {
        let form = upload::read_form(&state, &mut call, FilePart::Named, Some(0)).await?;
        Input::of_form(&form.fields)?
    } else {
        Input::of_json(call.json().await?)?
    };
    // A token for one creator cannot give its images away, or to nobody.
    let creator = input
        .creator
        .map(|creator| access.creator(creator.as_deref()));
    let changes = Changes {
        meta: input.meta,
        creator: creator.transpose()?,
        require_signed_urls: input.require_signed_urls,
    };
    let state_of_task = Arc::clone(&state);
    let record = upload::finish(async move { change(&state_of_task, &found, changes).await });
    Ok(success(state.view(&call).image(&*record.await?)))
}

/// Changes a record. As at Cloudflare, an image gets a new ID with its privacy, if the settings say so.
async fn change(
    state: &ApiState,
    found: &Record,
    changes: Changes,
) -> Result<Arc<Record>, ApiError> {
    let signed = changes.require_signed_urls;
    let toggles = signed.is_some_and(|signed| signed != found.require_signed_urls);
    let gets_new_id = toggles && !state.config().private_keeps_id;
    if gets_new_id && !found.id.is_random() {
        return Err(upload::private_name());
    }
    let record = state.hosted().update(&found.id, changes).await?;
    if !gets_new_id {
        return Ok(record);
    }
    Ok(state.hosted().rename(&found.id, ImageId::random()).await?)
}

/// `DELETE /images/v1/ID`.
pub(super) async fn delete(
    State(state): State<Arc<ApiState>>,
    call: Call,
) -> Result<Response, ApiError> {
    let access = state.access(&call)?.writes()?;
    let id = call.id("")?;
    state.find(&id, &access).await?;
    upload::finish(async move { Ok(state.hosted().delete(&id).await?) }).await?;
    Ok(success(json!({})))
}

/// `POST /images/v1/ID/move`: another ID for an image.
pub(super) async fn rename(
    State(state): State<Arc<ApiState>>,
    mut call: Call,
) -> Result<Response, ApiError> {
    if !call.path().ends_with("/move") {
        let message = "this path takes no POST, except with `/move` behind the ID";
        let mut refusal = ApiError::new(Failure::WrongMethod, message).into_response();
        let allowed = HeaderValue::from_static("GET,HEAD,PATCH,PUT,DELETE");
        refusal.headers_mut().insert(ALLOW, allowed);
        return Ok(refusal);
    }
    let access = state.access(&call)?.writes()?;
    let id = call.id("/move")?;
    let found = state.find(&id, &access).await?;
    let to = new_id(&call.json().await?)?;
    if found.id == to {
        return Ok(success(state.view(&call).image(&found)));
    }
    let state_of_task = Arc::clone(&state);
    let renamed = upload::finish(async move {
        let renamed = state_of_task.hosted().rename(&id, to).await?;
        Ok(renamed)
    });
    let renamed = renamed.await?;
    Ok(success(state.view(&call).image(&renamed)))
}

fn new_id(body: &Map<String, Value>) -> Result<ImageId, ApiError> {
    match body.get("id") {
        Some(Value::String(id)) => Ok(ImageId::custom(id)?),
        _ => Err(ApiError::bad_request("the body must have the new `id`, as text").at("/id")),
    }
}

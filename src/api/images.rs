//! One image: its record, changes of its record, another name.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use hyper::header::{ALLOW, HeaderValue};
use serde_json::{Map, Value, json};

use crate::api::blob::blob;
use crate::api::call::Call;
use crate::api::envelope::success;
use crate::api::error::{ApiError, Failure};
use crate::api::form::FilePart;
use crate::api::form::is_form;
use crate::api::input::Input;
use crate::api::state::ApiState;
use crate::api::upload;
use crate::hosted::{Changes, ImageId, Record};

/// `GET /images/v1/ID` and `GET /images/v1/ID/blob`.
pub(super) async fn show(
    State(state): State<Arc<ApiState>>,
    call: Call,
) -> Result<Response, ApiError> {
    let access = state.access(&call)?;
    if call.names_blob() {
        let id = call.id("/blob")?;
        let record = state.find(&id, &access).await?;
        return match blob(&state, &call, &record).await {
            // It was replaced in this instant, perhaps by another process.
            Err(error)
                if error.is_not_found() && state.hosted().has_changed(&id, &record.rev).await =>
            {
                let record = state.find(&id, &access).await?;
                blob(&state, &call, &record).await
            }
            sent => sent,
        };
    }
    let record = state.find(&call.id("")?, &access).await?;
    Ok(success(state.view(&call).image(&record)))
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
    let _permit = upload::permit_commit(state, size(found)).await?;
    Ok(state.hosted().rename(&found.id, ImageId::random()).await?)
}

fn size(record: &Record) -> u64 {
    let original = record.original.as_ref();
    original.map_or(0, |original| original.bytes)
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
    let bytes = size(&found);
    let state_of_task = Arc::clone(&state);
    let renamed = upload::finish(async move {
        let _permit = upload::permit_commit(&state_of_task, bytes).await?;
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

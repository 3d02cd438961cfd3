//! `DELETE /images/v2`: many images at once, by their IDs or by filters. The request must say how many it means, so that a filter that is too wide
//! deletes nothing.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde_json::{Value, json};

use crate::api::access::Access;
use crate::api::call::Call;
use crate::api::envelope::success;
use crate::api::error::ApiError;
use crate::api::query::Query;
use crate::api::state::ApiState;
use crate::api::upload;
use crate::hosted::{HostedError, ImageId, ImageQuery};

/// The most images that one request deletes.
const MAX_IMAGES: usize = 1000;

/// What a request may say, beside `meta.NAME`.
const NAMES: [&str; 8] = [
    "ids",
    "confirm",
    "creator",
    "prefix",
    "uploaded_after",
    "uploaded_before",
    "filename",
    "draft",
];

/// Deletes images.
pub(super) async fn delete_many(
    State(state): State<Arc<ApiState>>,
    mut call: Call,
) -> Result<Response, ApiError> {
    let access = state.access(&call)?.writes()?;
    let mut fields = call.query()?;
    add_body(&mut fields, call.json().await?)?;
    check_names(&fields)?;
    let ids = chosen(&state, &access, &fields).await?;
    let confirm = Query(&fields).number("confirm", 0..=MAX_IMAGES)?;
    if confirm != Some(ids.len()) {
        let count = ids.len();
        return Err(ApiError::bad_request(format!(
            "{count} images would be deleted: send `confirm={count}` to delete them"
        )));
    }
    let deleted = upload::finish(async move { delete(&state, &access, ids).await });
    let (deleted, missing) = deleted.await?;
    Ok(success(json!({"deleted": deleted, "missing": missing})))
}

/// Adds `ids` and `confirm` of the body, where there are more IDs than a URL can hold.
fn add_body(
    fields: &mut Vec<(String, String)>,
    body: serde_json::Map<String, Value>,
) -> Result<(), ApiError> {
    for (name, value) in body {
        match (name.as_str(), value) {
            ("ids", Value::Array(ids)) => {
                for id in ids {
                    let Value::String(id) = id else {
                        return Err(ApiError::bad_request("`ids` must be a list of texts"));
                    };
                    fields.push((name.clone(), id));
                }
            }
            ("confirm", Value::Number(number)) => fields.push((name, number.to_string())),
            ("ids" | "confirm", _) => {
                let message = "`ids` must be a list of texts and `confirm` a number";
                return Err(ApiError::bad_request(message));
            }
            _ => {}
        }
    }
    Ok(())
}

/// A filter that is misspelt would be left out, and more would be deleted.
fn check_names(fields: &[(String, String)]) -> Result<(), ApiError> {
    let is_known = |name: &str| NAMES.contains(&name) || name.starts_with("meta.");
    match fields.iter().find(|(name, _)| !is_known(name)) {
        None => Ok(()),
        Some((name, _)) => {
            let known = NAMES.join("`, `");
            let name: String = name.chars().take(100).collect();
            Err(ApiError::bad_request(format!(
                "there is no `{name}` here: only `{known}` and `meta.NAME`"
            )))
        }
    }
}

/// The IDs that a request names, or those of the images that its filters choose.
async fn chosen(
    state: &ApiState,
    access: &Access,
    fields: &[(String, String)],
) -> Result<Vec<ImageId>, ApiError> {
    let named = fields.iter().filter(|(name, _)| name == "ids");
    let mut named: Vec<ImageId> = named
        .map(|(_, id)| ImageId::new(id).map_err(ApiError::from))
        .collect::<Result<_, _>>()?;
    let query = Query(fields);
    let filters = query.filters()?;
    let has_filter = filters != ImageQuery::default();
    if named.is_empty() != has_filter {
        return Err(ApiError::bad_request(
            "images to be deleted must be named by `ids`, or by at least one filter as in `prefix`, `creator` or `meta.NAME`, and not by both",
        ));
    }
    if has_filter {
        let query = ImageQuery {
            limit: MAX_IMAGES + 1,
            creator: access.creator(query.text("creator"))?,
            ..filters
        };
        let found = state.hosted().list(&query).await?.images;
        named = found.iter().map(|record| record.id.clone()).collect();
    }
    named.sort();
    named.dedup();
    if named.len() > MAX_IMAGES {
        return Err(ApiError::bad_request(format!(
            "one request can delete at most {MAX_IMAGES} images: choose fewer"
        )));
    }
    Ok(named)
}

/// Deletes images, and returns how many there were and which were not there.
async fn delete(
    state: &ApiState,
    access: &Access,
    ids: Vec<ImageId>,
) -> Result<(usize, Vec<String>), ApiError> {
    let mut deleted = 0;
    let mut missing = Vec::new();
    for id in ids {
        let found = state.hosted().find(&id).await?;
        let may_see = found.is_some_and(|record| access.covers(record.creator.as_deref()));
        let outcome = if may_see {
            state.hosted().delete(&id).await
        } else {
            Err(HostedError::NotFound)
        };
        match outcome {
            Ok(()) => deleted += 1,
            Err(HostedError::NotFound) => missing.push(id.as_str().to_owned()),
            Err(error) => return Err(error.into()),
        }
    }
    Ok((deleted, missing))
}

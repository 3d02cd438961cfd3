//! Variants: named sets of options.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde_json::{Map, Value, json};

use crate::api::call::Call;
use crate::api::envelope::success;
use crate::api::error::{ApiError, Failure};
use crate::api::query::excerpt;
use crate::api::state::ApiState;
use crate::api::view;
use crate::hosted::{AccountSettings, ORIGINAL, Variant, is_variant_name};

/// The most variants.
const MAX_VARIANTS: usize = 1000;
/// The variant that is always there.
const PUBLIC: &str = "public";

/// `GET /images/v1/variants`.
pub(super) async fn list(
    State(state): State<Arc<ApiState>>,
    call: Call,
) -> Result<Response, ApiError> {
    state.access(&call)?.whole_account()?;
    Ok(success(view::variants(&state.hosted().settings())))
}

/// `GET /images/v1/variants/NAME`.
pub(super) async fn show(
    State(state): State<Arc<ApiState>>,
    call: Call,
) -> Result<Response, ApiError> {
    state.access(&call)?.whole_account()?;
    let name = call.last_segment();
    answer(&state.hosted().settings(), &name)
}

/// `POST /images/v1/variants`.
pub(super) async fn create(
    State(state): State<Arc<ApiState>>,
    mut call: Call,
) -> Result<Response, ApiError> {
    state.access(&call)?.writes()?.whole_account()?;
    let body = call.json().await?;
    let name = name(&body)?;
    let variant = read(&state, body, false)?;
    let add = |settings: &mut AccountSettings| {
        if settings.variants.contains_key(&name) {
            let message = format!("Resource already exists: there is a variant `{name}`");
            return Err(ApiError::new(Failure::Exists, message).at("/id"));
        }
        if settings.variants.len() >= MAX_VARIANTS {
            let message = format!("there can be at most {MAX_VARIANTS} variants");
            return Err(ApiError::new(Failure::TooMany, message));
        }
        settings.variants.insert(name.clone(), variant.clone());
        Ok(())
    };
    let settings = state.change_settings(add).await?;
    answer(&settings, &name)
}

/// `PATCH /images/v1/variants/NAME`. The options replace those that there are.
pub(super) async fn update(
    State(state): State<Arc<ApiState>>,
    mut call: Call,
) -> Result<Response, ApiError> {
    state.access(&call)?.writes()?.whole_account()?;
    let name = call.last_segment();
    let known = state.hosted().settings();
    let known = known.variants.get(&name).ok_or_else(|| unknown(&name))?;
    let body = call.json().await?;
    let variant = read(&state, body, known.never_require_signed_urls)?;
    let change = |settings: &mut AccountSettings| {
        let place = settings.variants.get_mut(&name);
        *place.ok_or_else(|| unknown(&name))? = variant.clone();
        Ok(())
    };
    let settings = state.change_settings(change).await?;
    answer(&settings, &name)
}

/// `DELETE /images/v1/variants/NAME`.
pub(super) async fn delete(
    State(state): State<Arc<ApiState>>,
    call: Call,
) -> Result<Response, ApiError> {
    state.access(&call)?.writes()?.whole_account()?;
    let name = call.last_segment();
    if name == PUBLIC {
        let message = "the variant `public` cannot be deleted";
        return Err(ApiError::bad_request(message));
    }
    let remove = |settings: &mut AccountSettings| {
        let removed = settings.variants.remove(&name);
        removed.map(|_| ()).ok_or_else(|| unknown(&name))
    };
    state.change_settings(remove).await?;
    Ok(success(json!({})))
}

fn answer(settings: &AccountSettings, name: &str) -> Result<Response, ApiError> {
    let found = settings.variants.get(name).ok_or_else(|| unknown(name))?;
    Ok(success(json!({"variant": view::variant(name, found)})))
}

fn unknown(name: &str) -> ApiError {
    let name = excerpt(name);
    let message = format!("Variant not found: there is no variant `{name}`");
    ApiError::new(Failure::NoVariant, message)
}

/// The name of a new variant.
fn name(body: &Map<String, Value>) -> Result<String, ApiError> {
    let name = body.get("id").and_then(Value::as_str).unwrap_or_default();
    if name == ORIGINAL {
        let message = "`original` cannot be the name of a variant: it stands for the uploaded file";
        return Err(ApiError::bad_request(message).at("/id"));
    }
    if !is_variant_name(name) {
        let name = excerpt(name);
        let message =
            format!("`id` must be 1 to 99 letters, digits, hyphens and underscores, got `{name}`");
        return Err(ApiError::bad_request(message).at("/id"));
    }
    Ok(name.to_owned())
}

/// The variant in a body. `neverRequireSignedURLs` is `otherwise` where the body does not say.
fn read(
    state: &ApiState,
    mut body: Map<String, Value>,
    otherwise: bool,
) -> Result<Variant, ApiError> {
    let options = match body.remove("options") {
        Some(Value::Object(options)) => options,
        _ => {
            let message = "`options` must be an object as in `{\"width\": 640}`";
            return Err(ApiError::bad_request(message).at("/options"));
        }
    };
    let never_require_signed_urls = match body.remove("neverRequireSignedURLs") {
        None | Some(Value::Null) => otherwise,
        Some(Value::Bool(never)) => never,
        Some(other) => {
            let got = excerpt(&other.to_string());
            let message =
                format!("`neverRequireSignedURLs` must be `true` or `false`, got `{got}`");
            return Err(ApiError::bad_request(message).at("/neverRequireSignedURLs"));
        }
    };
    let variant = Variant {
        options,
        never_require_signed_urls,
    };
    let checked = state.pipeline().check_variant(&variant);
    checked.map_err(|message| ApiError::bad_request(message).at("/options"))?;
    Ok(variant)
}

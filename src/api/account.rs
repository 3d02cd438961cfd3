//! What belongs to the whole account: counts, keys, switches and batch tokens.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use data_encoding::BASE64;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::api::call::Call;
use crate::api::envelope::success;
use crate::api::error::{ApiError, Failure};
use crate::api::query::excerpt;
use crate::api::state::ApiState;
use crate::api::view;
use crate::hosted::{AccountSettings, ImageQuery, SigningKey};

/// The longest name of a key.
const MAX_KEY_NAME: usize = 20;
/// The most keys. Each is tried for every signed URL.
const MAX_KEYS: usize = 16;
/// How long browsers may keep a picture, in seconds.
const BROWSER_TTL: std::ops::RangeInclusive<u64> = 3600..=31_536_000;
/// The count that is shown as the limit: there is none.
const ALLOWED: u64 = 100_000_000;

/// `GET /images/v1/stats`.
pub(super) async fn stats(
    State(state): State<Arc<ApiState>>,
    call: Call,
) -> Result<Response, ApiError> {
    state.access(&call)?.whole_account()?;
    let current = state.hosted().count(&ImageQuery::default()).await?;
    Ok(success(
        json!({"count": {"current": current, "allowed": ALLOWED}}),
    ))
}

/// `GET /images/v1/keys`. Who has a key can sign URLs, so a token that may only read does not see them.
pub(super) async fn keys(
    State(state): State<Arc<ApiState>>,
    call: Call,
) -> Result<Response, ApiError> {
    state.access(&call)?.writes()?.whole_account()?;
    Ok(success(view::keys(&state.hosted().settings())))
}

/// `PUT /images/v1/keys/NAME`.
pub(super) async fn add_key(
    State(state): State<Arc<ApiState>>,
    call: Call,
) -> Result<Response, ApiError> {
    state.access(&call)?.writes()?.whole_account()?;
    let name = call.last_segment();
    let is_name = (1..=MAX_KEY_NAME).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !is_name {
        let name = excerpt(&name);
        return Err(ApiError::bad_request(format!(
            "the name of a key must be 1 to {MAX_KEY_NAME} letters and digits, got `{name}`"
        )));
    }
    let value = new_key();
    let add = |settings: &mut AccountSettings| {
        if settings.keys.iter().any(|key| key.name == name) {
            let message = format!("Resource already exists: there is a key `{name}`");
            return Err(ApiError::new(Failure::Exists, message));
        }
        if settings.keys.len() >= MAX_KEYS {
            let message = format!("there can be at most {MAX_KEYS} keys");
            return Err(ApiError::new(Failure::TooMany, message));
        }
        settings.keys.push(SigningKey {
            name: name.clone(),
            value: value.clone(),
        });
        Ok(())
    };
    let settings = state.change_settings(add).await?;
    Ok(success(view::keys(&settings)))
}

/// `DELETE /images/v1/keys/NAME`. There is always a key: a new one takes the place of the last.
pub(super) async fn delete_key(
    State(state): State<Arc<ApiState>>,
    call: Call,
) -> Result<Response, ApiError> {
    state.access(&call)?.writes()?.whole_account()?;
    let name = call.last_segment();
    let value = new_key();
    let remove = |settings: &mut AccountSettings| {
        let before = settings.keys.len();
        settings.keys.retain(|key| key.name != name);
        if settings.keys.len() == before {
            let name = excerpt(&name);
            let message = format!("Signing key not found: there is no key `{name}`");
            return Err(ApiError::new(Failure::NotFound, message));
        }
        if settings.keys.is_empty() {
            settings.keys.push(SigningKey {
                name: "default".to_owned(),
                value: value.clone(),
            });
        }
        Ok(())
    };
    let settings = state.change_settings(remove).await?;
    Ok(success(view::keys(&settings)))
}

fn new_key() -> String {
    let random = [Uuid::new_v4(), Uuid::new_v4()].map(Uuid::into_bytes);
    BASE64.encode(&random.concat())
}

/// `GET /images/v1/config`.
pub(super) async fn config(
    State(state): State<Arc<ApiState>>,
    call: Call,
) -> Result<Response, ApiError> {
    state.access(&call)?.whole_account()?;
    Ok(success(switches(&state.hosted().settings())))
}

/// `PATCH /images/v1/config`.
pub(super) async fn update_config(
    State(state): State<Arc<ApiState>>,
    mut call: Call,
) -> Result<Response, ApiError> {
    state.access(&call)?.writes()?.whole_account()?;
    let wanted = SwitchChanges::of(&call.json().await?)?;
    let change = |settings: &mut AccountSettings| {
        if let Some(flexible) = wanted.flexible_variants {
            settings.flexible_variants = flexible;
        }
        if let Some(ttl) = wanted.browser_ttl {
            settings.browser_ttl = ttl;
        }
        Ok(())
    };
    let settings = state.change_settings(change).await?;
    Ok(success(switches(&settings)))
}

fn switches(settings: &AccountSettings) -> Value {
    json!({
        "flexible_variants": settings.flexible_variants,
        "browser_ttl": settings.browser_ttl,
    })
}

/// Changes of the switches; what is `None` stays.
struct SwitchChanges {
    flexible_variants: Option<bool>,
    browser_ttl: Option<Option<u32>>,
}

impl SwitchChanges {
    fn of(body: &Map<String, Value>) -> Result<Self, ApiError> {
        let flexible_variants = match body.get("flexible_variants") {
            None => None,
            Some(Value::Bool(flexible)) => Some(*flexible),
            Some(other) => {
                let got = excerpt(&other.to_string());
                let message = format!("`flexible_variants` must be `true` or `false`, got `{got}`");
                return Err(ApiError::bad_request(message).at("/flexible_variants"));
            }
        };
        let browser_ttl = match body.get("browser_ttl") {
            None => None,
            Some(Value::Null) => Some(None),
            Some(value) => {
                let seconds = value.as_u64().filter(|ttl| BROWSER_TTL.contains(ttl));
                let seconds = seconds.and_then(|ttl| u32::try_from(ttl).ok());
                Some(Some(seconds.ok_or_else(|| {
                    let got = excerpt(&value.to_string());
                    let message = format!(
                        "`browser_ttl` must be {} to {} seconds, or null for the default, got `{got}`",
                        BROWSER_TTL.start(),
                        BROWSER_TTL.end()
                    );
                    ApiError::bad_request(message).at("/browser_ttl")
                })?))
            }
        };
        Ok(SwitchChanges {
            flexible_variants,
            browser_ttl,
        })
    }
}

/// `GET /images/v1/batch_token`.
pub(super) async fn batch_token(
    State(state): State<Arc<ApiState>>,
    call: Call,
) -> Result<Response, ApiError> {
    let access = state.access(&call)?.outlives_batches()?;
    let settings = state.hosted().settings();
    let token = access.batch(&settings.secret, &state.config().hash);
    let (token, ends) = token.ok_or_else(|| ApiError::internal("the account has no secret"))?;
    let ends = view::time(ends.saturating_mul(1000));
    Ok(success(json!({"token": token, "expiresAt": ends})))
}

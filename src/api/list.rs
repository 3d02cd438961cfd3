//! Lists of images: with page numbers, and with continuation tokens.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde_json::{Value, json};

use crate::api::call::Call;
use crate::api::envelope::{page, success};
use crate::api::error::ApiError;
use crate::api::query::Query;
use crate::api::seal;
use crate::api::seal::Purpose;
use crate::api::state::ApiState;
use crate::hosted::ImageQuery;

/// The most images of a page with a continuation token.
const MAX_PAGE: usize = 1000;
/// The last page number.
const MAX_PAGES: usize = 1_000_000;

/// `GET /images/v1`. The SDKs of Cloudflare iterate over `items`, which is here for them; the documented field is `images`.
pub(super) async fn numbered(
    State(state): State<Arc<ApiState>>,
    call: Call,
) -> Result<Response, ApiError> {
    let access = state.access(&call)?;
    let fields = call.query()?;
    let query = Query(&fields);
    let number = query.number("page", 1..=MAX_PAGES)?.unwrap_or(1);
    let per_page = query.per_page()?;
    let query = ImageQuery {
        limit: per_page,
        offset: (number - 1).saturating_mul(per_page),
        newest_first: true,
        creator: access.creator(query.text("creator"))?,
        ..ImageQuery::default()
    };
    let found = state.hosted().list(&query).await?;
    let total = state.hosted().count(&query).await?;
    let images = state.view(&call).images(&found.images);
    let info = json!({
        "page": number, "per_page": per_page, "count": images.len(), "total_count": total,
    });
    let items = if images.is_empty() {
        json!([])
    } else {
        json!([{"images": images}])
    };
    Ok(page(json!({"images": images, "items": items}), info))
}

/// `GET /images/v2`.
pub(super) async fn continued(
    State(state): State<Arc<ApiState>>,
    call: Call,
) -> Result<Response, ApiError> {
    let access = state.access(&call)?;
    let secret = &state.hosted().settings().secret;
    let fields = call.query()?;
    let query = Query(&fields);
    let newest_first = query.newest_first()?;
    let after = query
        .text("continuation_token")
        .filter(|text| !text.is_empty());
    let after = after
        .map(|token| {
            let position = position(secret, newest_first, token);
            position.ok_or_else(|| {
                ApiError::bad_request(
                    "`continuation_token` must be one that an earlier page of the same list came with",
                )
            })
        })
        .transpose()?;
    let query = ImageQuery {
        limit: query.per_page()?.min(MAX_PAGE),
        after,
        newest_first,
        creator: access.creator(query.text("creator"))?,
        ..query.filters()?
    };
    let found = state.hosted().list(&query).await?;
    let last = found.images.last().filter(|_| found.has_more);
    let token =
        last.and_then(|last| continuation(secret, newest_first, last.uploaded, last.id.as_str()));
    let token = token.map_or(Value::Null, Value::String);
    let images = state.view(&call).images(&found.images);
    Ok(success(
        json!({"images": images, "continuation_token": token}),
    ))
}

/// The token that continues after an image.
fn continuation(secret: &str, newest_first: bool, uploaded: u64, id: &str) -> Option<String> {
    let payload = serde_json::to_vec(&(newest_first, uploaded, id)).ok()?;
    seal::seal(secret, Purpose::Continuation, &payload)
}

/// Where a list goes on, if the token is from a list of this order.
fn position(secret: &str, newest_first: bool, token: &str) -> Option<(u64, String)> {
    let payload = seal::open(secret, Purpose::Continuation, token)?;
    let (order, uploaded, id): (bool, u64, String) = serde_json::from_slice(&payload).ok()?;
    (order == newest_first).then_some((uploaded, id))
}

#[cfg(test)]
mod tests {
    use super::{continuation, position};

    #[test]
    fn a_list_goes_on_where_it_ended() {
        let token = continuation("a secret", true, 7, "é ü").expect("a token");
        assert_eq!(
            position("a secret", true, &token),
            Some((7, "é ü".to_owned()))
        );
        assert_eq!(position("a secret", false, &token), None);
        assert_eq!(position("another", true, &token), None);
        assert_eq!(position("a secret", true, "x"), None);
    }
}

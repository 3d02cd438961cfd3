//! The API of hosted images: that of Cloudflare Images, and a few calls more. It has no listener of its own: the public one hands it the requests
//! whose path it [takes](Api::takes), if hosted images are configured.
//!
//! Every answer is JSON. Nothing of a body is read before the token has been checked, no upload is held in memory while it arrives, and no token,
//! upload URL or password of a URL is logged.

mod access;
mod account;
mod blob;
mod call;
mod crowd;
mod deletion;
mod direct;
mod envelope;
mod error;
mod form;
mod images;
mod input;
mod list;
mod metadata;
mod query;
mod seal;
mod spool;
mod state;
mod upload;
mod upload_body;
mod variants;
mod view;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::Request;
use axum::routing::{delete, get, post};
use futures_util::StreamExt as _;
use hyper::HeaderMap;
use hyper::Response;
use hyper::Uri;
use hyper::body::{Body as _, Incoming};
use hyper::header::{EXPECT, HOST, HeaderValue};
use hyper::http::request::Parts;
use percent_encoding::percent_decode_str;
use serde_json::Value;
use tower::ServiceExt as _;
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

pub use self::access::AccessError;
use self::call::{Arrival, Base, Call, Place};
use self::error::{ApiError, Failure, LoggedError};
use self::state::ApiState;
use self::upload_body::UploadBody;
use self::view::View;
use crate::hosted;
use crate::hosted::{Hosted, Record};
use crate::pipeline::Pipeline;
use crate::response::Body;
use crate::telemetry::{AccessLog, RequestOutcome};
use crate::token::Token;

/// What paths of the accounts begin with.
const ACCOUNTS: &str = "/client/v4/accounts/";

/// An image as answers show it, for those whom no request asked. Without `hosted.public_url` and delivery hosts, its URLs have no host.
pub(crate) fn image_object(hosted: &Hosted, record: &Record) -> Value {
    let base = hosted.config().public_url.as_str().unwrap_or_default();
    View::new(hosted.config(), hosted.settings(), &Base(Arc::from(base))).image(record)
}

/// The API of hosted images.
pub struct Api {
    router: Router,
    state: Arc<ApiState>,
}

impl Api {
    /// Opens the API, if there are hosted images. `operators` is the token of the admin listener, which is none of the API.
    ///
    /// # Errors
    /// [`AccessError`] when a token cannot be used.
    pub fn open(
        pipeline: &Arc<Pipeline>,
        operators: &Token,
    ) -> Result<Option<Arc<Self>>, AccessError> {
        let Some(state) = ApiState::open(pipeline, operators)? else {
            return Ok(None);
        };
        let state = Arc::new(state);
        let router = router(&state);
        Ok(Some(Arc::new(Api { router, state })))
    }

    /// The same with another pipeline, and with the tokens of other settings.
    ///
    /// # Errors
    /// [`AccessError`] when a token cannot be used.
    pub fn reopen(
        &self,
        pipeline: &Arc<Pipeline>,
        config: &hosted::Config,
        operators: &Token,
    ) -> Result<Arc<Self>, AccessError> {
        let state = Arc::new(self.state.reopen(pipeline, config, operators)?);
        let router = router(&state);
        Ok(Arc::new(Api { router, state }))
    }

    /// Whether a path is one of the API.
    pub fn takes(path: &str) -> bool {
        let is_below = |root: &str| {
            path.strip_prefix(root)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        path.starts_with("/client/v4/")
            || path.starts_with("/upload/")
            || is_below("/images/v1")
            || is_below("/images/v2")
    }

    /// Answers a request, logs and counts it.
    pub async fn respond(&self, head: Parts, body: Incoming) -> Response<Body> {
        let started = Instant::now();
        let metrics = self.state.pipeline().metrics();
        let _in_flight = metrics.requests.count_request();
        let method = head.method.clone();
        let path = logged_path(head.uri.path()).into_owned();
        let answer = self.answer(head, body).await;
        let status = answer.status().as_u16();
        let error = answer.extensions().get::<LoggedError>().cloned();
        let duration = started.elapsed();
        metrics
            .requests
            .record(status, RequestOutcome::Api, duration);
        let line = AccessLog {
            method: method.as_str(),
            path: &path,
            is_hosted: true,
            status,
            bytes: answer.body().size_hint().lower(),
            duration,
            cache: RequestOutcome::Api.word(),
            flow: None,
            code: error.as_ref().map_or("", |error| error.code),
            error: error.as_ref().map_or("", |error| &error.text),
        };
        line.log();
        line.trace(|| None);
        answer.map(|body| {
            let length = body.size_hint().exact();
            Body::arriving(body.into_data_stream().boxed(), length)
        })
    }

    async fn answer(&self, mut head: Parts, body: Incoming) -> Response<axum::body::Body> {
        let config = self.state.config();
        let base = config.public_url.as_str().map(Arc::from);
        let base = base.unwrap_or_else(|| base_of(&head.uri, &head.headers));
        let waits = head.headers.contains_key(EXPECT);
        let body = UploadBody::new(body, config.upload_rate.bytes(), !waits);
        head.extensions.insert(Base(base));
        head.extensions.insert(Arrival::new(body));
        let Some((place, uri)) = place(&head.uri) else {
            return axum::response::IntoResponse::into_response(no_route());
        };
        head.extensions.insert(place);
        head.uri = uri;
        let request = Request::from_parts(head, axum::body::Body::empty());
        match self.router.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}

/// Where a request was sent, and its path below that.
fn place(uri: &Uri) -> Option<(Place, Uri)> {
    let path = uri.path();
    let Some(rest) = path.strip_prefix(ACCOUNTS) else {
        let place = match path.starts_with("/upload/") {
            true => Place::Upload,
            false if path.starts_with("/images/") => Place::Batch,
            false => return None,
        };
        return Some((place, uri.clone()));
    };
    let (account, _) = rest.split_once('/')?;
    let below = &rest[account.len()..];
    let target = match uri.query() {
        Some(query) => Cow::Owned(format!("{below}?{query}")),
        None => Cow::Borrowed(below),
    };
    let account = percent_decode_str(account).decode_utf8_lossy().into_owned();
    let below = target.parse().ok()?;
    Some((Place::Account(account), below))
}

/// The scheme and host that a request names. What proxies say of the scheme is not believed: there is a setting for that.
fn base_of(uri: &Uri, headers: &HeaderMap) -> Arc<str> {
    let scheme = match uri.scheme_str() {
        Some("https") => "https",
        _ => "http",
    };
    let header = || headers.get(HOST).and_then(|host| host.to_str().ok());
    let host = uri.authority().map(|host| host.as_str()).or_else(header);
    Arc::from(format!("{scheme}://{}", host.unwrap_or("localhost")))
}

/// The path without what lets its reader upload.
fn logged_path(path: &str) -> Cow<'_, str> {
    match path.strip_prefix("/upload/") {
        Some(rest) => {
            let hash = rest.split('/').next().unwrap_or_default();
            Cow::Owned(format!("/upload/{hash}/***"))
        }
        None => Cow::Borrowed(path),
    }
}

fn router(state: &Arc<ApiState>) -> Router {
    let image = get(images::show)
        .patch(images::update)
        .put(upload::replace)
        .delete(images::delete)
        .post(images::rename);
    let uploads = Router::new()
        .route("/upload/{hash}/{token}", post(direct::fill))
        .method_not_allowed_fallback(wrong_method)
        .layer(cors(&state.config().upload_origins));
    Router::new()
        .route("/images/v1", get(list::numbered).post(upload::create))
        .route("/images/v1/stats", get(account::stats))
        .route("/images/v1/keys", get(account::keys))
        .route(
            "/images/v1/keys/{name}",
            axum::routing::put(account::add_key).delete(account::delete_key),
        )
        .route(
            "/images/v1/variants",
            get(variants::list).post(variants::create),
        )
        .route(
            "/images/v1/variants/{name}",
            get(variants::show)
                .patch(variants::update)
                .delete(variants::delete),
        )
        .route(
            "/images/v1/config",
            get(account::config).patch(account::update_config),
        )
        .route("/images/v1/batch_token", get(account::batch_token))
        .route("/images/v1/direct_upload", post(direct::create))
        .route("/images/v1/{*id}", image)
        .route(
            "/images/v2",
            get(list::continued).merge(delete(deletion::delete_many)),
        )
        .route("/images/v2/direct_upload", post(direct::create))
        .method_not_allowed_fallback(wrong_method)
        .fallback(async || no_route())
        .merge(uploads)
        .with_state(Arc::clone(state))
}

/// Scripts of other sites may use upload URLs: they need no credentials but the URL.
fn cors(origins: &[String]) -> CorsLayer {
    let origin = if origins.iter().any(|origin| origin == "*") {
        AllowOrigin::any()
    } else {
        let origins = origins.iter();
        AllowOrigin::list(origins.filter_map(|origin| HeaderValue::from_str(origin).ok()))
    };
    CorsLayer::new()
        .allow_origin(origin)
        .allow_methods([hyper::Method::POST])
        .allow_headers(AllowHeaders::mirror_request())
        .max_age(std::time::Duration::from_secs(86_400))
}

fn no_route() -> ApiError {
    let message =
        "Could not route to the path of this request, perhaps your object identifier is invalid?";
    ApiError::new(Failure::NoRoute, message)
}

async fn wrong_method(call: Call) -> ApiError {
    drop(call);
    ApiError::new(Failure::WrongMethod, "this path does not take this method")
}

#[cfg(test)]
mod tests {
    use super::{Api, Place, logged_path, place};

    #[test]
    fn paths_of_the_api_are_told_from_others() {
        for path in [
            "/client/v4/accounts/main/images/v1",
            "/client/v4/",
            "/upload/main/x",
            "/images/v1",
            "/images/v1/a",
            "/images/v2",
        ] {
            assert!(Api::takes(path), "{path}");
        }
        for path in [
            "/",
            "/images/v1x",
            "/images/v3",
            "/images",
            "/uploads/a",
            "/a.jpg",
        ] {
            assert!(!Api::takes(path), "{path}");
        }
    }

    #[test]
    fn the_account_is_taken_from_the_path() {
        let placed = |path: &str| {
            let (place, uri) = place(&path.parse().expect("a target"))?;
            Some((place, uri.to_string()))
        };
        let account = |name: &str| Place::Account(name.to_owned());
        for (path, expected) in [
            (
                "/client/v4/accounts/main/images/v1?a=b",
                Some((account("main"), "/images/v1?a=b")),
            ),
            ("/client/v4/accounts/a%20b/x", Some((account("a b"), "/x"))),
            (
                "/client/v4/accounts//images/v1",
                Some((account(""), "/images/v1")),
            ),
            ("/client/v4/accounts/main", None),
            ("/client/v4/zones", None),
            ("/images/v2?x", Some((Place::Batch, "/images/v2?x"))),
            ("/upload/h/t", Some((Place::Upload, "/upload/h/t"))),
        ] {
            let expected = expected.map(|(place, path)| (place, path.to_owned()));
            assert_eq!(placed(path), expected, "{path}");
        }
    }

    #[test]
    fn upload_urls_are_not_logged() {
        assert_eq!(logged_path("/upload/main/abc.def"), "/upload/main/***");
        assert_eq!(logged_path("/upload/main/abc/def"), "/upload/main/***");
        assert_eq!(logged_path("/images/v1/a"), "/images/v1/a");
    }
}

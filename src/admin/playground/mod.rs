//! The playground: a page to try the options of a picture, and what it asks the server for.
//!
//! The page itself is for everybody who reaches the listener and holds nothing of this server. What it asks for needs the token where one is set.
//! It loads nothing from elsewhere, and the policy of the listener allows no scripts but its own files.

use std::sync::Arc;

use hyper::Response;
use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::http::request::Parts;
use serde_json::json;

use super::purge;
use crate::operator::Client;
use crate::options::OPTION_ROWS;
use crate::pipeline::Pipeline;
use crate::response;
use crate::response::Body;

/// A file of the page.
struct Asset {
    path: &'static str,
    media_type: &'static str,
    text: &'static str,
}

const ASSETS: [Asset; 5] = [
    Asset {
        path: "/",
        media_type: "text/html; charset=utf-8",
        text: include_str!("page.html"),
    },
    Asset {
        path: "/playground/style.css",
        media_type: "text/css; charset=utf-8",
        text: include_str!("style.css"),
    },
    Asset {
        path: "/playground/main.js",
        media_type: "text/javascript; charset=utf-8",
        text: include_str!("main.js"),
    },
    Asset {
        path: "/playground/controls.js",
        media_type: "text/javascript; charset=utf-8",
        text: include_str!("controls.js"),
    },
    Asset {
        path: "/playground/snippets.js",
        media_type: "text/javascript; charset=utf-8",
        text: include_str!("snippets.js"),
    },
];

/// What the page asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PlaygroundRequest {
    /// The table of options.
    Options,
    /// What is in a folder of the zone.
    List,
    /// How a URL is understood.
    Check,
    /// The picture of a URL, as the public listener answers.
    Preview,
}

impl PlaygroundRequest {
    /// The request at a path.
    pub(super) fn find(path: &str) -> Option<Self> {
        match path {
            "/options" => Some(PlaygroundRequest::Options),
            "/list" => Some(PlaygroundRequest::List),
            "/check" => Some(PlaygroundRequest::Check),
            "/preview" => Some(PlaygroundRequest::Preview),
            _ => None,
        }
    }
}

/// A file of the page, if there is one at this path.
pub(super) fn asset(path: &str) -> Option<Response<Body>> {
    let asset = ASSETS.iter().find(|asset| asset.path == path)?;
    let mut answer = response::text(StatusCode::OK, asset.text);
    let media_type = HeaderValue::from_static(asset.media_type);
    answer.headers_mut().insert(CONTENT_TYPE, media_type);
    Some(answer)
}

/// Answers a request of the page.
pub(super) async fn answer(
    request: PlaygroundRequest,
    head: &Parts,
    pipeline: &Arc<Pipeline>,
) -> Response<Body> {
    let query = head.uri.query().unwrap_or_default();
    let field = |name: &str| {
        let mut fields = url::form_urlencoded::parse(query.as_bytes());
        let found = fields.find(|(key, _)| key == name);
        found.map(|(_, value)| value.into_owned())
    };
    let url = field("url").unwrap_or_default();
    let client = match client(field("accept").as_deref()) {
        Ok(client) => client,
        Err(reason) => return refused(StatusCode::BAD_REQUEST, reason),
    };
    match request {
        PlaygroundRequest::Options => options(pipeline),
        PlaygroundRequest::List => list(pipeline, field("path").as_deref().unwrap_or("/")).await,
        PlaygroundRequest::Check => match pipeline.check(&url, client.accept_header()).await {
            Ok(report) => response::json(StatusCode::OK, format!("{}\n", json!(report))),
            Err(reason) => refused(StatusCode::BAD_REQUEST, reason),
        },
        PlaygroundRequest::Preview => match pipeline.preview(&url, client).await {
            Some(picture) => picture,
            None => refused(StatusCode::BAD_REQUEST, "`url` must be a URL".to_owned()),
        },
    }
}

fn client(word: Option<&str>) -> Result<Client, String> {
    let Some(word) = word else {
        return Ok(Client::Jxl);
    };
    let found = Client::ALL.into_iter().find(|client| client.word() == word);
    found.ok_or_else(|| "`accept` must be `jxl`, `avif`, `webp` or `none`".to_owned())
}

fn options(pipeline: &Pipeline) -> Response<Body> {
    let table = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "prefix": pipeline.first_prefix(),
        "options": OPTION_ROWS,
    });
    response::json(StatusCode::OK, format!("{table}\n"))
}

async fn list(pipeline: &Pipeline, path: &str) -> Response<Body> {
    if !path.starts_with('/') {
        return refused(
            StatusCode::BAD_REQUEST,
            "`path` must begin with `/`".to_owned(),
        );
    }
    match pipeline.list_zone(path).await {
        Ok(Some(listing)) => {
            let files = listing.files.iter();
            let files: Vec<_> = files
                .map(|(path, bytes)| json!({"path": path, "bytes": bytes}))
                .collect();
            let text = json!({
                "path": path,
                "folders": listing.folders,
                "files": files,
                "cut": listing.is_cut,
            });
            response::json(StatusCode::OK, format!("{text}\n"))
        }
        Ok(None) => refused(
            StatusCode::NOT_FOUND,
            "the zone is no folder and no bucket, so it cannot be listed".to_owned(),
        ),
        Err(error) => refused(error.info().status, error.to_string()),
    }
}

/// An error in the form of the other answers of the listener.
pub(super) fn refused(status: StatusCode, reason: String) -> Response<Body> {
    let (status, text) = purge::refusal(status, &[reason]);
    response::json(status, text)
}

#[cfg(test)]
mod tests {
    use super::ASSETS;

    #[test]
    fn the_page_names_its_own_files_and_no_others() {
        let names = ASSETS.iter().map(|asset| asset.path);
        let page = ASSETS[0].text;
        for name in names.filter(|name| *name != "/") {
            let is_used = ASSETS.iter().any(|asset| {
                let file = name.rsplit('/').next().unwrap_or_default();
                asset.text.contains(name) || asset.text.contains(&format!("\"./{file}\""))
            });
            assert!(is_used, "{name} is used by no file");
        }
        for asset in &ASSETS {
            for foreign in ["src=\"http", "href=\"http", "@import", "eval(", "innerHTML"] {
                assert!(!asset.text.contains(foreign), "{}: {foreign}", asset.path);
            }
        }
        for inline in ["<script>", "<style", " style=", " onclick", "javascript:"] {
            assert!(!page.contains(inline), "the page has {inline}");
        }
    }
}

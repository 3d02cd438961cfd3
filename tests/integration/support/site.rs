//! A web site, made by code: pages, styles, scripts, fonts, films, papers and pictures, under names as people give them; and an HTTP server of it.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use hyper::Response;
use hyper::body::Incoming;
use hyper::header::{
    ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_MODIFIED_SINCE,
    IF_NONE_MATCH, IF_RANGE, LAST_MODIFIED, LOCATION, RANGE,
};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::samples;

/// What browsers encode in the path of a link, and what would end the path.
const BROWSERS: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'`')
    .add(b'{')
    .add(b'}');
/// What `encodeURIComponent` leaves, and slashes.
const STRICT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');

/// When all files of the server were changed.
const MODIFIED: &str = "Sun, 01 Nov 2026 10:00:00 GMT";

/// A file of the site.
#[derive(Clone)]
pub struct SiteFile {
    /// Its path below the root, as a file system has it.
    pub name: &'static str,
    pub bytes: Bytes,
    pub media_type: &'static str,
}

impl SiteFile {
    /// The path of its URL in the spellings of browsers and of careful programs. They may be equal.
    pub fn targets(&self) -> [String; 2] {
        [BROWSERS, STRICT].map(|set| format!("/{}", utf8_percent_encode(self.name, set)))
    }
}

/// All files of the site.
pub fn files() -> Vec<SiteFile> {
    let text = [
        ("index.html", INDEX, "text/html"),
        ("about/index.html", ABOUT, "text/html"),
        ("style/main.css", STYLE, "text/css"),
        ("script/app.js", SCRIPT, "text/javascript"),
        ("script/parts.mjs", PARTS, "text/javascript"),
        ("script/app.js.map", "{\"version\":3}", "text/plain"),
        ("data/list.json", "[1, 2]", "application/json"),
        ("robots.txt", "User-agent: *\n", "text/plain"),
        ("feed.xml", "<?xml version=\"1.0\"?><rss/>", "text/xml"),
        (
            "site.webmanifest",
            "{\"name\": \"s\"}",
            "application/manifest+json",
        ),
        ("photos/drawing.svg", DRAWING, "image/svg+xml"),
        ("notes/empty.txt", "", "text/plain"),
        ("notes/ no extension", "plain\n", "application/octet-stream"),
    ];
    let made = [
        ("photos/cat.jpg", samples::jpeg(640, 480), "image/jpeg"),
        ("photos/wool.webp", samples::webp(320, 240), "image/webp"),
        ("photos/dot.gif", samples::gif_of_comments(200), "image/gif"),
        ("photos/a b ü (1).png", samples::png(64, 48), "image/png"),
        (
            "photos/100% wool+silk.png",
            samples::png(65, 48),
            "image/png",
        ),
        ("photos/a%20b.png", samples::png(66, 48), "image/png"),
        ("photos/what?#1.png", samples::png(67, 48), "image/png"),
        (
            "photos/it's $5 & [x];=,@!~.png",
            samples::png(68, 48),
            "image/png",
        ),
        (
            "Fotos/Größe/日本 🐈.jpg",
            samples::jpeg(70, 48),
            "image/jpeg",
        ),
        (
            "font/text.woff2",
            any(b"wOF2\0\x01\0\0", 20_000),
            "font/woff2",
        ),
        (
            "font/text.ttf",
            any(b"\0\x01\0\0\0\x09", 30_000),
            "font/ttf",
        ),
        (
            "papers/Report 2026 (final).pdf",
            any(b"%PDF-1.7\n", 90_000),
            "application/pdf",
        ),
        (
            "film/clip.mp4",
            any(b"\0\0\0\x20ftypisom", 3_000_000),
            "video/mp4",
        ),
        (
            "film/clip.webm",
            any(b"\x1A\x45\xDF\xA3", 70_000),
            "video/webm",
        ),
        (
            "script/sum.wasm",
            any(b"\0asm\x01\0\0\0", 9_000),
            "application/wasm",
        ),
        (
            "download/all.zip",
            any(b"PK\x03\x04", 262_144),
            "application/zip",
        ),
    ];
    let text = text
        .into_iter()
        .map(|(name, text, media_type)| (name, text.as_bytes().to_vec(), media_type));
    text.chain(made)
        .map(|(name, bytes, media_type)| SiteFile {
            name,
            bytes: bytes.into(),
            media_type,
        })
        .collect()
}

/// Writes all files below a folder.
pub fn write(folder: &Path) {
    for file in files() {
        let path = folder.join(file.name);
        let parent = path.parent().expect("below the folder");
        fs::create_dir_all(parent).expect("a folder");
        fs::write(path, &file.bytes).expect("a file");
    }
}

const INDEX: &str = r#"<!doctype html><html lang="de"><head><meta charset="utf-8">
<title>Größe &amp; Maß</title><link rel="stylesheet" href="style/main.css?v=3"><link rel="manifest" href="/site.webmanifest">
<script type="module" src="/script/app.js?v=3"></script></head><body>
<a href="about/">about</a> <a href="/papers/Report%202026%20(final).pdf">report</a>
<img src="photos/cat.jpg?v=1" srcset="/photos/cat.jpg?v=1 1x, photos/cat.jpg?v=2 2x" alt=""><img src="/photos/a%20b%20%C3%BC%20(1).png" alt="">
<video src="film/clip.mp4" controls></video></body></html>
"#;
const ABOUT: &str = "<!doctype html><title>About</title><a href=\"../\">home</a><img src=\"../photos/wool.webp\" alt=\"\">\n";
const STYLE: &str = "@font-face { font-family: t; src: url(\"../font/text.woff2\") }\nbody { font-family: t; background: url(/photos/dot.gif) }\n";
const SCRIPT: &str = "import { sum } from './parts.mjs';\ndocument.title += sum(1, 2);\n";
const PARTS: &str = "export const sum = (a, b) => a + b;\n";
const DRAWING: &str = "<?xml version=\"1.0\"?>\n<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"8\" height=\"8\"><circle r=\"3\" cx=\"4\" cy=\"4\"/></svg>\n";

/// Bytes that begin as files of a kind do, and are all different after that.
fn any(beginning: &[u8], length: usize) -> Vec<u8> {
    let mut state = u64::try_from(length).unwrap_or(1) | 1;
    let rest = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    });
    let rest = rest.take(length - beginning.len());
    beginning.iter().copied().chain(rest).collect()
}

/// A server of the site, as a web server for files answers: with validators, ranges, index pages, and a redirect for a folder without its slash.
pub struct SiteServer {
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl SiteServer {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let mut pages = HashMap::new();
        for (index, file) in files().into_iter().enumerate() {
            for target in file.targets() {
                let folder = target.strip_suffix("index.html");
                if let Some(folder) = folder {
                    pages.insert(folder.to_owned(), (index, file.clone()));
                }
                pages.insert(target, (index, file.clone()));
            }
        }
        let pages = Arc::new(pages);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let pages = Arc::clone(&pages);
                let service = service_fn(move |request| {
                    let pages = Arc::clone(&pages);
                    async move { Ok::<_, Infallible>(answer(&pages, &request)) }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        SiteServer { address, accepting }
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for SiteServer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// hyper leaves out the content for HEAD, and counts it.
fn answer(
    pages: &HashMap<String, (usize, SiteFile)>,
    request: &Request<Incoming>,
) -> Response<Full<Bytes>> {
    let path = request.uri().path();
    let Some((index, file)) = pages.get(path) else {
        let folder = format!("{path}/");
        let response = if pages.contains_key(&folder) {
            Response::builder().status(301).header(LOCATION, folder)
        } else {
            Response::builder().status(404)
        };
        return response.body(Full::default()).expect("a response");
    };
    let header = |name| {
        request
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    let etag = format!("\"{index}-{}\"", file.bytes.len());
    let response = Response::builder()
        .header(ETAG, &etag)
        .header(LAST_MODIFIED, MODIFIED)
        .header(ACCEPT_RANGES, "bytes")
        .header(CONTENT_TYPE, file.media_type);
    let is_same = header(IF_RANGE).is_none_or(|value| value == etag);
    let range = header(RANGE).filter(|_| is_same);
    let length = file.bytes.len();
    let is_unchanged = match header(IF_NONE_MATCH) {
        Some(known) => known == etag || known == "*",
        None => header(IF_MODIFIED_SINCE) == Some(MODIFIED),
    };
    let response = if is_unchanged {
        response.status(304).body(Full::default())
    } else {
        match range.map(|range| part(range, length)) {
            // hyper leaves out the length of nothing for HEAD.
            None => response
                .header(CONTENT_LENGTH, length)
                .body(Full::new(file.bytes.clone())),
            Some(None) => response
                .status(416)
                .header(CONTENT_RANGE, format!("bytes */{length}"))
                .body(Full::default()),
            Some(Some((first, last))) => response
                .status(206)
                .header(CONTENT_RANGE, format!("bytes {first}-{last}/{length}"))
                .body(Full::new(file.bytes.slice(first..=last))),
        }
    };
    response.expect("a response")
}

/// The first and the last byte of a single range, if there is something between them.
fn part(range: &str, length: usize) -> Option<(usize, usize)> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let end = length.checked_sub(1)?;
    let (first, last) = match (first.parse().ok(), last.parse().ok()) {
        (Some(first), last) => (first, last.unwrap_or(end).min(end)),
        (None, Some(suffix)) => (length.saturating_sub(suffix), end),
        (None, None) => return None,
    };
    (first <= last).then_some((first, last))
}

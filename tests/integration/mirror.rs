//! A web site behind the proxy, with a folder, a server and a bucket as its zone: every file is what the origin has, byte for byte, whole and in
//! parts, over both versions of HTTP.

use hyper::{HeaderMap, Method};
use safelight::bucket::{AddressingStyle, Config, Credentials};
use safelight::config as settings;
use safelight::policy::Originals;

use crate::support::client::Client;
use crate::support::proxy::{TestProxy, zone};
use crate::support::reply::Reply;
use crate::support::s3::S3Server;
use crate::support::site::{SiteFile, SiteServer};
use crate::support::{samples, site};

/// What differs between two answers that are the same.
const FLEETING: [&str; 2] = ["date", "server-timing"];

/// What is wrong, all of it at once.
#[derive(Default)]
struct Faults(Vec<String>);

impl Faults {
    fn check(&mut self, is_right: bool, what: &str, reply: &Reply) {
        if !is_right {
            self.0.push(format!("{what}: {reply}"));
        }
    }

    #[track_caller]
    fn assert_none(self) {
        let Faults(faults) = self;
        assert!(
            faults.is_empty(),
            "{}:\n{}",
            faults.len(),
            faults.join("\n")
        );
    }
}

/// The answer without what differs each time.
fn lasting(reply: &Reply) -> HeaderMap {
    let mut headers = reply.headers.clone();
    for name in FLEETING {
        headers.remove(name);
    }
    headers
}

fn media_type(reply: &Reply) -> String {
    let value = reply.header("content-type");
    value
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_owned()
}

/// Browsers take these for the same.
fn is_same_type(ours: &str, theirs: &str) -> bool {
    let plain = |name: &str| {
        name.replace("application/javascript", "text/javascript")
            .replace("application/xml", "text/xml")
    };
    plain(ours) == plain(theirs)
}

/// Asks for a file in every way. `conditions` says whether the origin knows conditional requests and says what ranges it has.
async fn compare(faults: &mut Faults, client: &Client, file: &SiteFile, conditions: bool) {
    let [target, strict] = file.targets();
    let whole = client.get(&target).await;
    let length = file.bytes.len();
    faults.check(whole.status == 200, "whole", &whole);
    faults.check(whole.body == file.bytes, "other bytes", &whole);
    let counted = whole.header("content-length") == length.to_string();
    faults.check(counted, "length", &whole);
    let typed = is_same_type(&media_type(&whole), file.media_type);
    faults.check(typed, file.media_type, &whole);
    let is_document = file.media_type.starts_with("image/") || file.media_type == "text/html";
    let is_guarded = !is_document || whole.header("x-content-type-options") == "nosniff";
    faults.check(is_guarded, "no nosniff", &whole);

    for other in [strict, format!("{target}?v=3"), format!("{target}?")] {
        let again = client.get(&other).await;
        let is_same = again.status == 200 && again.body == file.bytes;
        faults.check(is_same, "another spelling", &again);
    }
    let head = client.send(Method::HEAD, &target, &[]).await;
    let is_same = head.status == 200 && lasting(&head) == lasting(&whole);
    faults.check(is_same, &format!("HEAD, not as {whole}"), &head);
    faults.check(head.body.is_empty(), "HEAD with a body", &head);
    compare_parts(faults, client, file, &whole).await;
    if conditions {
        compare_conditions(faults, client, file, &whole).await;
        compare_range_headers(faults, client, file, &whole).await;
    }
}

async fn compare_parts(faults: &mut Faults, client: &Client, file: &SiteFile, whole: &Reply) {
    let [target, _] = file.targets();
    let length = file.bytes.len();
    let etag = whole.header("etag");
    if length > 100 {
        let (third, last) = (length / 3, length - 1);
        for (range, first, end) in [
            ("bytes=0-0".to_owned(), 0, 1),
            ("bytes=1-99".to_owned(), 1, 100),
            (format!("bytes={third}-{}", 2 * third), third, 2 * third + 1),
            (format!("bytes={third}-"), third, length),
            (format!("bytes={third}-{}", length * 9), third, length),
            ("bytes=-7".to_owned(), length - 7, length),
            (format!("bytes={last}-{last}"), last, length),
        ] {
            for more in [None, Some(("if-range", etag.as_str()))] {
                let mut headers = vec![("range", range.as_str())];
                headers.extend(more);
                let part = client.get_with(&target, &headers).await;
                let expected = format!("bytes {first}-{}/{length}", end - 1);
                let is_right = part.status == 206
                    && part.header("content-range") == expected
                    && part.body == file.bytes.slice(first..end);
                faults.check(is_right, &format!("{range}, {more:?}"), &part);
            }
        }
        let outdated = [("range", "bytes=1-9"), ("if-range", "\"other\"")];
        let all = client.get_with(&target, &outdated).await;
        let is_right = all.status == 200 && all.body == file.bytes;
        faults.check(is_right, "a part of another version", &all);
    }
    let beyond = format!("bytes={}-", length + 1);
    let beyond = client.get_with(&target, &[("range", &beyond)]).await;
    faults.check(beyond.status == 416, "beyond the end", &beyond);
}

/// What a server says of ranges beside the bytes.
async fn compare_range_headers(
    faults: &mut Faults,
    client: &Client,
    file: &SiteFile,
    whole: &Reply,
) {
    let [target, _] = file.targets();
    let length = file.bytes.len();
    faults.check(whole.header("accept-ranges") == "bytes", "ranges", whole);
    let beyond = format!("bytes={}-", length + 1);
    let beyond = client.get_with(&target, &[("range", &beyond)]).await;
    let is_right = beyond.header("content-range") == format!("bytes */{length}");
    faults.check(is_right, "the length beyond the end", &beyond);
}

async fn compare_conditions(faults: &mut Faults, client: &Client, file: &SiteFile, whole: &Reply) {
    let [target, _] = file.targets();
    let (etag, modified) = (whole.header("etag"), whole.header("last-modified"));
    for (name, value) in [
        ("if-none-match", etag.as_str()),
        ("if-none-match", "*"),
        ("if-modified-since", &modified),
    ] {
        for method in [Method::GET, Method::HEAD] {
            let reply = client.send(method, &target, &[(name, value)]).await;
            let is_right = reply.status == 304
                && reply.body.is_empty()
                && reply.header("etag") == etag
                && reply.header("content-length").is_empty();
            faults.check(is_right, &format!("{name}: {value}"), &reply);
        }
    }
    let changed = client
        .get_with(&target, &[("if-none-match", "\"other\"")])
        .await;
    let is_right = changed.status == 200 && changed.body == file.bytes;
    faults.check(is_right, "it has changed", &changed);
}

/// Compares all files, over both versions of HTTP.
async fn compare_all(proxy: &TestProxy, files: &[SiteFile], conditions: bool) {
    let mut faults = Faults::default();
    let address = proxy.client().address();
    for client in [Client::new(address), Client::h2c(address)] {
        for file in files {
            compare(&mut faults, &client, file, conditions).await;
        }
    }
    faults.assert_none();
    let in_flight = proxy
        .metrics()
        .sum("safelight_source_fetches_in_flight", &[]);
    assert_eq!(in_flight, 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_in_a_folder_is_what_it_is() {
    let proxy = TestProxy::start(|config| config.zone.originals = Some(Originals::All)).await;
    site::write(&proxy.folder());
    compare_all(&proxy, &site::files(), true).await;
    // A folder has no index pages: what is served is what has a name.
    for folder in ["/", "/about", "/about/", "/photos/"] {
        proxy.get(folder).await.assert_status(404);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_on_a_server_is_what_it_is() {
    let server = SiteServer::start().await;
    let zone = zone(&server.url());
    let proxy = TestProxy::start(|config| {
        config.zone.origin = zone;
        config.zone.originals = Some(Originals::All);
    })
    .await;
    compare_all(&proxy, &site::files(), true).await;
    let origin = Client::new(server.address());
    for index in ["/", "/about/", "/about/?v=2"] {
        let (ours, theirs) = (proxy.get(index).await, origin.get(index).await);
        ours.assert_status(200)
            .assert_header_has("content-type", "text/html");
        assert_eq!(ours.body, theirs.body, "{index}");
    }
}

/// The links of a page in a folder are relative to the folder: with its page at a path without the slash they would all be broken.
#[tokio::test]
async fn the_redirect_to_a_folder_reaches_the_browser() {
    let server = SiteServer::start().await;
    let zone = zone(&server.url());
    let proxy = TestProxy::start(|config| {
        config.zone.origin = zone;
        config.zone.originals = Some(Originals::All);
    })
    .await;
    let reply = proxy.get("/about").await;
    reply
        .assert_status(301)
        .assert_header("location", "/about/");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_in_a_bucket_is_what_it_is() {
    let server = S3Server::start().await;
    let files = site::files();
    for file in &files {
        let bytes = file.bytes.to_vec();
        server
            .put_as("site", file.name, bytes, Some(file.media_type))
            .await;
    }
    let bucket = Config {
        name: "site".to_owned(),
        bucket: "site".to_owned(),
        region: "us-east-1".to_owned(),
        endpoint: server.endpoint().to_owned(),
        style: AddressingStyle::Path,
        credentials: Credentials::Static {
            key: server.access_key().to_owned(),
            secret: server.secret_key().to_owned(),
        },
    };
    let proxy = TestProxy::start(|config| {
        config.bucket = vec![bucket];
        config.zone.origin = zone("bucket:site");
        config.zone.originals = Some(Originals::All);
    })
    .await;
    compare_all(&proxy, &files, server.knows_conditions()).await;
}

/// A flow for every path touches pictures alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_flow_for_everything_leaves_all_but_pictures_as_they_are() {
    const FLOW: &str =
        "[[flow]]\nmatch = [\"/**\"]\noptions = \"format=auto,quality=80\"\nquery = [\"width\"]\n";
    let server = SiteServer::start().await;
    for origin in [Some(server.url()), None] {
        let proxy = TestProxy::start(|config| {
            config.flow = settings::Config::parse(FLOW, []).expect("a flow").flow;
            config.zone.originals = Some(Originals::All);
            if let Some(url) = &origin {
                config.zone.origin = zone(url);
            }
        })
        .await;
        site::write(&proxy.folder());
        let is_picture = |file: &SiteFile| file.media_type.starts_with("image/");
        let (pictures, others): (Vec<_>, Vec<_>) = site::files().into_iter().partition(is_picture);
        compare_all(&proxy, &others, true).await;
        let accept = [("accept", "image/avif,image/webp,*/*")];
        for file in pictures {
            let [target, _] = file.targets();
            let reply = proxy.get_with(&target, &accept).await;
            reply.assert_status(200);
            // A picture of one pixel is smaller than any header.
            let is_smaller = reply.body.len() <= file.bytes.len() || file.bytes.len() < 1000;
            assert!(is_smaller, "larger: {reply}");
            let media_type = reply.header("content-type");
            if file.media_type == "image/svg+xml" {
                assert_eq!(media_type, file.media_type, "{reply}");
                continue;
            }
            let size = samples::size_of(&file.bytes);
            assert_eq!(samples::size_of(&reply.body), size, "{reply}");
            assert_eq!(samples::mime_of(&reply.body), media_type, "{reply}");
            let small = proxy.get_with(&format!("{target}?width=1"), &accept).await;
            small.assert_status(200);
            assert_eq!(samples::size_of(&small.body).0, 1, "{small}");
        }
    }
}

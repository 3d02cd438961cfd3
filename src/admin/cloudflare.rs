//! `POST /client/v4/zones/ZONE/purge_cache` as in Cloudflare's API, so that tools that purge Cloudflare's cache can purge this one.

use hyper::StatusCode;
use serde_json::Value;
use serde_json::json;

use super::fields::{FieldReader, Fields};
use super::refusal::TokenError;
use crate::operator::{PurgeReport, PurgeRequestError, PurgeTarget};

/// "Authentication error".
const AUTHENTICATION: u32 = 10_000;
/// "Malformed JSON in request body".
const MALFORMED: u32 = 6007;
/// "Request must contain one of …", and all other mistakes in its fields.
const CONTENT: u32 = 1012;
/// All other errors.
const GENERAL: u32 = 1000;

/// The zone in the path of a purge. It may be anything, because this server has one zone.
pub(super) fn zone_of(path: &str) -> Option<&str> {
    let zone = path
        .strip_prefix("/client/v4/zones/")?
        .strip_suffix("/purge_cache")?;
    (!zone.is_empty() && !zone.contains('/')).then_some(zone)
}

/// Errors in Cloudflare's form: a number and a message each.
type ApiErrors = Vec<(u32, String)>;

/// Parses a body with `purge_everything`, `files`, `tags`, `hosts` or `prefixes`.
pub(super) fn parse(body: &[u8]) -> Result<Vec<PurgeTarget>, ApiErrors> {
    let Fields(fields) = Fields::of(body).map_err(|errors| vec![(MALFORMED, errors)])?;
    let mut read = FieldReader::default();
    for (name, value) in &fields {
        match name.as_str() {
            "purge_everything" if read.boolean(name, value) => {
                read.targets.push(PurgeTarget::Everything)
            }
            "purge_everything" => {}
            "files" => files(value, &mut read),
            "tags" => read.texts(name, value, |text| PurgeTarget::Tag(text.to_owned())),
            "prefixes" => read.texts(name, value, |text| PurgeTarget::Prefix(text.to_owned())),
            "hosts" => {
                // A host is a prefix with either scheme.
                for scheme in ["https", "http"] {
                    let host =
                        |text: &str| PurgeTarget::Prefix(format!("{scheme}://{}/", text.trim()));
                    read.texts(name, value, host);
                }
            }
            _ => read.unknown(
                name,
                "`purge_everything`, `files`, `tags`, `hosts` and `prefixes`",
            ),
        }
    }
    let read = read.finish(
        "Request must contain one of \"purge_everything\", \"files\", \"tags\", \"hosts\" or \"prefixes\"",
    );
    let (targets, _) = read.map_err(|errors| {
        let errors = errors.into_iter();
        errors
            .map(|reason| (CONTENT, reason))
            .collect::<ApiErrors>()
    })?;
    Ok(targets)
}

/// Reads `files`: URLs, or objects with a URL. The headers in such an object choose among variants at Cloudflare; here a source is purged with all its
/// renditions.
fn files(value: &Value, read: &mut FieldReader) {
    let one = std::slice::from_ref(value);
    for file in value.as_array().map_or(one, Vec::as_slice) {
        let url = file.get("url").unwrap_or(file);
        match url.as_str() {
            Some(url) => read.targets.push(PurgeTarget::Source(url.to_owned())),
            None => read.mistake("files", "a list of URLs or of `{\"url\": …}`", file),
        }
    }
}

/// The answer to a purge that was tried.
pub(super) fn outcome(
    zone: &str,
    done: &Result<PurgeReport, PurgeRequestError>,
) -> (StatusCode, String) {
    match done {
        Ok(PurgeReport { notes, .. }) => {
            let messages = notes.iter().map(|note| (GENERAL, note.clone())).collect();
            let answer = json!({
                "success": true,
                "errors": [],
                "messages": listed(&messages),
                "result": {"id": zone},
            });
            (StatusCode::OK, format!("{answer}\n"))
        }
        Err(PurgeRequestError::Targets(errors)) => {
            let errors = errors.iter().map(|reason| (CONTENT, reason.clone()));
            refusal(StatusCode::BAD_REQUEST, &errors.collect())
        }
        Err(failure @ (PurgeRequestError::Cache(_) | PurgeRequestError::Broken)) => refusal(
            StatusCode::INTERNAL_SERVER_ERROR,
            &vec![(GENERAL, failure.to_string())],
        ),
    }
}

/// The answer to a request without the right token.
pub(super) fn unauthorized(status: StatusCode, refusal: TokenError) -> (StatusCode, String) {
    let reason = format!("Authentication error: {refusal}");
    self::refusal(status, &vec![(AUTHENTICATION, reason)])
}

/// The answer to a request whose body cannot be used.
pub(super) fn unread(status: StatusCode, reason: &str) -> (StatusCode, String) {
    refusal(status, &vec![(GENERAL, reason.to_owned())])
}

/// The answer to a request that is refused.
pub(super) fn refusal(status: StatusCode, errors: &ApiErrors) -> (StatusCode, String) {
    let answer = json!({
        "success": false,
        "errors": listed(errors),
        "messages": [],
        "result": null,
    });
    (status, format!("{answer}\n"))
}

fn listed(texts: &ApiErrors) -> Vec<Value> {
    texts
        .iter()
        .map(|(code, message)| json!({"code": code, "message": message}))
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::any;
    use proptest::proptest;

    use super::PurgeTarget;
    use super::parse;
    use super::zone_of;

    #[track_caller]
    fn check(body: &str, targets: &[PurgeTarget]) {
        assert_eq!(parse(body.as_bytes()), Ok(targets.to_vec()), "{body}");
    }

    #[track_caller]
    fn check_wrong(body: &str, code: u32, part: &str) {
        let errors = parse(body.as_bytes()).expect_err(body);
        let is_named = errors
            .iter()
            .any(|(number, text)| *number == code && text.contains(part));
        assert!(is_named, "no {code} with `{part}` in {errors:?}");
    }

    #[test]
    fn the_bodies_of_cloudflare_are_parsed() {
        let source = |text: &str| PurgeTarget::Source(text.to_owned());
        let prefix = |text: &str| PurgeTarget::Prefix(text.to_owned());
        check(r#"{"purge_everything":true}"#, &[PurgeTarget::Everything]);
        check(
            r#"{"files":["https://a.test/x.jpg",{"url":"https://a.test/y.jpg","headers":{"Origin":"https://a.test"}}]}"#,
            &[
                source("https://a.test/x.jpg"),
                source("https://a.test/y.jpg"),
            ],
        );
        let tags = ["A", "b"].map(|tag| PurgeTarget::Tag(tag.to_owned()));
        check(r#"{"tags":["A","b"]}"#, &tags);
        check(
            r#"{"prefixes":["www.a.test/css"]}"#,
            &[prefix("www.a.test/css")],
        );
        let host = [prefix("https://www.a.test/"), prefix("http://www.a.test/")];
        check(r#"{"hosts":["www.a.test"]}"#, &host);
    }

    #[test]
    fn mistakes_have_the_numbers_of_cloudflare() {
        check_wrong("", 6007, "must be a JSON object");
        check_wrong("[]", 6007, "must be a JSON object");
        check_wrong("{}", 1012, "must contain one of");
        check_wrong(r#"{"purge_everything":false}"#, 1012, "must contain one of");
        check_wrong(
            r#"{"files":[7]}"#,
            1012,
            "field `files` must be a list of URLs",
        );
        check_wrong(r#"{"files":[{"headers":{}}]}"#, 1012, "field `files`");
        check_wrong(
            r#"{"cache-tags":["a"]}"#,
            1012,
            "field `cache-tags` does not exist",
        );
    }

    #[test]
    fn paths_have_a_zone() {
        assert_eq!(zone_of("/client/v4/zones/023e/purge_cache"), Some("023e"));
        for path in [
            "/client/v4/zones//purge_cache",
            "/client/v4/zones/purge_cache",
            "/client/v4/zones/a/b/purge_cache",
            "/client/v4/zones/a/purge_cache/",
            "/purge_cache",
        ] {
            assert_eq!(zone_of(path), None, "{path}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_call_or_not(body in any::<Vec<u8>>()) {
            let _ = parse(&body);
        }

        #[test]
        fn any_object_is_a_call_or_not(
            name in "files|tags|hosts|prefixes|purge_everything",
            value in "[\\[\\]{}\":,a-z0-9 ]{0,24}",
        ) {
            let _ = parse(format!("{{\"{name}\":{value}}}").as_bytes());
        }
    }
}

//! The body of `POST /purge`, and its answer.

use hyper::StatusCode;
use serde_json::json;

use super::fields::{FieldReader, Fields};
use crate::operator::{PurgeReport, PurgeRequestError, PurgeTarget};

/// The fields of a body, for messages.
const KNOWN: &str = "`source`, `url`, `prefix`, `tag`, `everything` and `soft`";

/// Parses a body: `{"source": …, "url": …, "prefix": …, "tag": …, "everything": true, "soft": true}`. The first four are a string or a list of
/// strings each, and every field is optional. Returns the targets, and whether the purge is soft.
pub(super) fn parse(body: &[u8]) -> Result<(Vec<PurgeTarget>, bool), Vec<String>> {
    let Fields(fields) = Fields::of(body).map_err(|errors| vec![errors])?;
    let mut read = FieldReader::default();
    for (name, value) in &fields {
        match name.as_str() {
            "source" | "sources" => {
                read.texts(name, value, |text| PurgeTarget::Source(text.to_owned()))
            }
            "url" | "urls" => read.texts(name, value, |text| PurgeTarget::Url(text.to_owned())),
            "prefix" | "prefixes" => {
                read.texts(name, value, |text| PurgeTarget::Prefix(text.to_owned()));
            }
            "tag" | "tags" => read.texts(name, value, |text| PurgeTarget::Tag(text.to_owned())),
            "everything" if read.boolean(name, value) => read.targets.push(PurgeTarget::Everything),
            "everything" => {}
            "soft" => read.soft = read.boolean(name, value),
            _ => read.unknown(name, KNOWN),
        }
    }
    read.finish(
        "the body must name something to purge: `source`, `url`, `prefix` or `tag`, each a string or a list of strings, or `\"everything\": true`",
    )
}

/// The answer to a purge that was tried.
pub(super) fn outcome(done: &Result<PurgeReport, PurgeRequestError>) -> (StatusCode, String) {
    match done {
        Ok(purged) => {
            let mut answer = json!(purged);
            answer["success"] = true.into();
            (StatusCode::OK, format!("{answer}\n"))
        }
        Err(PurgeRequestError::Targets(errors)) => refusal(StatusCode::BAD_REQUEST, errors),
        Err(failure @ (PurgeRequestError::Cache(_) | PurgeRequestError::Broken)) => {
            refusal(StatusCode::INTERNAL_SERVER_ERROR, &[failure.to_string()])
        }
    }
}

/// The answer to a request that is refused.
pub(super) fn refusal(status: StatusCode, errors: &[String]) -> (StatusCode, String) {
    (
        status,
        format!("{}\n", json!({"success": false, "errors": errors})),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::any;
    use proptest::proptest;

    use super::PurgeTarget;
    use super::parse;

    #[track_caller]
    fn check(body: &str, targets: &[PurgeTarget], soft: bool) {
        assert_eq!(
            parse(body.as_bytes()),
            Ok((targets.to_vec(), soft)),
            "{body}"
        );
    }

    #[track_caller]
    fn check_wrong(body: &str, parts: &[&str]) {
        let errors = parse(body.as_bytes()).expect_err(body);
        for part in parts {
            let is_named = errors.iter().any(|line| line.contains(part));
            assert!(is_named, "no `{part}` in {errors:?}");
        }
    }

    #[test]
    fn one_target_or_many_are_named() {
        let source = |text: &str| PurgeTarget::Source(text.to_owned());
        check(r#"{"source":"/a.jpg"}"#, &[source("/a.jpg")], false);
        check(
            r#"{"source":["/a","/b"],"soft":true}"#,
            &[source("/a"), source("/b")],
            true,
        );
        check(r#"{"sources":["/a"],"soft":false}"#, &[source("/a")], false);
        let rest = [
            PurgeTarget::Url("u".to_owned()),
            PurgeTarget::Prefix("p".to_owned()),
            PurgeTarget::Tag("t".to_owned()),
            PurgeTarget::Everything,
        ];
        check(
            r#"{"url":"u","prefix":"p","tag":"t","everything":true}"#,
            &rest,
            false,
        );
        check(
            r#"{"urls":["u"],"prefixes":["p"],"tags":["t"],"everything":true}"#,
            &rest,
            false,
        );
        let twice = [
            PurgeTarget::Tag("a".to_owned()),
            PurgeTarget::Tag("b".to_owned()),
        ];
        check(r#"{"tag":"a","tag":"b","everything":false}"#, &twice, false);
    }

    #[test]
    fn mistakes_are_named_all_at_once() {
        check_wrong("{}", &["must name something to purge"]);
        check_wrong(r#"{"everything":false}"#, &["must name something to purge"]);
        check_wrong(r#"{"tags":[]}"#, &["must name something to purge"]);
        check_wrong(
            r#"{"source":7,"soft":"yes","everything":1,"urll":"x"}"#,
            &[
                "field `source` must be a string or a list of strings, got 7",
                "field `soft` must be `true` or `false`, got \"yes\"",
                "field `everything` must be `true` or `false`, got 1",
                "field `urll` does not exist: there are `source`, `url`",
            ],
        );
        check_wrong(r#"{"tags":["a",["b"]]}"#, &["field `tags`", "got [\"b\"]"]);
        let many = vec!["\"x\""; 501].join(",");
        check_wrong(
            &format!("{{\"tags\":[{many}]}}"),
            &["at most 500 targets, got 501"],
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_call_or_not(body in any::<Vec<u8>>()) {
            let _ = parse(&body);
        }

        #[test]
        fn any_object_is_a_call_or_not(
            name in "sources?|urls?|prefix(es)?|tags?|everything|soft|[a-z]{0,3}",
            value in "[\\[\\]{}\":,a-z0-9 ]{0,24}",
        ) {
            let _ = parse(format!("{{\"{name}\":{value}}}").as_bytes());
        }
    }
}

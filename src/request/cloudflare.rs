//! `OPTIONS/SOURCE`: the part of a transformation URL after the prefix.

use crate::request::error::RequestError;

/// Splits `[ADAPTER/]OPTIONS/SOURCE`, both parts still percent-encoded. The options are one segment; the source is the rest, with its query.
///
/// # Errors
/// When a part is missing, or the adapter is that of Fastly or Akamai, whose URLs are not those of this dialect.
pub(super) fn split(rest: &str) -> Result<(&str, &str), RequestError> {
    let (first, after) = segment(rest)?;
    match first {
        "fastly" | "akamai" => Err(RequestError::NotFound),
        "flow" => segment(after).and_then(check),
        _ => check((first, after)),
    }
}

/// Cuts at the first slash, unless a query starts before it: the options are part of the path.
fn segment(text: &str) -> Result<(&str, &str), RequestError> {
    match text.find(['/', '?']) {
        Some(end) if text[end..].starts_with('/') => Ok((&text[..end], &text[end + 1..])),
        Some(0) | None if text.is_empty() || text.starts_with('?') => Err(RequestError::NoOptions),
        _ => Err(RequestError::NoSource),
    }
}

fn check<'a>((options, source): (&'a str, &'a str)) -> Result<(&'a str, &'a str), RequestError> {
    if options.is_empty() {
        return Err(RequestError::NoOptions);
    }
    if source.is_empty() || source.starts_with('?') {
        return Err(RequestError::NoSource);
    }
    Ok((options, source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_end_at_the_first_slash() {
        assert_eq!(split("width=8/a.jpg"), Ok(("width=8", "a.jpg")));
        assert_eq!(split("width=8//a.jpg"), Ok(("width=8", "/a.jpg")));
        assert_eq!(
            split("w=8,h=9/https://h.test/a/b.jpg?v=1/2"),
            Ok(("w=8,h=9", "https://h.test/a/b.jpg?v=1/2"))
        );
        assert_eq!(
            split("width=8/fastly/a.jpg"),
            Ok(("width=8", "fastly/a.jpg"))
        );
    }

    #[test]
    fn adapter_words_are_not_options() {
        assert_eq!(split("flow/width=8/a.jpg"), Ok(("width=8", "a.jpg")));
        assert_eq!(split("flow/flow/a.jpg"), Ok(("flow", "a.jpg")));
        assert_eq!(split("fastly/width=8/a.jpg"), Err(RequestError::NotFound));
        assert_eq!(split("akamai/width=8/a.jpg"), Err(RequestError::NotFound));
    }

    #[test]
    fn both_parts_are_needed() {
        for rest in ["", "?", "/a.jpg", "//a.jpg", "?a/b", "flow/", "flow//a.jpg"] {
            assert_eq!(split(rest), Err(RequestError::NoOptions), "{rest}");
        }
        for rest in [
            "width=8",
            "width=8/",
            "width=8/?v=1",
            "width=8?/a.jpg",
            "flow",
            "flow/width=8",
            "flow/width=8/",
        ] {
            assert_eq!(split(rest), Err(RequestError::NoSource), "{rest}");
        }
    }
}

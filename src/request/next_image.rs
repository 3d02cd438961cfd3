//! `/_next/image?url=&w=&q=`, the URL that the Next.js image component writes when no loader is configured.

use crate::request::error::RequestError;
use crate::request::source_ref::SourceRef;

/// The query, translated into options and a source.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NextImage {
    width: u32,
    quality: u32,
    pub(super) source: SourceRef,
}

/// Reads the query. `url`, `w` and `q` are each needed once; `dpl`, which Next.js adds so that a new deployment gets new URLs,
/// is ignored.
///
/// # Errors
/// [`RequestError::Query`] says which parameter is wrong, [`RequestError::Source`] what is wrong with the source.
pub(super) fn parse(query: &str) -> Result<NextImage, RequestError> {
    let pairs: Vec<(String, String)> = serde_urlencoded::from_str(query)
        .map_err(|_| wrong("the query must be `url=…&w=…&q=…`"))?;
    let [mut url, mut width, mut quality, mut deployment] = [None, None, None, None];
    for (name, value) in pairs {
        let slot = match name.as_str() {
            "url" => &mut url,
            "w" => &mut width,
            "q" => &mut quality,
            "dpl" => &mut deployment,
            _ => {
                return Err(wrong(
                    "the query must hold `url`, `w` and `q` and nothing else",
                ));
            }
        };
        if slot.replace(value).is_some() {
            return Err(RequestError::Query(format!(
                "parameter `{name}` must be given once"
            )));
        }
    }
    let width = whole_number("w", width, 1..=u32::MAX, "a whole number of pixels from 1")?;
    let quality = whole_number("q", quality, 1..=100, "a whole number from 1 to 100")?;
    let url = url.ok_or_else(|| wrong("parameter `url` is missing"))?;
    let is_url = ["http://", "https://"].iter().any(|start| {
        url.get(..start.len())
            .is_some_and(|text| text.eq_ignore_ascii_case(start))
    });
    // Browsers and servers read two slashes, or a slash and a backslash, as the start of another host.
    let is_path = url.starts_with('/') && !url[1..].starts_with(['/', '\\']);
    if !is_url && !is_path {
        return Err(wrong(
            "parameter `url` must be an `http://` or `https://` URL or a path that starts with one `/`",
        ));
    }
    Ok(NextImage {
        width,
        quality,
        source: SourceRef::parse_decoded(&url)?,
    })
}

impl NextImage {
    /// An options segment, so that one parser reads all options.
    pub(super) fn options(&self) -> String {
        format!("{},fit=scale-down,format=auto", self.chosen())
    }

    /// The options that the client chose.
    pub(super) fn chosen(&self) -> String {
        let NextImage { width, quality, .. } = self;
        format!("width={width},quality={quality}")
    }
}

fn whole_number(
    name: &str,
    value: Option<String>,
    range: std::ops::RangeInclusive<u32>,
    expected: &str,
) -> Result<u32, RequestError> {
    let value =
        value.ok_or_else(|| RequestError::Query(format!("parameter `{name}` is missing")))?;
    let is_digits = value.bytes().all(|byte| byte.is_ascii_digit());
    let number = value
        .parse()
        .ok()
        .filter(|number| is_digits && range.contains(number));
    number.ok_or_else(|| RequestError::Query(format!("parameter `{name}` must be {expected}")))
}

fn wrong(text: &str) -> RequestError {
    RequestError::Query(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(query: &str, options: &str, source: &str) {
        let asked = parse(query).expect(query);
        let shown = match &asked.source {
            SourceRef::Zone(path) => path,
            SourceRef::Absolute(url) => url.as_str(),
        };
        assert_eq!(
            (asked.options().as_str(), shown),
            (options, source),
            "{query}"
        );
    }

    #[track_caller]
    fn check_error(query: &str, message: &str) {
        let error = parse(query).expect_err(query).to_string();
        assert!(error.contains(message), "{query}: {error}");
    }

    #[test]
    fn the_three_parameters_become_options() {
        let options = "width=640,quality=75,fit=scale-down,format=auto";
        check("url=%2Fme.png&w=640&q=75", options, "/me.png");
        check("q=75&w=0640&url=/me.png", options, "/me.png");
        check(
            "url=https%3A%2F%2Fh.test%2Fa.jpg%3Fv%3D1%262&w=640&q=75",
            options,
            "https://h.test/a.jpg?v=1&2",
        );
        check(
            "url=%2F_next%2Fstatic%2Fmedia%2Fme.1a2b.png&w=640&q=75&dpl=dpl_1",
            options,
            "/_next/static/media/me.1a2b.png",
        );
        check(
            "url=%2Fa+b%20%C3%A9.png&w=640&q=75",
            options,
            "/a%20b%20%C3%A9.png",
        );
        check("url=%2Fa%2520b.png&w=640&q=75", options, "/a%20b.png");
        check("url=%2F..%2F..%2Fetc&w=640&q=75", options, "/etc");
    }

    #[test]
    fn each_is_needed_once() {
        check_error("", "`w` is missing");
        check_error("url=/a&q=75", "`w` is missing");
        check_error("url=/a&w=8", "`q` is missing");
        check_error("w=8&q=75", "`url` is missing");
        check_error("url=/a&w=8&w=9&q=75", "`w` must be given once");
        check_error("url=/a&url=/b&w=8&q=75", "`url` must be given once");
        check_error("url=/a&w=8&q=75&x=1", "nothing else");
        check_error("url=/a?b=1&c=2&w=8&q=75", "nothing else");
    }

    #[test]
    fn numbers_have_ranges() {
        for width in ["", "0", "-1", "+8", "8.5", "abc", "4294967296", "8px"] {
            check_error(
                &format!("url=/a&w={width}&q=75"),
                "`w` must be a whole number of pixels from 1",
            );
        }
        for quality in ["", "0", "101", "-1", "+8", "7e1"] {
            check_error(
                &format!("url=/a&w=8&q={quality}"),
                "`q` must be a whole number from 1 to 100",
            );
        }
    }

    #[test]
    fn the_url_names_its_host_or_none() {
        for url in [
            "",
            "me.png",
            "//evil.test/a",
            "/%5Cevil.test/a",
            "\\\\evil.test",
            "ftp://h.test/a",
            "https:/h.test/a",
            "https:",
            "data:,",
            "h\u{e9}",
        ] {
            check_error(
                &format!("url={url}&w=8&q=75"),
                "`url` must be an `http://` or `https://` URL",
            );
        }
        check_error("url=https://u:p@h.test/a&w=8&q=75", "must not hold a user");
        check_error("url=/a%0Ab&w=8&q=75", "control characters");
    }
}

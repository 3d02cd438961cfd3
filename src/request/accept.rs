//! The header `Accept`: which formats the client can show.

use hyper::HeaderMap;
use hyper::header::ACCEPT;

use crate::options::Format;

/// The formats that a client names in `Accept`.
///
/// Wildcards do not count: browsers that show neither AVIF nor JPEG XL send `image/*` and `*/*` too.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Accept {
    /// `image/jxl` is named, and not with `q=0`.
    pub jxl: bool,
    /// `image/avif` is named, and not with `q=0`.
    pub avif: bool,
    /// `image/webp` is named, and not with `q=0`.
    pub webp: bool,
}

impl Accept {
    /// Reads every `Accept` line and skips what is not a media type.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut accept = Accept::default();
        for line in headers.get_all(ACCEPT) {
            for range in line.as_bytes().split(|&byte| byte == b',') {
                let mut parts = range.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
                let media_type = parts.next().unwrap_or_default();
                let named = if media_type.eq_ignore_ascii_case(b"image/jxl") {
                    &mut accept.jxl
                } else if media_type.eq_ignore_ascii_case(b"image/avif") {
                    &mut accept.avif
                } else if media_type.eq_ignore_ascii_case(b"image/webp") {
                    &mut accept.webp
                } else {
                    continue;
                };
                *named |= !parts.any(is_zero_quality);
            }
        }
        accept
    }

    /// Whether it names a format.
    pub(crate) fn names(self, format: Format) -> bool {
        match format {
            Format::Jxl => self.jxl,
            Format::Avif => self.avif,
            Format::Webp => self.webp,
            Format::Jpeg | Format::Png | Format::Gif | Format::Svg | Format::Json => false,
        }
    }
}

/// Whether a parameter is `q=0` in any spelling. A weight that is not a number does not count.
fn is_zero_quality(parameter: &[u8]) -> bool {
    let Some((name, value)) = std::str::from_utf8(parameter)
        .ok()
        .and_then(|text| text.split_once('='))
    else {
        return false;
    };
    name.trim().eq_ignore_ascii_case("q")
        && value
            .trim()
            .parse::<f32>()
            .is_ok_and(|weight| weight <= 0.0)
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    #[track_caller]
    fn check(lines: &[&str], avif: bool, webp: bool) {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(
                ACCEPT,
                HeaderValue::from_bytes(line.as_bytes()).expect("the table holds header values"),
            );
        }
        let accept = Accept::of(&headers);
        assert_eq!((accept.avif, accept.webp), (avif, webp), "{lines:?}");
    }

    #[track_caller]
    fn check_jxl(line: &'static str, jxl: bool) {
        let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(line))]);
        assert_eq!(Accept::of(&headers).jxl, jxl, "{line}");
    }

    #[test]
    fn jpeg_xl_counts_as_browsers_name_it() {
        check_jxl(
            "image/jxl,image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8",
            true,
        );
        check_jxl(
            "image/webp,image/avif,image/jxl,image/heic,video/*;q=0.8,*/*;q=0.5",
            true,
        );
        check_jxl("image/avif,Image/JXL ; q=0.1", true);
        check_jxl("image/jxl;q=0,image/avif", false);
        check_jxl("image/jxl;q=0.000;x", false);
        check_jxl("image/jxlx,image/*", false);
    }

    #[test]
    fn named_types_count() {
        check(&[], false, false);
        check(&["image/webp"], false, true);
        check(&["image/avif"], true, false);
        check(
            &["image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"],
            true,
            true,
        );
        check(
            &["image/webp,image/png,image/svg+xml,image/*;q=0.8,video/*;q=0.8,*/*;q=0.5"],
            false,
            true,
        );
        check(&["IMAGE/AVIF , Image/WebP ; q=0.5"], true, true);
    }

    #[test]
    fn wildcards_do_not() {
        check(&["*/*"], false, false);
        check(&["image/*"], false, false);
        check(&["text/html,image/*;q=0.9,*/*;q=0.8"], false, false);
    }

    #[test]
    fn a_zero_weight_excludes() {
        check(&["image/avif;q=0,image/webp"], false, true);
        check(&["image/avif;q=0.000, image/webp; Q=0"], false, false);
        check(&["image/avif;q=0.001"], true, false);
        check(&["image/avif;level=1;q=0"], false, false);
        check(&["image/avif;q=-1"], false, false);
    }

    #[test]
    fn every_line_is_read() {
        check(&["image/webp", "image/avif"], true, true);
        check(&["text/html", "", "image/webp;q=0"], false, false);
    }

    #[test]
    fn garbage_is_passed_over() {
        check(&[",;,=;q,;;q=,image/webp,"], false, true);
        check(&["image/webp;q=high"], false, true);
        check(&["image/webp;q=NaN"], false, true);
        check(
            &["image/avifx, ximage/avif, image / avif, avif"],
            false,
            false,
        );
        check(&["\u{e9}\u{fc}, image/avif;\u{e9}=0"], true, false);
    }
}

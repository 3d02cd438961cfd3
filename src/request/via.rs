//! Which proxies a request has passed, as its `Via` headers tell (RFC 9110, section 7.6.3).

use hyper::HeaderMap;
use hyper::header::VIA;

/// The token that image proxies add. A request that carries it comes from an image proxy.
const IMAGE_PROXY: &[u8] = b"image-resizing";

/// The name that this server adds.
const OWN_NAME: &[u8] = b"safelight";

/// Whether the request comes from an image proxy, perhaps this one.
pub(super) fn is_via_image_resizing(headers: &HeaderMap) -> bool {
    lines(headers).any(|line| {
        line.windows(IMAGE_PROXY.len())
            .any(|bytes| bytes.eq_ignore_ascii_case(IMAGE_PROXY))
    })
}

/// How many servers of this kind, perhaps this one, have passed the request on.
pub(crate) fn proxy_hops(headers: &HeaderMap) -> usize {
    lines(headers)
        .flat_map(|line| line.split(|byte| *byte == b','))
        .filter(|proxy| is_own(proxy))
        .count()
}

/// Whether an element of `Via`, such as `1.1 safelight`, names this kind of server.
fn is_own(proxy: &[u8]) -> bool {
    let mut words = proxy
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty());
    words
        .nth(1)
        .is_some_and(|name| name.eq_ignore_ascii_case(OWN_NAME))
}

fn lines(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    headers.get_all(VIA).iter().map(|line| line.as_bytes())
}

#[cfg(test)]
mod tests {
    use hyper::HeaderMap;
    use hyper::header::{HeaderValue, VIA};

    use super::{is_via_image_resizing, proxy_hops};

    #[test]
    fn proxies_are_found_in_any_spelling() {
        let headers = |lines: &[&'static str]| {
            let lines = lines.iter().map(|line| HeaderValue::from_static(line));
            HeaderMap::from_iter(lines.map(|line| (VIA, line)))
        };
        for (lines, hops, is_proxy) in [
            (&[][..], 0, false),
            (&["1.1 nginx"], 0, false),
            (&["1.1 Image-Resizing"], 0, true),
            (&["1.1 safelight, 1.1 image-resizing"], 1, true),
            (&["1.1 safelight, 1.1 nginx", "2 SafeLight"], 2, false),
            (&["1.1 my-safelight-cdn, 1.1 nginx (safelight)"], 0, false),
        ] {
            let headers = headers(lines);
            assert_eq!(proxy_hops(&headers), hops, "{lines:?}");
            assert_eq!(is_via_image_resizing(&headers), is_proxy, "{lines:?}");
        }
    }
}

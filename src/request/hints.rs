//! Client hints: what a client says about its screen and its connection.

use std::time::Duration;

use hyper::HeaderMap;
use hyper::header::{HeaderName, USER_AGENT};

use crate::options::Dpr;

const VIEWPORT_WIDTH: HeaderName = HeaderName::from_static("sec-ch-viewport-width");
const LEGACY_VIEWPORT_WIDTH: HeaderName = HeaderName::from_static("viewport-width");
const DPR: HeaderName = HeaderName::from_static("sec-ch-dpr");
const RTT: HeaderName = HeaderName::from_static("rtt");
const SAVE_DATA: HeaderName = HeaderName::from_static("save-data");
const ECT: HeaderName = HeaderName::from_static("ect");
const DOWNLINK: HeaderName = HeaderName::from_static("downlink");

/// All of the headers above.
static HINTS: [HeaderName; 7] = [
    VIEWPORT_WIDTH,
    LEGACY_VIEWPORT_WIDTH,
    DPR,
    RTT,
    SAVE_DATA,
    ECT,
    DOWNLINK,
];

/// The longest number of a structured header (RFC 9651, section 3.3.2): twelve digits, a dot, three more.
const LONGEST_NUMBER: usize = 32;

/// The hints of a client. A hint that is not there, is there twice or is malformed is absent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct ClientHints {
    /// Width of the viewport in CSS pixels, at least 1, from `Sec-CH-Viewport-Width`.
    pub viewport_width: Option<u32>,
    /// The same from `Viewport-Width`, which older browsers send.
    pub legacy_viewport_width: Option<u32>,
    /// Pixels of the screen per CSS pixel, from `Sec-CH-DPR`; a value above the range of [`Dpr`] becomes its largest.
    pub dpr: Option<Dpr>,
    /// The user agent names an iPhone or Android.
    pub is_phone: bool,
    /// Round-trip time, from `RTT`.
    pub rtt: Option<Duration>,
    /// `Save-Data: on`.
    pub save_data: bool,
    /// From `ECT`.
    pub connection: Option<EffectiveConnectionType>,
    /// Bandwidth in kilobits per second, rounded down, from `Downlink`.
    pub downlink_kbps: Option<u32>,
}

/// How fast a connection is in practice (Network Information API, "effective connection type").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EffectiveConnectionType {
    /// `slow-2g`.
    Slow2g,
    /// `2g`.
    Like2g,
    /// `3g`.
    Like3g,
    /// `4g`, and everything better.
    Like4g,
}

impl ClientHints {
    /// Reads the headers of a request.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let is_phone = names_phone(headers);
        // Most clients send no hints, and seven lookups cost more than one pass over the names.
        if !headers.keys().any(|name| HINTS.contains(name)) {
            return ClientHints {
                is_phone,
                ..ClientHints::default()
            };
        }
        let text = |name| only(headers, &name);
        let number = |name| text(name).and_then(number);
        ClientHints {
            viewport_width: number(VIEWPORT_WIDTH).and_then(whole_up),
            legacy_viewport_width: number(LEGACY_VIEWPORT_WIDTH).and_then(whole_up),
            dpr: number(DPR).and_then(|dpr| Dpr::new(dpr.min(Dpr::MAX.get()))),
            is_phone,
            rtt: number(RTT).and_then(|ms| Duration::try_from_secs_f64(ms / 1000.0).ok()),
            save_data: text(SAVE_DATA).is_some_and(|text| text.eq_ignore_ascii_case("on")),
            connection: text(ECT).and_then(connection),
            downlink_kbps: number(DOWNLINK).map(|mbps| truncated(mbps * 1000.0)),
        }
    }
}

/// The text of a header, if there is exactly one.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut lines = headers.get_all(name).iter();
    let line = lines.next()?;
    if lines.next().is_some() {
        return None;
    }
    line.to_str().ok().map(str::trim)
}

/// A decimal number that is not negative.
fn number(text: &str) -> Option<f64> {
    let is_plain = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.');
    let starts_right = text.starts_with(|first: char| first.is_ascii_digit());
    if !is_plain || !starts_right || text.ends_with('.') || text.len() > LONGEST_NUMBER {
        return None;
    }
    text.parse().ok()
}

/// The number of pixels rounded up, if that is at least 1.
fn whole_up(pixels: f64) -> Option<u32> {
    Some(truncated(pixels.ceil())).filter(|&pixels| pixels > 0)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a cast from float to integer saturates, and fractions of the unit do not matter"
)]
fn truncated(number: f64) -> u32 {
    number as u32
}

fn connection(text: &str) -> Option<EffectiveConnectionType> {
    Some(match text {
        "slow-2g" => EffectiveConnectionType::Slow2g,
        "2g" => EffectiveConnectionType::Like2g,
        "3g" => EffectiveConnectionType::Like3g,
        "4g" => EffectiveConnectionType::Like4g,
        _ => return None,
    })
}

fn names_phone(headers: &HeaderMap) -> bool {
    let contains = |text: &[u8], word: &[u8]| text.windows(word.len()).any(|part| part == word);
    headers
        .get_all(USER_AGENT)
        .iter()
        .any(|line| contains(line.as_bytes(), b"iPhone") || contains(line.as_bytes(), b"Android"))
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;
    use proptest::proptest;

    use super::*;

    fn hints(lines: &[(&'static str, &str)]) -> ClientHints {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(
                *name,
                HeaderValue::from_bytes(value.as_bytes()).expect("the table holds header values"),
            );
        }
        ClientHints::of(&headers)
    }

    #[test]
    fn a_silent_client_says_nothing() {
        assert_eq!(hints(&[]), ClientHints::default());
    }

    #[test]
    fn section_2_22_screens() {
        for (text, width) in [
            ("1280", Some(1280)),
            (" 400 ", Some(400)),
            ("411.4", Some(412)),
            ("0.2", Some(1)),
            ("999999999999.999", Some(u32::MAX)),
            ("0", None),
            ("-5", None),
            ("+5", None),
            ("", None),
            (".5", None),
            ("5.", None),
            ("1.2.3", None),
            ("1e3", None),
            ("inf", None),
            ("400px", None),
            ("400, 500", None),
            ("\"400\"", None),
            ("\u{664}", None),
            ("1.2000000476837158", Some(2)),
            ("111111111111111111111111111111111", None),
        ] {
            assert_eq!(
                hints(&[("sec-ch-viewport-width", text)]).viewport_width,
                width,
                "{text}"
            );
            let legacy = hints(&[("viewport-width", text)]);
            assert_eq!(legacy.legacy_viewport_width, width, "{text}");
            assert_eq!(legacy.viewport_width, None, "{text}");
        }
        let twice = [
            ("sec-ch-viewport-width", "4"),
            ("sec-ch-viewport-width", "5"),
        ];
        assert_eq!(hints(&twice).viewport_width, None);
        for (text, dpr) in [("2", 2.0), ("1.5", 1.5), ("3.5", 3.0)] {
            assert_eq!(
                hints(&[("sec-ch-dpr", text)]).dpr.map(Dpr::get),
                Some(dpr),
                "{text}"
            );
        }
        for text in ["0", "x", ""] {
            assert_eq!(hints(&[("sec-ch-dpr", text)]).dpr, None, "{text}");
        }
    }

    #[test]
    fn section_2_22_phones() {
        for (agent, is_phone) in [
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X)",
                true,
            ),
            ("Mozilla/5.0 (Linux; Android 14; Pixel 8)", true),
            ("Mozilla/5.0 (Windows NT 10.0; Win64; x64)", false),
            ("iphone android", false),
            ("", false),
        ] {
            assert_eq!(
                hints(&[("user-agent", agent)]).is_phone,
                is_phone,
                "{agent}"
            );
        }
    }

    #[test]
    fn section_2_23_connections() {
        let said = hints(&[
            ("rtt", "150"),
            ("save-data", "on"),
            ("ect", "slow-2g"),
            ("downlink", "4.9999"),
        ]);
        assert_eq!(said.rtt, Some(Duration::from_millis(150)));
        assert!(said.save_data);
        assert_eq!(said.connection, Some(EffectiveConnectionType::Slow2g));
        assert_eq!(said.downlink_kbps, Some(4999));
        for (text, connection) in [
            ("2g", Some(EffectiveConnectionType::Like2g)),
            ("3g", Some(EffectiveConnectionType::Like3g)),
            ("4g", Some(EffectiveConnectionType::Like4g)),
            ("5g", None),
            ("3G", None),
            ("2g, 3g", None),
        ] {
            assert_eq!(hints(&[("ect", text)]).connection, connection, "{text}");
        }
        assert!(hints(&[("save-data", "ON")]).save_data);
        for text in ["off", "1", "on, on", ""] {
            assert!(!hints(&[("save-data", text)]).save_data, "{text}");
        }
        for text in ["-1", "slow", "1e9"] {
            let said = hints(&[("rtt", text), ("downlink", text)]);
            assert_eq!((said.rtt, said.downlink_kbps), (None, None), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_hint_or_none(text in "[ -~\u{e9}]{0,24}") {
            hints(&[
                ("sec-ch-viewport-width", &text),
                ("viewport-width", &text),
                ("sec-ch-dpr", &text),
                ("user-agent", &text),
                ("rtt", &text),
                ("save-data", &text),
                ("ect", &text),
                ("downlink", &text),
            ]);
        }
    }
}

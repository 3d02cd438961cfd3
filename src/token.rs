//! Bearer tokens: that of operators, and those of the API of hosted images. They are never logged, and compared in constant time.

use std::fmt;

use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, HeaderValue};
use serde::Deserialize;
use serde::Deserializer;
use serde::de::Visitor;

/// The shortest token, in characters. It must be long enough that nobody guesses it, because the number of tries is not limited.
const MIN_LENGTH: usize = 16;

/// A token, or none. `Debug` hides it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// A token, or none if the text is empty. It must be of visible ASCII characters, which a header can carry, and long enough.
    pub fn new(text: &str) -> Option<Self> {
        let is_token = text.bytes().all(|byte| byte.is_ascii_graphic());
        let is_long = text.is_empty() || text.len() >= MIN_LENGTH;
        (is_token && is_long).then(|| Token(text.to_owned()))
    }

    /// The `Authorization` header with the token; `None` where there is none.
    pub fn authorization(&self) -> Option<HeaderValue> {
        if self.0.is_empty() {
            return None;
        }
        let mut value = HeaderValue::from_str(&format!("Bearer {}", self.0)).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// The text, if there is one: for those who must send it.
    pub(crate) fn text(&self) -> Option<&str> {
        (!self.is_empty()).then_some(self.0.as_str())
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this is the text that a client sent. Without a token, no text is.
    pub(crate) fn matches(&self, given: &[u8]) -> bool {
        // `blake3` compares its hashes in constant time, so that the time tells neither the length nor the content of the token.
        blake3::hash(given) == blake3::hash(self.0.as_bytes()) && !self.is_empty()
    }

    /// What a request has as its bearer token: its one `Authorization` header, if that is `Bearer` and a text.
    pub(crate) fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
        let mut lines = headers.get_all(AUTHORIZATION).iter();
        let (Some(line), None) = (lines.next(), lines.next()) else {
            return None;
        };
        let (scheme, given) = line.as_bytes().split_at_checked("Bearer ".len())?;
        scheme
            .eq_ignore_ascii_case(b"Bearer ")
            .then_some(given.trim_ascii())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(if self.0.is_empty() {
            "Token { none }"
        } else {
            "Token { hidden }"
        })
    }
}

impl<'de> Deserialize<'de> for Token {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TokenVisitor)
    }
}

/// Accepts text only. No message repeats another value, because it may be the token without its quotes.
struct TokenVisitor;

const EXPECTED: &str = "must be text in quotes, of at least 16 visible ASCII characters without spaces (`openssl rand -hex 16` prints one), or empty";

impl Visitor<'_> for TokenVisitor {
    type Value = Token;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(EXPECTED)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Token, E> {
        Token::new(text).ok_or_else(|| E::custom(EXPECTED))
    }

    fn visit_bool<E: serde::de::Error>(self, _: bool) -> Result<Token, E> {
        Err(E::custom(EXPECTED))
    }

    fn visit_i64<E: serde::de::Error>(self, _: i64) -> Result<Token, E> {
        Err(E::custom(EXPECTED))
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<Token, E> {
        Err(E::custom(EXPECTED))
    }
}

#[cfg(test)]
mod tests {
    use hyper::HeaderMap;
    use hyper::header::{AUTHORIZATION, HeaderValue};
    use serde::Deserialize;

    use super::Token;

    /// Whether a request with these lines has the token; `None` if it has none at all.
    fn judged(token: &str, lines: &[&str]) -> Option<bool> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(
                AUTHORIZATION,
                HeaderValue::from_str(line).expect("the table holds header values"),
            );
        }
        let token = Token::new(token).expect("a token");
        Token::bearer(&headers).map(|given| token.matches(given))
    }

    #[test]
    fn only_the_right_token_is_accepted() {
        assert_eq!(
            judged("a-secret-of-ours", &["Bearer a-secret-of-ours"]),
            Some(true)
        );
        assert_eq!(
            judged("a-secret-of-ours", &["bearer  a-secret-of-ours "]),
            Some(true)
        );
        for line in [
            "Bearer a-secret-of-our",
            "Bearer a-secret-of-ourss",
            "Bearer ",
            "Bearer A-SECRET-OF-OURS",
        ] {
            assert_eq!(judged("a-secret-of-ours", &[line]), Some(false), "{line}");
        }
        for lines in [
            &[][..],
            &["a-secret-of-ours"],
            &["Basic a-secret-of-ours"],
            &["Bearera-secret-of-ours"],
            &["Bearer"],
            &["Bearer a-secret-of-ours", "Bearer a-secret-of-ours"],
        ] {
            assert_eq!(judged("a-secret-of-ours", lines), None, "{lines:?}");
        }
    }

    #[test]
    fn without_a_token_every_request_is_refused() {
        for line in ["Bearer ", "Bearer x"] {
            assert_eq!(judged("", &[line]), Some(false), "{line}");
        }
        assert_eq!(Token::default().authorization(), None);
    }

    #[test]
    fn the_header_that_is_sent_is_accepted() {
        let token = Token::new("a-secret-of-ours").expect("a token");
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, token.authorization().expect("it is set"));
        assert!(Token::bearer(&headers).is_some_and(|given| token.matches(given)));
        let told = format!("{token:?} {headers:?}");
        assert!(!told.contains("secret"), "{told}");
    }

    #[test]
    fn a_token_that_can_be_guessed_is_refused() {
        for (text, is_token) in [
            ("", true),
            ("x", false),
            ("fifteen-letters", false),
            ("sixteen--letters", true),
            ("sixteen -letters", false),
        ] {
            assert_eq!(Token::new(text).is_some(), is_token, "{text}");
        }
    }

    #[test]
    fn a_wrong_setting_is_not_repeated() {
        #[derive(Debug, Deserialize)]
        struct Admin {
            #[expect(dead_code, reason = "read from settings alone")]
            token: Token,
        }
        for value in [
            "8212121",
            "82.12121",
            "'8212121'",
            "'8212121 and more of it'",
            "'8212121-and-more-of-it\u{e9}'",
        ] {
            let error = toml::from_str::<Admin>(&format!("token = {value}"))
                .expect_err(value)
                .message()
                .to_owned();
            assert!(error.contains("text in quotes"), "{error}");
            assert!(!error.contains("12121"), "{error}");
        }
    }
}

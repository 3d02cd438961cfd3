//! Whether a request may change something.

use std::fmt;

use hyper::HeaderMap;

use crate::token::Token;

/// Why a request may not change anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenError {
    /// No token is set.
    NotConfigured,
    /// The request has no token.
    Missing,
    /// The request has another token.
    Wrong,
}

impl fmt::Display for TokenError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            TokenError::NotConfigured => {
                "this is turned off: set `token` under [admin], or SAFELIGHT__ADMIN__TOKEN, and restart"
            }
            TokenError::Missing => {
                "a token is needed: send the header `Authorization: Bearer TOKEN` with the `token` of section [admin]"
            }
            TokenError::Wrong => "this is not the `token` of section [admin]",
        })
    }
}

impl TokenError {
    /// Checks that a request has the token.
    pub(super) fn check(token: &Token, headers: &HeaderMap) -> Result<(), Self> {
        if token.is_empty() {
            return Err(TokenError::NotConfigured);
        }
        let given = Token::bearer(headers).ok_or(TokenError::Missing)?;
        token.matches(given).then_some(()).ok_or(TokenError::Wrong)
    }
}

#[cfg(test)]
mod tests {
    use hyper::HeaderMap;
    use hyper::header::{AUTHORIZATION, HeaderValue};

    use super::TokenError;
    use crate::token::Token;

    #[test]
    fn a_refusal_tells_what_is_missing() {
        let judged = |token: &str, line: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            if let Some(line) = line {
                headers.insert(AUTHORIZATION, HeaderValue::from_static(line));
            }
            TokenError::check(&Token::new(token).expect("a token"), &headers)
        };
        let token = "a-secret-of-ours";
        assert_eq!(judged(token, Some("Bearer a-secret-of-ours")), Ok(()));
        assert_eq!(judged(token, Some("Bearer x")), Err(TokenError::Wrong));
        assert_eq!(judged(token, None), Err(TokenError::Missing));
        for line in [None, Some("Bearer "), Some("Bearer x")] {
            assert_eq!(judged("", line), Err(TokenError::NotConfigured));
        }
    }
}

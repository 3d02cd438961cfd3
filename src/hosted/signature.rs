//! Signed URLs: `?exp=SECONDS&sig=HEX`, where `sig` is the HMAC-SHA256 of path and query without itself.
//!
//! What is signed is the text as it came, so that no two readings of it can differ. A time in the URL is part of that text: nobody can add one to
//! a URL that was signed without, or take it away.

use std::fmt;

use crate::hosted::settings::SigningKey;
use crate::signature::{MacKey, parse_mac, parse_seconds};

/// A URL as far as a signature is about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignedUrl<'a> {
    /// The path as it came.
    pub path: &'a str,
    /// The path from the slash before the account hash on: the same image, as tools for other hosts sign it.
    pub from_hash: &'a str,
    /// The query as it came, without the question mark.
    pub query: Option<&'a str>,
}

/// Why a signature does not let its URL show an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureError {
    /// There is none.
    Missing,
    /// `sig` or `exp` is there twice, or cannot be read.
    Malformed,
    /// No key made it for this URL.
    Wrong,
    /// Its time is over.
    Expired,
}

impl fmt::Display for SignatureError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            SignatureError::Missing => "the image needs a signed URL, with `sig`",
            SignatureError::Malformed => {
                "`sig` must be there once, 64 hexadecimal digits in lower case, and `exp` once, seconds since 1970"
            }
            SignatureError::Wrong => "the URL signature does not match",
            SignatureError::Expired => "the URL has expired",
        })
    }
}

impl std::error::Error for SignatureError {}

impl SignedUrl<'_> {
    /// Checks the signature at `now`, in seconds since 1970. Returns when the URL expires, if it does.
    ///
    /// # Errors
    /// [`SignatureError`].
    pub fn verify(&self, keys: &[SigningKey], now: u64) -> Result<Option<u64>, SignatureError> {
        let (mut signature, mut expires) = (None, None);
        let mut rest = Vec::new();
        for pair in self.query.unwrap_or_default().split('&') {
            let value_of = |name: &str| pair.strip_prefix(name)?.strip_prefix('=');
            if let Some(value) = value_of("sig") {
                if signature.replace(value).is_some() {
                    return Err(SignatureError::Malformed);
                }
                continue;
            }
            if let Some(value) = value_of("exp")
                && expires
                    .replace(parse_seconds(value).ok_or(SignatureError::Malformed)?)
                    .is_some()
            {
                return Err(SignatureError::Malformed);
            }
            rest.push(pair);
        }
        let signature = signature.ok_or(SignatureError::Missing)?;
        let signature = parse_mac(signature).ok_or(SignatureError::Malformed)?;
        let query = rest.join("&");
        let mut is_right = false;
        for key in keys {
            for path in [self.path, self.from_hash] {
                is_right |= is_mac_of(key, path, &query, &signature);
            }
        }
        if !is_right {
            return Err(SignatureError::Wrong);
        }
        if expires.is_some_and(|expires| expires <= now) {
            return Err(SignatureError::Expired);
        }
        Ok(expires)
    }
}

/// Whether a key made this MAC for a path and its query.
fn is_mac_of(key: &SigningKey, path: &str, query: &str, mac: &[u8]) -> bool {
    let mark = if query.is_empty() { "" } else { "?" };
    MacKey::new(key.value.as_bytes()).is_some_and(|key| key.verify(&[path, mark, query], mac))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: &str = "/cheeW4oKsx5ljh8e8BoL2A/bc27a117-9509-446b-8c69-c81bfeac0a01/mobile";
    const OF_PATH: &str = "f650d16a54309cc5560ccf74ba805cd33c92ba5edaa7f09abeebfaf7e3f5895e";
    const UNTIL: &str = "72411885ee02134d38662f3e70ac8ff694f408e9d14b05125f6b022c3f403efa";

    fn key(name: &str, value: &str) -> SigningKey {
        SigningKey {
            name: name.to_owned(),
            value: value.to_owned(),
        }
    }

    fn verify_with(
        keys: &[SigningKey],
        path: &str,
        query: &str,
        now: u64,
    ) -> Result<Option<u64>, SignatureError> {
        let start = path.strip_prefix("/cdn-cgi/imagedelivery");
        let url = SignedUrl {
            path,
            from_hash: start.unwrap_or(path),
            query: (!query.is_empty()).then_some(query),
        };
        url.verify(keys, now)
    }

    fn verify(path: &str, query: &str, now: u64) -> Result<Option<u64>, SignatureError> {
        verify_with(
            &[key("default", "Oix0bbNaT8Rge9PuyxUBrjI6zrgnsyJ5=")],
            path,
            query,
            now,
        )
    }

    #[test]
    fn signatures_of_other_tools_are_right() {
        for (path, query, signature) in [
            (PATH.to_owned(), "exp=1631289275", UNTIL),
            (PATH.to_owned(), "", OF_PATH),
            (
                PATH.to_owned(),
                "v=2&exp=4102444800",
                "47a9f869d8492786d957b32cff9e21ba2f9e85e1416be9596c45ba2859c262a8",
            ),
            (
                "/cheeW4oKsx5ljh8e8BoL2A/users/7/a%25b%20c.jpg/mobile".to_owned(),
                "exp=4102444800",
                "2c9b8730206434830894c8f8548cff5fc6a8767f0573f97e661e3433e27cb88f",
            ),
            (
                format!("/cdn-cgi/imagedelivery{PATH}"),
                "exp=1631289275",
                "51292d15c2d200775c8d333470f85307cfb74e53c744b96277eeb8314ac51a6b",
            ),
            // From the hash on, for a URL on any host.
            (
                format!("/cdn-cgi/imagedelivery{PATH}"),
                "exp=1631289275",
                UNTIL,
            ),
        ] {
            let separator = if query.is_empty() { "" } else { "&" };
            let signed = format!("{query}{separator}sig={signature}");
            let expires = query
                .split("exp=")
                .nth(1)
                .map(|time| time.parse().expect("digits"));
            assert_eq!(verify(&path, &signed, 1_631_289_274), Ok(expires), "{path}");
        }
    }

    #[test]
    fn a_url_that_was_changed_or_has_expired_is_refused() {
        use SignatureError::{Expired, Malformed, Missing, Wrong};
        let upper = UNTIL.to_uppercase();
        for (query, now, refused) in [
            (
                format!("exp=1631289275&sig={UNTIL}"),
                1_631_289_275,
                Expired,
            ),
            (format!("exp=1631289276&sig={UNTIL}"), 0, Wrong),
            (format!("sig={UNTIL}"), 0, Wrong),
            // Signed without a time: nobody can add one.
            (format!("exp=4102444800&sig={OF_PATH}"), 0, Wrong),
            (format!("sig={OF_PATH}&exp=4102444800"), 0, Wrong),
            (format!("sig={OF_PATH}&x=1"), 0, Wrong),
            (
                format!("exp=1631289275&sig={UNTIL}&exp=4102444800"),
                0,
                Malformed,
            ),
            (
                format!("exp=1631289275&sig={UNTIL}&sig={UNTIL}"),
                0,
                Malformed,
            ),
            (format!("exp=&sig={UNTIL}"), 0, Malformed),
            (format!("exp=+1&sig={UNTIL}"), 0, Malformed),
            (
                format!("exp=99999999999999999999&sig={UNTIL}"),
                0,
                Malformed,
            ),
            (format!("exp=1631289275&sig={upper}"), 0, Malformed),
            (format!("exp=1631289275&sig={}", &UNTIL[..62]), 0, Wrong),
            ("exp=1631289275&sig=".to_owned(), 0, Wrong),
            ("exp=1631289275&sig=zz".to_owned(), 0, Malformed),
            ("exp=1631289275".to_owned(), 0, Missing),
            (String::new(), 0, Missing),
            (format!("exp=1631289275&Sig={UNTIL}"), 0, Missing),
        ] {
            assert_eq!(verify(PATH, &query, now), Err(refused), "{query}");
        }
        let other = PATH.replace("mobile", "large");
        let query = format!("sig={OF_PATH}");
        assert_eq!(verify(&other, &query, 0), Err(Wrong));
        assert_eq!(verify(PATH, &query, u64::MAX), Ok(None));
    }

    #[test]
    fn any_key_may_have_made_it_until_it_is_taken_away() {
        let right = key("new", "Oix0bbNaT8Rge9PuyxUBrjI6zrgnsyJ5=");
        let query = format!("sig={OF_PATH}");
        let both = [key("old", "x"), right];
        assert_eq!(verify_with(&both, PATH, &query, 0), Ok(None));
        assert_eq!(
            verify_with(&both[..1], PATH, &query, 0),
            Err(SignatureError::Wrong)
        );
        assert_eq!(
            verify_with(&[], PATH, &query, 0),
            Err(SignatureError::Wrong)
        );
    }
}

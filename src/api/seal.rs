//! Texts that only this server can make: upload URLs, batch tokens and continuation tokens. They are signed with the secret of the account, which
//! is stored with its keys, so that every process that shares the store accepts them.

use data_encoding::BASE64URL_NOPAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// The longest sealed text.
const MAX_SEALED: usize = 16 << 10;

/// What a text is for. One kind is never taken for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Upload,
    Continuation,
    Idempotency,
}

impl Purpose {
    const fn word(self) -> &'static [u8] {
        match self {
            Purpose::Upload => b"upload\0",
            Purpose::Continuation => b"continuation\0",
            Purpose::Idempotency => b"idempotency\0",
        }
    }
}

fn mac(secret: &str) -> Option<Hmac<Sha256>> {
    // Without a secret, anybody could sign.
    (!secret.is_empty())
        .then(|| Hmac::new_from_slice(secret.as_bytes()).ok())
        .flatten()
}

/// The signature of a payload.
pub(super) fn signature(secret: &str, purpose: Purpose, payload: &[u8]) -> Option<[u8; 32]> {
    let mut mac = mac(secret)?;
    mac.update(purpose.word());
    mac.update(payload);
    Some(mac.finalize().into_bytes().into())
}

/// A payload with its signature, as text for URLs.
pub(super) fn seal(secret: &str, purpose: Purpose, payload: &[u8]) -> Option<String> {
    let signature = signature(secret, purpose, payload)?;
    let payload = BASE64URL_NOPAD.encode(payload);
    Some(format!("{payload}.{}", BASE64URL_NOPAD.encode(&signature)))
}

/// The payload of a sealed text, if its signature is right.
pub(super) fn open(secret: &str, purpose: Purpose, sealed: &str) -> Option<Vec<u8>> {
    if sealed.len() > MAX_SEALED {
        return None;
    }
    let (payload, signature) = sealed.split_once('.')?;
    let payload = BASE64URL_NOPAD.decode(payload.as_bytes()).ok()?;
    let signature = BASE64URL_NOPAD.decode(signature.as_bytes()).ok()?;
    let mut mac = mac(secret)?;
    mac.update(purpose.word());
    mac.update(&payload);
    // Compared in constant time.
    mac.verify_slice(&signature).ok()?;
    Some(payload)
}

/// The header of a JSON Web Token of this kind.
const JWT_HEADER: &[u8] = br#"{"alg":"HS256","kid":"batch","typ":"JWT"}"#;

/// A JSON Web Token with these claims.
pub(super) fn jwt(secret: &str, claims: &[u8]) -> Option<String> {
    let header = BASE64URL_NOPAD.encode(JWT_HEADER);
    let text = format!("{header}.{}", BASE64URL_NOPAD.encode(claims));
    let mut mac = mac(secret)?;
    mac.update(text.as_bytes());
    let signature = BASE64URL_NOPAD.encode(&mac.finalize().into_bytes());
    Some(format!("{text}.{signature}"))
}

/// The claims of a JSON Web Token of ours. No other algorithm than ours is accepted, whatever the header says.
pub(super) fn open_jwt(secret: &str, token: &str) -> Option<Vec<u8>> {
    if token.len() > MAX_SEALED {
        return None;
    }
    let (text, signature) = token.rsplit_once('.')?;
    let (header, claims) = text.split_once('.')?;
    if header != BASE64URL_NOPAD.encode(JWT_HEADER) {
        return None;
    }
    let signature = BASE64URL_NOPAD.decode(signature.as_bytes()).ok()?;
    let mut mac = mac(secret)?;
    mac.update(text.as_bytes());
    mac.verify_slice(&signature).ok()?;
    BASE64URL_NOPAD.decode(claims.as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use super::{Purpose, jwt, open, open_jwt, seal};

    const SECRET: &str = "a secret of the account";

    #[test]
    fn only_our_own_seal_opens() {
        let sealed = seal(SECRET, Purpose::Upload, b"a payload").expect("a secret");
        let opened = |secret, purpose, sealed: &str| open(secret, purpose, sealed);
        assert_eq!(
            opened(SECRET, Purpose::Upload, &sealed),
            Some(b"a payload".to_vec())
        );
        assert_eq!(opened("another", Purpose::Upload, &sealed), None);
        assert_eq!(opened(SECRET, Purpose::Continuation, &sealed), None);
        for at in 0..sealed.len() {
            let mut forged = sealed.clone().into_bytes();
            forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(forged).expect("ASCII");
            assert_eq!(opened(SECRET, Purpose::Upload, &forged), None, "{forged}");
        }
        for text in ["", ".", "a", "a.b", &"a".repeat(20_000)] {
            assert_eq!(opened(SECRET, Purpose::Upload, text), None);
        }
        assert_eq!(seal("", Purpose::Upload, b"x"), None);
    }

    #[test]
    fn a_token_of_another_algorithm_is_refused() {
        let token = jwt(SECRET, b"{}").expect("a secret");
        assert_eq!(open_jwt(SECRET, &token), Some(b"{}".to_vec()));
        assert_eq!(open_jwt("another", &token), None);
        // {"alg":"none"}
        let (_, rest) = token.split_once('.').expect("three parts");
        assert_eq!(
            open_jwt(SECRET, &format!("eyJhbGciOiJub25lIn0.{rest}")),
            None
        );
        let (unsigned, _) = token.rsplit_once('.').expect("three parts");
        assert_eq!(open_jwt(SECRET, &format!("{unsigned}.")), None);
    }
}

//! HMAC-SHA256, and the numbers in signed URLs.

use std::time::{SystemTime, UNIX_EPOCH};

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// The length of a MAC in hexadecimal digits.
pub(crate) const HEX_LENGTH: usize = 64;

/// HMAC-SHA256 with one key, before any text.
#[derive(Clone)]
pub(crate) struct MacKey(Hmac<Sha256>);

impl MacKey {
    /// A key of any length.
    pub(crate) fn new(secret: &[u8]) -> Option<Self> {
        Hmac::new_from_slice(secret).ok().map(MacKey)
    }

    /// Whether `mac` is the MAC of these parts, joined. It takes the same time whatever differs.
    pub(crate) fn verify(&self, parts: &[&str], mac: &[u8]) -> bool {
        self.of(parts).verify_slice(mac).is_ok()
    }

    /// The MAC of these parts, joined, in hexadecimal digits.
    pub(crate) fn sign(&self, parts: &[&str]) -> String {
        HEXLOWER.encode(&self.of(parts).finalize().into_bytes())
    }

    fn of(&self, parts: &[&str]) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        for part in parts {
            mac.update(part.as_bytes());
        }
        mac
    }
}

/// Reads a MAC: hexadecimal digits in lower case, so that there is one spelling.
pub(crate) fn parse_mac(text: &str) -> Option<Vec<u8>> {
    HEXLOWER.decode(text.as_bytes()).ok()
}

/// Reads seconds since 1970: digits alone.
pub(crate) fn parse_seconds(text: &str) -> Option<u64> {
    let is_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_digits.then(|| text.parse().ok()).flatten()
}

/// The time, in seconds since 1970.
pub(crate) fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn macs_are_those_of_rfc_4231() {
        let key = MacKey::new(b"Jefe").expect("any key");
        let hex = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(key.sign(&["what do ya ", "want for nothing?"]), hex);
        let mac = parse_mac(hex).expect("digits");
        assert!(key.verify(&["what do ya want", " for nothing?"], &mac));
        assert!(!key.verify(&["what do ya want for nothing"], &mac));
        assert!(!key.verify(&["what do ya want for nothing?"], &mac[..31]));
        assert!(!key.verify(&["what do ya want for nothing?"], &[]));
    }

    #[test]
    fn numbers_have_one_spelling() {
        assert_eq!(parse_seconds("0"), Some(0));
        assert_eq!(parse_seconds("18446744073709551615"), Some(u64::MAX));
        for text in ["", "-1", "+1", " 1", "1.0", "0x1", "18446744073709551616"] {
            assert_eq!(parse_seconds(text), None, "{text}");
        }
        assert_eq!(parse_mac("00ff"), Some(vec![0, 255]));
        for text in ["00FF", "0", "zz", "00 ff"] {
            assert_eq!(parse_mac(text), None, "{text}");
        }
    }
}

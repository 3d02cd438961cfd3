//! Why a URL needs a signature, and why its own does not let it pass.

use std::fmt;

/// Why a signature does not let its URL pass. One that nobody made, or that was made for another URL, is never told to be expired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureError {
    /// There is none.
    Missing,
    /// It cannot be read.
    Malformed,
    /// No key made it for this URL.
    Wrong,
    /// Its time is over.
    Expired,
}

impl fmt::Display for SignatureError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            SignatureError::Missing => {
                "the URL must be signed: its last option, or its last parameter, must be `sig`"
            }
            SignatureError::Malformed => {
                "`sig` must be `KEY.MAC` or `KEY.SECONDS.MAC`, with 64 hexadecimal digits in lower case at its end"
            }
            SignatureError::Wrong => "the signature of the URL does not match",
            SignatureError::Expired => "the URL has expired",
        })
    }
}

impl std::error::Error for SignatureError {}

/// What a client may not choose without a signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unlisted {
    /// The option, with its value; or several.
    pub(super) asked: String,
    /// What it could be; empty where there is no list of that.
    pub(super) allowed: String,
}

impl fmt::Display for Unlisted {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Unlisted { asked, allowed } = self;
        write!(out, "`{asked}` is not allowed in a URL without a signature")?;
        match allowed.as_str() {
            "" => Ok(()),
            allowed => write!(out, ": it must be {allowed}"),
        }
    }
}

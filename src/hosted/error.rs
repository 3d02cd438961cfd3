//! What can go wrong with hosted images.

use std::fmt;

/// Why something was not done.
#[derive(Debug)]
pub enum HostedError {
    /// There is no such image.
    NotFound,
    /// There is an image, or a draft, of this name.
    Exists,
    /// A draft that has been filled.
    DraftUsed,
    /// A draft that can no longer be filled.
    DraftExpired,
    /// The index is being built, so there are no lists yet.
    Indexing,
    /// Others changed the record at the same time, again and again.
    Busy,
    /// The store has no room; the text is for the log.
    Full(String),
    /// The store does not work; the text is for the log.
    Store(String),
}

impl HostedError {
    /// The failure of a write that may be done all the same.
    pub(super) fn into_unknown(self) -> Self {
        match self {
            HostedError::Full(reason) => HostedError::Store(reason),
            error => error,
        }
    }
}

impl fmt::Display for HostedError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HostedError::NotFound => out.write_str("Image not found"),
            HostedError::Exists => out.write_str("Resource already exists"),
            HostedError::DraftUsed => out.write_str("the upload URL has been used"),
            HostedError::DraftExpired => out.write_str("the upload URL has expired"),
            HostedError::Indexing => out.write_str("the index of images is being built"),
            HostedError::Busy => {
                out.write_str("others change this image at the same time, please try again")
            }
            HostedError::Full(reason) => {
                write!(out, "the store of hosted images is full: {reason}")
            }
            HostedError::Store(reason) => {
                write!(out, "the store of hosted images does not work: {reason}")
            }
        }
    }
}

impl std::error::Error for HostedError {}

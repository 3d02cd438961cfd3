//! Why a request to the API failed.

use std::fmt;
use std::time::Duration;

/// Why a request to the API failed.
#[derive(Clone, Debug)]
pub(super) struct ApiError {
    /// The status of the answer; 0 where there was none.
    pub status: u16,
    /// The number of the error in the answer; 0 where there was none.
    pub code: u64,
    /// What went wrong.
    pub text: String,
    /// When the server wants to be asked again.
    pub retry_after: Option<Duration>,
}

impl ApiError {
    /// A failure without an answer.
    pub(super) fn unanswered(text: String) -> Self {
        ApiError {
            status: 0,
            code: 0,
            text,
            retry_after: None,
        }
    }

    /// A failure on this side.
    pub(super) fn local(text: String) -> Self {
        ApiError {
            status: 400,
            ..ApiError::unanswered(text)
        }
    }

    /// Whether another try may succeed.
    pub(super) fn is_transient(&self) -> bool {
        matches!(self.status, 0 | 408 | 429 | 500..)
    }

    /// Whether every other request would fail as well.
    pub(super) fn is_fatal(&self) -> bool {
        self.status == 401 || self.code == 10_000 || self.code == 5403 || self.is_transient()
    }

    /// Whether there is no such image.
    pub(super) fn is_missing(&self) -> bool {
        self.status == 404 && self.code != 7003
    }

    /// Whether the name is taken.
    pub(super) fn is_conflict(&self) -> bool {
        self.status == 409 || self.code == 5409
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)?;
        if self.code > 0 {
            write!(out, " (error {})", self.code)?;
        }
        match (self.status, self.code) {
            (401, _) | (_, 10_000) => out.write_str(
                "\nhint: the token is given by `--token-file`, SAFELIGHT_TOKEN or `--token`, and must be one of the server's [[hosted.token]]",
            ),
            (_, 5403) => out.write_str("\nhint: `--account` names the account"),
            _ => Ok(()),
        }
    }
}

impl std::error::Error for ApiError {}

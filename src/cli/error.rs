//! Why a command failed.

use std::fmt;

/// Why a command failed, as a message for the terminal.
#[derive(Debug)]
pub struct CommandError(pub(super) String);

impl CommandError {
    pub(super) fn new(reason: impl fmt::Display) -> Self {
        CommandError(reason.to_string())
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for CommandError {}

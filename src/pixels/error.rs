//! Errors of pixel operations.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why an operation on pixels failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PixelError {
    /// The system has not enough memory now.
    OutOfMemory {
        /// The requested bytes.
        bytes: usize,
    },
    /// A colour profile could not be applied.
    Color(String),
}

impl fmt::Display for PixelError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PixelError::OutOfMemory { bytes } => {
                write!(
                    out,
                    "the system cannot give {bytes} bytes of memory now, try again later"
                )
            }
            PixelError::Color(cause) => {
                write!(out, "the colour profile could not be applied: {cause}")
            }
        }
    }
}

impl std::error::Error for PixelError {}

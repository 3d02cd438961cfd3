//! What can go wrong with pixels, whatever file they came from.

use std::fmt;

/// Why pixels could not be changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PixelError {
    /// Memory that the system does not give now.
    OutOfMemory {
        /// What was asked for, in bytes.
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

//! The border around the finished picture.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::options::color::Color;

/// A border with at least one side wider than 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Border {
    /// The colour of all sides.
    pub color: Color,
    /// Width of this side in output pixels.
    pub top: u32,
    /// Width of this side in output pixels.
    pub right: u32,
    /// Width of this side in output pixels.
    pub bottom: u32,
    /// Width of this side in output pixels.
    pub left: u32,
}

impl fmt::Display for Border {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Border {
            color,
            top,
            right,
            bottom,
            left,
        } = self;
        write!(f, "{color};{top};{right};{bottom};{left}")
    }
}

//! A frame that is laid around the finished picture.

use std::fmt;

use super::color::Color;

/// A border as asked: Cloudflare knows it in Workers only; in a URL it is ours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct BorderOptions {
    /// Its colour; black where none is named.
    pub color: Option<Color>,
    /// Width in pixels of every side that is not named by itself.
    pub width: Option<u32>,
    /// Width of this side in pixels.
    pub top: Option<u32>,
    /// Width of this side in pixels.
    pub right: Option<u32>,
    /// Width of this side in pixels.
    pub bottom: Option<u32>,
    /// Width of this side in pixels.
    pub left: Option<u32>,
}

/// A border as decided: at least one side is wider than nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Border {
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

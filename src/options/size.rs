//! Sides of the picture as asked: pixels, or widths to choose from.

use std::fmt;
use std::num::NonZeroU32;

use super::values::ValueError;
use super::values::nearest;
use super::values::number;

/// The most breakpoints one URL may list. Real lists have four to ten; the bound keeps `Options` small.
const MAX_BREAKPOINTS: usize = 64;

/// A side in pixels, at least 1. How large it may be is for the policy to say; a number beyond `u32` is kept as its largest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pixels(NonZeroU32);

impl Pixels {
    const EXPECTED: &'static str = "a number of pixels, at least 1";

    /// `None` for 0.
    pub const fn new(value: u32) -> Option<Self> {
        match NonZeroU32::new(value) {
            Some(value) => Some(Pixels(value)),
            None => None,
        }
    }

    /// The number of pixels, at least 1.
    pub const fn get(self) -> u32 {
        self.0.get()
    }

    /// Fractions, which loaders that multiply by an aspect ratio send, go to the nearest whole number. What rounds to 0 and
    /// what is negative is malformed rather than out of range: a picture without that side is better than none.
    pub(super) fn parse(text: &str) -> Result<Self, ValueError> {
        number(text)
            .and_then(|value| Pixels::new(nearest(value)))
            .ok_or(ValueError::Malformed(Self::EXPECTED))
    }
}

impl fmt::Display for Pixels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The width of a line, which may be nothing: the nearest whole number of pixels.
pub(super) fn whole_pixels(text: &str) -> Result<u32, ValueError> {
    const EXPECTED: &str = "a whole number of pixels, at least 0";
    let value = number(text).ok_or(ValueError::Malformed(EXPECTED))?;
    if value < 0.0 {
        Err(ValueError::OutOfRange(EXPECTED))
    } else {
        Ok(nearest(value))
    }
}

/// The asked-for width.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Width {
    Pixels(Pixels),
    /// From the client's viewport and the breakpoints.
    Auto,
}

impl Width {
    const EXPECTED: &'static str = "a number of pixels, at least 1, or auto";

    pub(super) fn parse(text: &str) -> Result<Self, ValueError> {
        if text == "auto" {
            return Ok(Width::Auto);
        }
        Pixels::parse(text)
            .map(Width::Pixels)
            .map_err(|_| ValueError::Malformed(Self::EXPECTED))
    }
}

impl fmt::Display for Width {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Width::Pixels(pixels) => pixels.fmt(f),
            Width::Auto => f.write_str("auto"),
        }
    }
}

/// The widths that `width=auto` chooses from: at least one, at most 64, ascending, each once.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Breakpoints(Vec<Pixels>);

impl Breakpoints {
    const EXPECTED: &'static str = "widths in pixels as in 320;768;1200";
    const TOO_MANY: &'static str = "a list of at most 64 widths";

    /// Puts the widths in order; `None` when there are none or more than 64.
    pub fn new(mut widths: Vec<Pixels>) -> Option<Self> {
        if widths.is_empty() || widths.len() > MAX_BREAKPOINTS {
            return None;
        }
        widths.sort_unstable();
        widths.dedup();
        Some(Breakpoints(widths))
    }

    /// The widths, ascending.
    pub fn widths(&self) -> &[Pixels] {
        &self.0
    }

    pub(super) fn parse(text: &str) -> Result<Self, ValueError> {
        // One more than allowed is enough to know that there are too many.
        let parts = text
            .split(';')
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .take(MAX_BREAKPOINTS + 1);
        let widths: Vec<Pixels> = parts
            .map(Pixels::parse)
            .collect::<Result<_, _>>()
            .map_err(|_| ValueError::Malformed(Self::EXPECTED))?;
        if widths.is_empty() {
            return Err(ValueError::Malformed(Self::EXPECTED));
        }
        Breakpoints::new(widths).ok_or(ValueError::OutOfRange(Self::TOO_MANY))
    }
}

impl fmt::Display for Breakpoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, width) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(";")?;
            }
            width.fmt(f)?;
        }
        Ok(())
    }
}

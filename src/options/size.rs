//! Sides of the picture as a URL asks for them: pixels, or widths to choose from.

use std::fmt;
use std::num::NonZeroU32;

#[cfg(test)]
use proptest::collection::vec;
#[cfg(test)]
use proptest::prelude::Just;
#[cfg(test)]
use proptest::prelude::Strategy;
#[cfg(test)]
use proptest::prop_oneof;
#[cfg(test)]
use proptest::strategy::BoxedStrategy;

use crate::options::domain::ValueDomain;
use crate::options::value::{OptionValue, ValueError, nearest, number};

/// The most breakpoints one URL may list. Real lists have four to ten; the bound keeps `Options` small.
const MAX_BREAKPOINTS: usize = 64;

/// A side in pixels, at least 1. The policy limits it; a number beyond `u32` becomes its largest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pixels(NonZeroU32);

impl Pixels {
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
}

impl OptionValue for Pixels {
    const EXPECTED: &'static str = "a number of pixels, at least 1";
    const DOMAIN: ValueDomain = ValueDomain::whole(1, None);

    /// Fractions become the nearest whole number: loaders that multiply by an aspect ratio send them. A number that rounds to 0 and a
    /// negative one are malformed rather than out of range: a picture without that side is better than none.
    fn parse(text: &str) -> Result<Self, ValueError> {
        number(text)
            .and_then(|value| Pixels::new(nearest(value)))
            .ok_or(ValueError::Malformed(Self::EXPECTED))
    }

    #[cfg(test)]
    fn any() -> BoxedStrategy<Self> {
        let value = prop_oneof![Just(1), Just(u32::MAX), 1..=4000_u32];
        value
            .prop_map(|value| Pixels::new(value).expect("it is at least 1"))
            .boxed()
    }
}

impl fmt::Display for Pixels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A width as a URL asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Width {
    /// This width.
    Pixels(Pixels),
    /// The breakpoint that suits the viewport of the client.
    Auto,
}

impl OptionValue for Width {
    const EXPECTED: &'static str = "a number of pixels, at least 1, or auto";
    const DOMAIN: ValueDomain = Pixels::DOMAIN.or_words(&["auto"]);

    fn parse(text: &str) -> Result<Self, ValueError> {
        if text == "auto" {
            return Ok(Width::Auto);
        }
        Pixels::parse(text)
            .map(Width::Pixels)
            .map_err(|_| ValueError::Malformed(Self::EXPECTED))
    }

    #[cfg(test)]
    fn any() -> BoxedStrategy<Self> {
        prop_oneof![Pixels::any().prop_map(Width::Pixels), Just(Width::Auto)].boxed()
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
    pub(crate) fn widths(&self) -> &[Pixels] {
        &self.0
    }
}

impl OptionValue for Breakpoints {
    const EXPECTED: &'static str = "widths in pixels as in 320;768;1200";
    const DOMAIN: ValueDomain = ValueDomain::text("320;768;1200");

    fn parse(text: &str) -> Result<Self, ValueError> {
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

    #[cfg(test)]
    fn any() -> BoxedStrategy<Self> {
        vec(Pixels::any(), 1..=MAX_BREAKPOINTS)
            .prop_map(|widths| Breakpoints::new(widths).expect("there are 1 to 64"))
            .boxed()
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

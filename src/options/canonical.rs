//! The canonical spelling: long names in alphabetical order, one form for each value, safe in a URL path as it stands.

use std::fmt;

use crate::options::value::OptionValue;

/// Writes `name=value` pairs with commas between them.
pub(super) struct Pairs<'a, 'b> {
    out: &'a mut fmt::Formatter<'b>,
    is_first: bool,
}

impl<'a, 'b> Pairs<'a, 'b> {
    pub(super) fn new(out: &'a mut fmt::Formatter<'b>) -> Self {
        Pairs {
            out,
            is_first: true,
        }
    }

    /// Writes one pair, or nothing where the option is absent.
    pub(crate) fn add<T: OptionValue>(&mut self, name: &str, value: &Option<T>) -> fmt::Result {
        let Some(value) = value else { return Ok(()) };
        if !self.is_first {
            self.out.write_str(",")?;
        }
        self.is_first = false;
        write!(self.out, "{name}=")?;
        value.write_canonical(self.out)
    }
}

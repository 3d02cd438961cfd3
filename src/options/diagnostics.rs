//! Everything that is wrong with a URL, as strict mode reports it.

use std::fmt;

/// Messages about one URL. Only the first 24 are kept, so that no URL makes a long answer, and each quotes only the beginning of a text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnostics {
    messages: Vec<String>,
    omitted: usize,
}

impl Diagnostics {
    const MAX_MESSAGES: usize = 24;

    /// Adds one message.
    pub(crate) fn add(&mut self, message: impl fmt::Display) {
        if self.messages.len() < Self::MAX_MESSAGES {
            self.messages.push(message.to_string());
        } else {
            self.omitted += 1;
        }
    }

    /// Whether there are no messages.
    pub(crate) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Adds all messages of another list.
    pub(super) fn append(&mut self, others: &Diagnostics) {
        for message in &others.messages {
            self.add(message);
        }
        self.omitted += others.omitted;
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.messages.join("; "))?;
        match self.omitted {
            0 => Ok(()),
            omitted => write!(f, "; and {omitted} more"),
        }
    }
}

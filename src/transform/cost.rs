//! The cost of work: what is reserved before it begins.

use std::time::Duration;

use crate::codecs::{Limits, TransformError};
use crate::pixels::buffer;

/// What a piece of work costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Bytes that it holds at its worst, its source among them.
    pub bytes: u64,
    /// Time of one processor.
    pub cpu: Duration,
}

impl Cost {
    /// The cost of two pieces of work that are done one after the other.
    pub(crate) fn and(self, other: Cost) -> Cost {
        Cost {
            bytes: self.bytes.max(other.bytes),
            cpu: self.cpu + other.cpu,
        }
    }

    /// Refuses what would hold more than a render may.
    pub(crate) fn within(self, limits: &Limits) -> Result<Cost, TransformError> {
        self.within_bytes(limits.render_memory.bytes())
    }

    /// Refuses what would hold more than a render may, or more than the system gives now. To be asked right before the work.
    pub(crate) fn available(self, limits: &Limits) -> Result<Cost, TransformError> {
        let cost = self.within(limits)?;
        buffer::check_room(cost.bytes)?;
        Ok(cost)
    }

    /// Refuses what would hold more than `limit` bytes.
    pub(crate) fn within_bytes(self, limit: u64) -> Result<Cost, TransformError> {
        if self.bytes > limit {
            return Err(TransformError::TooCostly {
                bytes: self.bytes,
                limit,
            });
        }
        Ok(self)
    }
}

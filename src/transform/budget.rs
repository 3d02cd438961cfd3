//! What a render may spend: time, and the memory that it was admitted with.

use std::time::Instant;

use crate::codecs::TransformError;

/// What one render may spend.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// When the answer is of no use any more. The clock is read between the steps of a render: a codec cannot be stopped.
    pub deadline: Instant,
    /// The bytes that it was admitted with. What a drawing holds is known only once it is read, and may be more.
    pub bytes: u64,
}

impl Budget {
    /// A budget that is spent at `deadline`, with no memory but that of the limits.
    pub const fn until(deadline: Instant) -> Self {
        Budget {
            deadline,
            bytes: u64::MAX,
        }
    }

    /// The same for what was admitted with so many bytes.
    #[must_use]
    pub const fn holding(self, bytes: u64) -> Self {
        Budget { bytes, ..self }
    }

    /// Fails after the deadline.
    pub(crate) fn check(&self) -> Result<(), TransformError> {
        if Instant::now() < self.deadline {
            Ok(())
        } else {
            Err(TransformError::OutOfTime)
        }
    }
}

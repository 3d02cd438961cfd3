//! What a render may spend beside the memory that its plan names: time.

use std::time::Instant;

use crate::codecs::TransformError;

/// What one render may spend.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// When the answer is of no use any more. The clock is read between the steps of a render: a codec cannot be stopped.
    pub deadline: Instant,
}

impl Budget {
    /// A budget that is spent at `deadline`.
    pub const fn until(deadline: Instant) -> Self {
        Budget { deadline }
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

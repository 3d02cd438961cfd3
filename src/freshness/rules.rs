//! What the operator says about lives.

use std::time::Duration;

/// The least and the most that a thing is kept, whatever its origin says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// A shorter life, or none given, becomes this.
    pub floor: Duration,
    /// A longer life becomes this. Where the two contradict, the floor holds.
    pub ceiling: Duration,
}

impl Default for Rules {
    fn default() -> Self {
        Rules {
            floor: Duration::from_secs(60 * 60),
            ceiling: Duration::from_secs(365 * 24 * 60 * 60),
        }
    }
}

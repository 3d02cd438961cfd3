//! One step of a decoder: what all decoders share.

use std::io;

/// How much output one step produces at most, roughly, in bytes. Each step runs on another thread, so it should not be small.
pub(super) const STEP: usize = 256 << 10;

/// Whether the coded stream is complete, if nothing more arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StreamState {
    Complete,
    Incomplete,
}

impl StreamState {
    pub(super) fn of(is_complete: bool) -> Self {
        if is_complete {
            StreamState::Complete
        } else {
            StreamState::Incomplete
        }
    }
}

/// The content does not follow the format of its coding.
#[derive(Debug)]
pub(super) struct CorruptData;

impl From<io::Error> for CorruptData {
    fn from(_: io::Error) -> Self {
        CorruptData
    }
}

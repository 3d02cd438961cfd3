//! The three tiers of the cache: memory, disk, and a bucket that several servers share.

mod backoff;
pub(super) mod disk;
pub(super) mod memory;
pub(super) mod shared;

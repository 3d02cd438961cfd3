//! The three tiers of the cache: memory, disk, and a bucket that several servers share.

pub(crate) mod disk;
pub(crate) mod memory;
pub(crate) mod shared;

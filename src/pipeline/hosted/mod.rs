//! Hosted images on their way through the pipeline: what is known of an upload before it is stored.

mod download;
mod inspect;

pub use self::inspect::{Excess, InspectError};

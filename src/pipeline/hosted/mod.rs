//! Hosted images on their way through the pipeline: what is known of an upload before it is stored, and from a delivery URL to a picture.

pub(crate) mod delivery;
mod download;
mod inspect;
mod original;
mod resolve;
pub(crate) mod variant;

pub use self::inspect::{Excess, InspectError};

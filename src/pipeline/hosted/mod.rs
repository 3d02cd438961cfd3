//! Hosted images on their way through the pipeline: what is known of an upload before it is stored, and from a delivery URL to a picture.

mod anew;
mod commit;
mod content;
pub(crate) mod delivery;
mod download;
mod inspect;
mod original;
mod queue;
mod resolve;
mod stored;
mod strip;
mod variant;

pub(crate) use self::commit::{CommitPermit, MAX_COMMITS};
pub use self::inspect::{Excess, InspectError};
pub(crate) use self::queue::{EagerQueue, Scan};
pub(crate) use self::stored::recipe_name;
pub(crate) use self::variant::{options_of as variant_options, request as variant_request};

//! What earlier renders of a source have found out or made, and later ones may use.

use bytes::Bytes;

use crate::codecs::decode::pixel_source::ReducedCopy;
use crate::transform::plan::saliency::SaliencyMap;

/// What is known of a source beside its bytes. A render works without hints, only for longer.
#[derive(Clone, Debug, Default)]
pub struct Hints {
    pub(crate) saliency: Option<SaliencyMap>,
    pub(crate) reduced_copy: Option<ReducedCopy>,
}

impl Hints {
    /// The saliency map of the source, as a [`SaliencyMapPlan`](super::SaliencyMapPlan) rendered it; any other bytes are no hint.
    pub fn of_saliency_map(png: &[u8]) -> Self {
        Hints {
            saliency: SaliencyMap::from_png(png),
            reduced_copy: None,
        }
    }

    /// The same hints, and a copy of the source that is `denominator` times smaller, as a [`ReducedCopyPlan`](super::ReducedCopyPlan)
    /// rendered it.
    pub fn with_reduced_copy(self, denominator: u32, bytes: Bytes) -> Self {
        Hints {
            reduced_copy: Some(ReducedCopy::new(denominator, bytes)),
            ..self
        }
    }
}

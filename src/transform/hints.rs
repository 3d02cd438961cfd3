//! What earlier renders of a source have found out or made, and later ones may use.

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

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

/// Hints as the files that they are kept in. A process that reads no pictures passes them on, and another one reads them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct HintFiles {
    /// The saliency map of the source, as a [`SaliencyMapPlan`](super::SaliencyMapPlan) rendered it.
    #[serde(serialize_with = "as_presence", deserialize_with = "of_presence")]
    pub saliency_map: Option<Bytes>,
    /// A copy of the source, as a [`ReducedCopyPlan`](super::ReducedCopyPlan) rendered it.
    pub reduced_copy: Option<ReducedCopyFile>,
}

/// The file of a reduced copy.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReducedCopyFile {
    /// By how much it is smaller than its source, on each axis.
    pub denominator: u32,
    /// The file. Between processes it goes another way.
    #[serde(skip)]
    pub bytes: Bytes,
}

impl HintFiles {
    /// The hints that are in the files.
    pub fn read(&self) -> Hints {
        let map = self.saliency_map.as_ref();
        let hints = map.map_or_else(Hints::default, |png| Hints::of_saliency_map(png));
        match &self.reduced_copy {
            Some(copy) => hints.with_reduced_copy(copy.denominator, copy.bytes.clone()),
            None => hints,
        }
    }

    /// What can be said of the hints without reading a file.
    pub(crate) fn unread(&self) -> Hints {
        let copy = self.reduced_copy.as_ref();
        Hints {
            saliency: None,
            reduced_copy: copy.map(|copy| ReducedCopy::unread(copy.denominator)),
        }
    }

    /// Every file.
    pub(crate) fn files(&mut self) -> impl Iterator<Item = &mut Bytes> {
        let HintFiles {
            saliency_map,
            reduced_copy,
        } = self;
        let copy = reduced_copy.as_mut().map(|copy| &mut copy.bytes);
        saliency_map.iter_mut().chain(copy)
    }
}

fn as_presence<S: Serializer>(file: &Option<Bytes>, output: S) -> Result<S::Ok, S::Error> {
    output.serialize_bool(file.is_some())
}

fn of_presence<'de, D: Deserializer<'de>>(input: D) -> Result<Option<Bytes>, D::Error> {
    Ok(bool::deserialize(input)?.then(Bytes::new))
}

//! A reduced copy: stored as its source is, without the orientation and the metadata of that. There is none of a source that lacks its
//! end: nobody could tell by the copy that something is missing.

use std::time::Instant;

use crate::options::Format;

use crate::codecs::decode::DecodedImage;
use crate::codecs::metadata::OutputMetadata;
use crate::codecs::{TransformError, decode, metadata};
use crate::pixels::Raster;
use crate::pixels::color::ColorSpace;
use crate::transform::budget::Budget;
use crate::transform::encoded::{Encoded, Timings};
use crate::transform::plan::reduced_copy::ReducedCopyPlan;

impl ReducedCopyPlan {
    /// Makes the copy.
    ///
    /// # Errors
    /// As [`Plan::render`](crate::transform::Plan::render), and for colours that a copy cannot have.
    pub fn render(&self, budget: &Budget) -> Result<Encoded, TransformError> {
        let started = Instant::now();
        let source = self.source.raster().ok_or(TransformError::NotAnImage)?;
        self.cost().available(source.limits)?;
        let DecodedImage { raster, space, .. } =
            decode::pixels(source.bytes, source.header, self.scale)?;
        let decode = started.elapsed();
        budget.check()?;
        let started = Instant::now();
        let size = raster.size;
        let profile = match space {
            ColorSpace::Icc(profile) => Some(profile),
            ColorSpace::Srgb => None,
            ColorSpace::Cicp { .. } => {
                let what = "no copies are made of code points";
                return Err(TransformError::Encode(what.to_owned()));
            }
        };
        let bytes = encoded(&raster)?;
        drop(raster);
        let bytes = metadata::attach(
            bytes,
            Format::Jpeg,
            &OutputMetadata::default(),
            profile.as_deref(),
        )?;
        Ok(Encoded {
            bytes,
            format: Format::Jpeg,
            size,
            warnings: Vec::new(),
            timings: Timings {
                decode,
                encode: started.elapsed(),
                ..Timings::default()
            },
        })
    }
}

#[cfg(feature = "native")]
fn encoded(raster: &Raster) -> Result<Vec<u8>, TransformError> {
    /// Of libjpeg: no loss that is left after pixels are averaged, those of chroma of half size among them.
    const QUALITY: u8 = 95;
    crate::codecs::encode::jpeg_turbo::encode(raster, QUALITY)
}

#[cfg(not(feature = "native"))]
fn encoded(_: &Raster) -> Result<Vec<u8>, TransformError> {
    let what = "copies are made by the native build alone";
    Err(TransformError::Encode(what.to_owned()))
}

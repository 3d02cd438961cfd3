//! Smaller copies of large sources. However small a picture is made, all of a large JPEG has to be read for it, bit by bit; so a
//! copy at a half, a quarter or an eighth of its size is worth keeping, and later pictures are made of that.
//!
//! Nobody can tell: a copy is what a decode at that scale gives, nearly lossless, in the colours of its source and as that stores it;
//! it serves only where twice as many pixels are left as the picture needs, and where the source would be decoded at that scale or
//! a smaller one. Sizes, crops and metadata are still those of the source.

use std::time::Instant;

use crate::options::Format;

use crate::codecs::decode;
use crate::codecs::decode::DecodeScale;
use crate::codecs::decode::Decoded;
use crate::codecs::decode::Header;
use crate::codecs::metadata;
use crate::codecs::metadata::Kept;
use crate::codecs::sniff::SourceFormat;
use crate::pixels::Raster;
use crate::pixels::color::ColorSpace;
use crate::transform::Budget;
use crate::transform::Encoded;
use crate::transform::Timings;
use crate::transform::TransformError;
use crate::transform::plan::Plan;
use crate::transform::plan::cost;

/// The scales that there are copies at, the smallest copy first: pixels of the source for one of the copy, on each axis.
const DENOMINATORS: [u32; 3] = [8, 4, 2];
/// Pixels of the copy for each pixel that is made of it, on each axis.
const OVERSAMPLING: f64 = 2.0;
/// A copy with a longer side than this serves the sizes that pages are made of.
const SIDE: u32 = 1600;

/// The copies of a source that a picture may be made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReducedCopies {
    /// By how much they may be smaller than their source, the smallest one first.
    pub serving: Vec<u32>,
    /// The one of them that serves other sizes as well.
    pub worthwhile: u32,
}

impl ReducedCopies {
    /// Every number that copies may be smaller by.
    pub const DENOMINATORS: [u32; 3] = DENOMINATORS;

    /// The copies for a picture; `None` where the source may as well be decoded itself.
    pub(crate) fn of(header: &Header, plan: &Plan, scale: DecodeScale) -> Option<ReducedCopies> {
        if header.format != SourceFormat::Jpeg
            || header.size.area() < decode::LARGE
            || !cfg!(feature = "native")
        {
            return None;
        }
        let shrink = plan.layout.shrink();
        let serving: Vec<u32> = DENOMINATORS
            .into_iter()
            .filter(|&denominator| {
                denominator <= scale.denominator()
                    && shrink / f64::from(denominator) >= OVERSAMPLING
            })
            .collect();
        let longest = header.size.width.max(header.size.height);
        let serves_others = |denominator: &&u32| longest / **denominator >= SIDE;
        let worthwhile = serving.iter().find(serves_others).or(serving.last());
        worthwhile.copied().map(|worthwhile| ReducedCopies {
            serving,
            worthwhile,
        })
    }
}

/// A copy of a source: stored as that is, without its orientation and its metadata. There is none of a source that lacks its end: nobody
/// could tell by the copy that something is missing.
pub(crate) fn made(
    source: &[u8],
    header: &Header,
    denominator: u32,
    budget: &Budget,
) -> Result<Encoded, TransformError> {
    let started = Instant::now();
    let scale = DecodeScale::one_of(denominator);
    cost::of_reduced_copy(source, header, scale).available(&budget.limits)?;
    let Decoded { raster, space, .. } = decode::pixels(source, header, scale)?;
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
    let bytes = metadata::attach(bytes, Format::Jpeg, &Kept::default(), profile.as_deref())?;
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

#[cfg(all(test, feature = "native"))]
mod tests {
    use crate::options::Recipe;

    use super::Header;
    use super::Plan;
    use super::ReducedCopies;
    use super::SourceFormat;
    use super::decode;
    use crate::pixels::PixelRect;
    use crate::pixels::Size;
    use crate::pixels::orientation::Orientation;

    /// The copies that serve a width, and the one that is worth its bytes.
    #[track_caller]
    fn check(format: SourceFormat, size: (u32, u32), width: u32, expected: Option<(&[u32], u32)>) {
        let size = Size::new(size.0, size.1);
        let header = Header {
            format,
            size,
            orientation: Orientation::default(),
            bytes_per_pixel: 4,
            coefficient_bytes: 0,
            hidden_pixels: 0,
            pixel_bytes: 3,
            alpha: false,
            is_lossless: false,
            is_scalable: true,
        };
        let recipe = Recipe {
            width: Some(width),
            ..Recipe::default()
        };
        let whole = PixelRect::whole(size);
        let plan = Plan::of(size, Orientation::default(), whole, &recipe, None);
        let scale = decode::scale_for(plan.layout.shrink(), &header, true);
        let found = ReducedCopies::of(&header, &plan, scale);
        let expected = expected.map(|(serving, worthwhile)| ReducedCopies {
            serving: serving.to_vec(),
            worthwhile,
        });
        assert_eq!(found, expected, "{size:?} at {width}");
    }

    #[test]
    fn a_copy_serves_what_is_at_most_half_of_it() {
        let camera = (4000, 3000);
        check(SourceFormat::Jpeg, camera, 1600, None);
        check(SourceFormat::Jpeg, camera, 1001, None);
        check(SourceFormat::Jpeg, camera, 1000, Some((&[2], 2)));
        check(SourceFormat::Jpeg, camera, 400, Some((&[4, 2], 2)));
        check(SourceFormat::Jpeg, camera, 100, Some((&[8, 4, 2], 2)));
        let huge = (16_000, 6000);
        check(SourceFormat::Jpeg, huge, 4000, Some((&[2], 2)));
        check(SourceFormat::Jpeg, huge, 1600, Some((&[4, 2], 4)));
        check(SourceFormat::Jpeg, huge, 300, Some((&[8, 4, 2], 8)));
    }

    #[test]
    fn small_sources_and_those_that_have_no_scale_are_decoded_themselves() {
        check(SourceFormat::Jpeg, (3000, 2000), 300, None);
        check(SourceFormat::Png, (4000, 3000), 300, None);
    }
}

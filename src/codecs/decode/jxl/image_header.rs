//! Parses the image header of a JPEG XL.

use std::ops::RangeInclusive;

use jxl_bitstream::Bitstream;
use jxl_oxide::color::{ColourEncoding, ColourSpace, EnumColourEncoding, TransferFunction};
use jxl_oxide::image::ImageHeader;
use jxl_oxide_common::Bundle;

use crate::codecs::TransformError;
use crate::codecs::decode::jxl::error::{broken, failed};
use crate::pixels::Size;

/// Bytes of a compressed ICC profile. 4 MiB are already enormous, and a few bytes could decompress to 256 MiB.
const MAX_PROFILE: u64 = 4 << 20;

/// The inverse of gamma in ten-millionths, from 1/8192 to 1: what libjxl takes.
const GAMMAS: RangeInclusive<u32> = 1221..=10_000_000;

/// Parses the image header. An ICC profile after it is not decompressed, but its length is checked.
pub(crate) fn image_header(codestream: &[u8]) -> Result<ImageHeader, TransformError> {
    header_of(&mut Bitstream::new(codestream))
}

/// Parses the header at the current position, and leaves the reader at its end.
pub(crate) fn header_of(bits: &mut Bitstream<'_>) -> Result<ImageHeader, TransformError> {
    let header = ImageHeader::parse(bits, ()).map_err(failed)?;
    match &header.metadata.colour_encoding {
        ColourEncoding::IccProfile(_) => {
            let length = bits.clone().read_u64().map_err(failed)?;
            if length > MAX_PROFILE {
                return Err(broken("a profile that is too large"));
            }
        }
        ColourEncoding::Enum(encoding) if has_profile(encoding) => {}
        ColourEncoding::Enum(_) => return Err(broken("colours that nothing describes")),
    }
    Ok(header)
}

/// Whether a profile can be made of this. The decoder panics where not.
fn has_profile(encoding: &EnumColourEncoding) -> bool {
    let space = encoding.colour_space;
    let has_space = matches!(space, ColourSpace::Rgb | ColourSpace::Grey);
    let has_curve = match encoding.tf {
        TransferFunction::Unknown => false,
        TransferFunction::Gamma { g, .. } => GAMMAS.contains(&g),
        _ => true,
    };
    has_space && has_curve
}

pub(crate) fn size(header: &ImageHeader) -> Size {
    Size::new(
        header.width_with_orientation(),
        header.height_with_orientation(),
    )
}

/// Three colour channels and the extra channels.
pub(crate) fn channels(header: &ImageHeader) -> u64 {
    3 + u64::try_from(header.metadata.ec_info.len()).unwrap_or(u64::MAX - 3)
}

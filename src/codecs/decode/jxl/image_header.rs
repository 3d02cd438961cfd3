//! Parses the image header of a JPEG XL.

use jxl_bitstream::Bitstream;
use jxl_oxide::image::ImageHeader;
use jxl_oxide_common::Bundle;

use crate::codecs::TransformError;
use crate::codecs::decode::jxl::error::{broken, failed};
use crate::pixels::Size;

/// Bytes of a compressed ICC profile. 4 MiB are already enormous, and a few bytes could decompress to 256 MiB.
const MAX_PROFILE: u64 = 4 << 20;

/// Parses the image header. An ICC profile after it is not decompressed, but its length is checked.
pub(crate) fn image_header(codestream: &[u8]) -> Result<ImageHeader, TransformError> {
    header_of(&mut Bitstream::new(codestream))
}

/// Parses the header at the current position, and leaves the reader at its end.
pub(crate) fn header_of(bits: &mut Bitstream<'_>) -> Result<ImageHeader, TransformError> {
    let header = ImageHeader::parse(bits, ()).map_err(failed)?;
    if header.metadata.colour_encoding.want_icc() {
        let length = bits.clone().read_u64().map_err(failed)?;
        if length > MAX_PROFILE {
            return Err(broken("a profile that is too large"));
        }
    }
    Ok(header)
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

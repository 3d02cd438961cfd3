//! JPEG by `jpeg-encoder`. Huffman tables are optimised only for progressive files: with optimised tables, a sequential file would have one
//! scan for each component, which some decoders cannot read.

use jpeg_encoder::ChromaSubsamplingMethod;
use jpeg_encoder::ColorType;
use jpeg_encoder::Encoder;
use jpeg_encoder::SamplingFactor;

use crate::options::Format;

use crate::codecs::TransformError;
use crate::codecs::encode::chroma::{Chroma, subsampling};
use crate::codecs::encode::error::failed;
use crate::codecs::encode::picture::Picture;
use crate::codecs::encode::settings::Settings;
use crate::pixels::Subsampling;
use crate::pixels::buffer::FileBuffer;

pub(crate) fn encode(picture: &Picture, settings: Settings) -> Result<Vec<u8>, TransformError> {
    let Picture::Rgb(size, samples) = picture else {
        return Err(failed("JPEG is made of RGB without alpha here"));
    };
    let side = |side: u32| u16::try_from(side).map_err(failed);
    let (width, height) = (side(size.width)?, side(size.height)?);
    let mut file = FileBuffer::default();
    let mut encoder = Encoder::new(&mut file, settings.quality.get());
    encoder.set_optimized_huffman_tables(settings.progressive);
    encoder.set_progressive(settings.progressive);
    // By default the library takes every second sample, which moves colour by half a pixel and aliases fine detail.
    encoder.set_chroma_subsampling_method(ChromaSubsamplingMethod::Average);
    let chroma = Chroma::Pixels(*size, samples, 3);
    encoder.set_sampling_factor(match subsampling(Format::Jpeg, settings.quality, chroma) {
        Subsampling::None => SamplingFactor::F_1_1,
        Subsampling::Both => SamplingFactor::F_2_2,
    });
    let end = encoder
        .encode(samples, width, height, ColorType::Rgb)
        .map_err(failed);
    file.finish(end)
}

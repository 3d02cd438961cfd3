//! Converts the stored samples of a TIFF to interleaved samples of 8 or 16 bits.

use tiff::ColorType;
use tiff::decoder::DecodingResult;

use crate::codecs::TransformError;
use crate::codecs::decode::tiff::error::unsupported;
use crate::pixels::{Samples, Size, buffer};

/// The layout of one pixel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SampleLayout {
    pub color: ColorType,
    /// Samples that are stored and decoded, those of unknown meaning included.
    pub samples: u16,
    pub bits: u8,
    pub palette: bool,
}

impl SampleLayout {
    pub(super) fn bytes_per_pixel(self) -> u64 {
        (u64::from(self.samples) * u64::from(self.bits)).div_ceil(8)
    }
}

/// Converts samples of any type to 8 or 16 bits.
pub(crate) fn unpacked(
    decoded: DecodingResult,
    size: Size,
    layout: SampleLayout,
) -> Result<Samples, TransformError> {
    let samples = match decoded {
        DecodingResult::U8(packed) if layout.bits < 8 => {
            let per_row = match layout.color {
                ColorType::Gray(1 | 2 | 4) => size.width as usize,
                _ => return Err(unsupported("with samples of less than 8 bits in colours")),
            };
            Samples::U8(unpacked_bits(&packed, per_row, layout)?)
        }
        DecodingResult::U8(samples) => Samples::U8(samples),
        DecodingResult::U16(samples) => Samples::U16(samples),
        DecodingResult::U32(samples) => converted(samples, |sample| upper(sample.into()))?,
        DecodingResult::U64(samples) => converted(samples, |sample| upper(sample >> 32))?,
        DecodingResult::F16(samples) => converted(samples, |sample| code(sample.into()))?,
        DecodingResult::F32(samples) => converted(samples, |sample| code(sample.into()))?,
        DecodingResult::F64(samples) => converted(samples, code)?,
        _ => return Err(unsupported("with samples that have a sign")),
    };
    Ok(samples)
}

fn converted<T>(samples: Vec<T>, convert: impl Fn(T) -> u16) -> Result<Samples, TransformError> {
    let samples = buffer::collected(samples.len(), samples.into_iter().map(convert))?;
    Ok(Samples::U16(samples))
}

/// The upper half of 32 bits.
fn upper(sample: u64) -> u16 {
    u16::try_from(sample >> 16).unwrap_or(u16::MAX)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to the range of u16 first; what is no number becomes 0"
)]
fn code(value: f64) -> u16 {
    (value.clamp(0.0, 1.0) * f64::from(u16::MAX)).round() as u16
}

/// Unpacks samples of 1, 2 or 4 bits, the first in the highest bits, each row starting at a new byte. They are scaled to 8 bits unless they
/// are palette indices.
fn unpacked_bits(
    packed: &[u8],
    per_row: usize,
    layout: SampleLayout,
) -> Result<Vec<u8>, TransformError> {
    let bits = usize::from(layout.bits);
    let most = u8::MAX >> (8 - bits);
    let scale = if layout.palette { 1 } else { u8::MAX / most };
    let rows = packed.chunks_exact((per_row * bits).div_ceil(8).max(1));
    let length = rows.len() * per_row;
    let samples = rows.flat_map(|row| {
        (0..per_row).map(move |x| {
            let at = x * bits;
            (row[at / 8] >> (8 - bits - at % 8) & most) * scale
        })
    });
    Ok(buffer::collected(length, samples)?)
}

pub(crate) fn interleaved<T: Copy>(
    samples: Vec<T>,
    planes: usize,
) -> Result<Vec<T>, TransformError> {
    if planes < 2 {
        return Ok(samples);
    }
    let length = samples.len() / planes;
    let indices =
        (0..length).flat_map(|index| (0..planes).map(move |plane| plane * length + index));
    Ok(buffer::collected(
        length * planes,
        indices.map(|index| samples[index]),
    )?)
}

/// Keeps only the first samples of each pixel.
pub(crate) fn first_of(
    samples: Samples,
    count: usize,
    kept: usize,
) -> Result<Samples, TransformError> {
    fn first<T: Copy>(samples: &[T], count: usize, kept: usize) -> Result<Vec<T>, TransformError> {
        let pixels = samples.chunks_exact(count);
        let kept = kept.min(count);
        let count_kept = pixels.len() * kept;
        let samples = pixels.flat_map(|pixel| pixel[..kept].iter().copied());
        Ok(buffer::collected(count_kept, samples)?)
    }
    Ok(match samples {
        Samples::U8(samples) => Samples::U8(first(&samples, count, kept)?),
        Samples::U16(samples) => Samples::U16(first(&samples, count, kept)?),
    })
}

/// Converts YCbCr as in JPEG, with the default coefficients of TIFF (TIFF 6.0, section 21) and full range.
pub(crate) fn rgb_of_ycbcr(samples: &[u8]) -> Result<Vec<u8>, TransformError> {
    let (pixels, _) = samples.as_chunks::<3>();
    let colors = pixels.iter().flat_map(|&[luma, blue, red]| {
        let (luma, blue, red) = (
            f32::from(luma),
            f32::from(blue) - 128.0,
            f32::from(red) - 128.0,
        );
        [
            luma + 1.402 * red,
            luma - 0.344_136 * blue - 0.714_136 * red,
            luma + 1.772 * blue,
        ]
        .map(byte)
    });
    Ok(buffer::collected(3 * pixels.len(), colors)?)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to the range of u8 first"
)]
fn byte(value: f32) -> u8 {
    value.round().clamp(0.0, 255.0) as u8
}

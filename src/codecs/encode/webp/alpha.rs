//! The parts of a lossy WebP with alpha: colours as a picture of their own, and beside them alpha without loss (RFC 9649, section 2.7.1).
//!
//! libwebp writes both at once too, but then the method of the colours is that of alpha: 6 takes 1.2 to 3 seconds for any alpha plane, and 4
//! takes up to half as many bytes again as are needed. Apart, both are made as well as they should be.

use crate::codecs::TransformError;
use crate::codecs::encode::error::failed;
use crate::pixels::{PixelError, Size, buffer};

/// How a sample of alpha is predicted from those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Filter {
    Unfiltered = 0,
    Horizontal = 1,
    Gradient = 3,
}

/// The filters of which one makes the smallest alpha plane: none where there are only edges, and one of two where there are fades.
pub(crate) fn filters(samples: &[u8]) -> &'static [Filter] {
    let (pixels, _) = samples.as_chunks::<4>();
    let is_soft = |pixel: &&[u8; 4]| !matches!(pixel[3], 0 | u8::MAX);
    let soft = pixels.iter().filter(is_soft).count();
    if soft * 4 >= pixels.len() {
        &[Filter::Horizontal, Filter::Gradient]
    } else {
        &[Filter::Unfiltered]
    }
}

/// The alpha of RGBA pixels as the green of opaque ones, filtered.
pub(crate) fn plane(size: Size, samples: &[u8], filter: Filter) -> Result<Vec<u32>, PixelError> {
    let (pixels, _) = samples.as_chunks::<4>();
    let mut plane = buffer::with_room(pixels.len())?;
    let mut above: Option<&[[u8; 4]]> = None;
    for row in pixels.chunks_exact(size.width as usize) {
        let first = above.and_then(<[_]>::first).map_or(0, |pixel| pixel[3]);
        let (mut left, mut corner) = (first, first);
        for (x, pixel) in row.iter().enumerate() {
            let top = above.and_then(|row| row.get(x)).map_or(0, |pixel| pixel[3]);
            let predicted = match filter {
                Filter::Unfiltered => 0,
                Filter::Horizontal => left,
                Filter::Gradient => gradient(left, top, corner),
            };
            let left_over = pixel[3].wrapping_sub(predicted);
            plane.push(u32::from_be_bytes([u8::MAX, 0, left_over, 0]));
            (left, corner) = (pixel[3], top);
        }
        above = Some(row);
    }
    Ok(plane)
}

fn gradient(left: u8, top: u8, corner: u8) -> u8 {
    let [left, top, corner] = [left, top, corner].map(i16::from);
    let sum = (left + top - corner).clamp(0, 255);
    sum.to_le_bytes()[0]
}

/// The colours of RGBA pixels. Those that nobody sees become the mean of what is seen beside them, or go on as before, which takes next to
/// no bytes, and lets nothing bleed into what is seen.
pub(crate) fn colors(size: Size, samples: &[u8]) -> Result<Vec<u8>, PixelError> {
    /// The side of a block that has a mean of its own.
    const SIDE: usize = 8;
    let width = size.width as usize;
    let (pixels, _) = samples.as_chunks::<4>();
    let mut made = buffer::zeroed(pixels.len() * 3)?;
    let (into, _) = made.as_chunks_mut::<3>();
    let mut hidden = [0; 3];
    let strips = pixels.chunks(SIDE * width);
    for (strip, into) in strips.zip(into.chunks_mut(SIDE * width)) {
        for left in (0..width).step_by(SIDE) {
            let columns = left..(left + SIDE).min(width);
            let block = strip.chunks(width).flat_map(|row| &row[columns.clone()]);
            hidden = mean(block).unwrap_or(hidden);
            for (row, into) in strip.chunks(width).zip(into.chunks_mut(width)) {
                let pixels = row[columns.clone()].iter();
                for (&[red, green, blue, alpha], into) in pixels.zip(&mut into[columns.clone()]) {
                    *into = if alpha == 0 {
                        hidden
                    } else {
                        [red, green, blue]
                    };
                }
            }
        }
    }
    Ok(made)
}

/// The mean colour of the pixels that are seen, if there are some.
fn mean<'a>(pixels: impl Iterator<Item = &'a [u8; 4]>) -> Option<[u8; 3]> {
    let (mut sums, mut seen) = ([0_u32; 3], 0_u32);
    for &[red, green, blue, alpha] in pixels {
        if alpha > 0 {
            seen += 1;
            for (sum, sample) in sums.iter_mut().zip([red, green, blue]) {
                *sum += u32::from(sample);
            }
        }
    }
    (seen > 0).then(|| sums.map(|sum| (sum / seen).to_le_bytes()[0]))
}

/// One file of a lossless WebP that is an alpha plane, and a lossy WebP of the colours.
pub(crate) fn file(
    size: Size,
    filter: Filter,
    alpha: &[u8],
    colors: &[u8],
) -> Result<Vec<u8>, TransformError> {
    const HAS_ALPHA: u8 = 0x10;
    /// Size, a flag and a version, which an alpha plane does not have.
    const STREAM_HEADER: usize = 5;
    const LOSSLESS: u8 = 1;
    let stream = only_chunk(alpha, b"VP8L").and_then(|stream| stream.get(STREAM_HEADER..));
    let (Some(stream), Some(colors)) = (stream, only_chunk(colors, b"VP8 ")) else {
        return Err(failed("libwebp wrote another file than was asked for"));
    };
    let [width, height] = [size.width, size.height].map(|side| (side - 1).to_le_bytes());
    let flags = [HAS_ALPHA, 0, 0, 0];
    let filtered = [LOSSLESS | (filter as u8) << 2];
    let mut made = buffer::with_room(stream.len() + colors.len() + 64)?;
    made.extend_from_slice(b"RIFF\0\0\0\0WEBP");
    add_chunk(&mut made, b"VP8X", &[&flags, &width[..3], &height[..3]])?;
    add_chunk(&mut made, b"ALPH", &[&filtered, stream])?;
    add_chunk(&mut made, b"VP8 ", &[colors])?;
    let length = u32::try_from(made.len() - 8).map_err(failed)?;
    made[4..8].copy_from_slice(&length.to_le_bytes());
    Ok(made)
}

/// The content of the chunk of a file that has one.
fn only_chunk<'a>(file: &'a [u8], name: &[u8; 4]) -> Option<&'a [u8]> {
    let (found, rest) = file.get(12..)?.split_first_chunk()?;
    let (length, content) = rest.split_first_chunk()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    (found == name).then(|| content.get(..length)).flatten()
}

fn add_chunk(file: &mut Vec<u8>, name: &[u8; 4], parts: &[&[u8]]) -> Result<(), TransformError> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    file.extend_from_slice(name);
    file.extend_from_slice(&u32::try_from(length).map_err(failed)?.to_le_bytes());
    parts.iter().for_each(|part| file.extend_from_slice(part));
    // Chunks are padded to even lengths.
    file.extend_from_slice(&[0][..length % 2]);
    Ok(())
}

//! PNG with a palette, by `png`, because `image` does not write palettes.

use png::BitDepth;
use png::ColorType;
use png::Compression;
use png::Encoder;
use png::Filter;

use crate::options::Quality;

use crate::codecs::TransformError;
use crate::codecs::encode::error::failed;
use crate::codecs::encode::picture::Picture;
use crate::codecs::encode::quantize;
use crate::codecs::encode::quantize::{MOST, PaletteImage, Rgba8};
use crate::pixels::buffer::FileBuffer;
use crate::pixels::{Size, buffer};

/// The picture with the number of colours for its quality; `None` at quality 100. `samples` are RGB or RGBA.
pub(crate) fn png(
    size: Size,
    samples: &[u8],
    channels: usize,
    quality: Quality,
) -> Result<Option<Vec<u8>>, TransformError> {
    const LOSSLESS: u8 = 100;
    if quality.get() == LOSSLESS {
        return Ok(None);
    }
    if let Some(exact) = exact(samples, channels)? {
        return write(size, exact).map(Some);
    }
    write(size, few_colors(size, samples, channels, quality)?).map(Some)
}

/// The picture with the number of colours for its quality, for encoders that find palettes themselves.
pub(crate) fn reduced(picture: &Picture, quality: Quality) -> Result<Picture, TransformError> {
    let (size, samples, channels) = match picture {
        Picture::Rgb(size, samples) => (*size, samples, 3),
        Picture::Rgba(size, samples) => (*size, samples, 4),
        Picture::Planar(..) | Picture::Deep(..) => {
            return Err(failed("a palette is made of pixels of 8 bits"));
        }
    };
    let PaletteImage { palette, indices } = few_colors(size, samples, channels, quality)?;
    let pixels = indices.iter().map(|&index| palette[usize::from(index)]);
    let mut samples = buffer::with_room(indices.len() * channels)?;
    pixels.for_each(|pixel| samples.extend_from_slice(&pixel[..channels]));
    Ok(match channels {
        4 => Picture::Rgba(size, samples),
        _ => Picture::Rgb(size, samples),
    })
}

fn few_colors(
    size: Size,
    samples: &[u8],
    channels: usize,
    quality: Quality,
) -> Result<PaletteImage, TransformError> {
    let pixels: Vec<Rgba8> = match channels {
        4 => buffer::copied(samples.as_chunks().0)?,
        _ => {
            let (pixels, _) = samples.as_chunks();
            buffer::collected(pixels.len(), pixels.iter().map(opaque))?
        }
    };
    quantize::reduced(&pixels, size.width as usize, quantize::colors(quality))
}

/// The picture without loss, if it has at most 256 colours.
pub(crate) fn lossless(
    size: Size,
    samples: &[u8],
    channels: usize,
) -> Result<Option<Vec<u8>>, TransformError> {
    exact(samples, channels)?
        .map(|indexed| write(size, indexed))
        .transpose()
}

fn exact(samples: &[u8], channels: usize) -> Result<Option<PaletteImage>, TransformError> {
    match channels {
        4 => quantize::exact(samples.as_chunks().0.iter().copied(), MOST),
        _ => quantize::exact(samples.as_chunks().0.iter().map(opaque), MOST),
    }
}

const fn opaque(&[red, green, blue]: &[u8; 3]) -> Rgba8 {
    [red, green, blue, u8::MAX]
}

fn write(size: Size, indexed: PaletteImage) -> Result<Vec<u8>, TransformError> {
    let mut file = FileBuffer::default();
    let end = write_to(&mut file, size, indexed);
    file.finish(end)
}

fn write_to(
    file: &mut FileBuffer,
    size: Size,
    indexed: PaletteImage,
) -> Result<(), TransformError> {
    let PaletteImage { palette, indices } = opaque_last(indexed);
    let colors: Vec<u8> = palette
        .iter()
        .flat_map(|color| color[..3].to_vec())
        .collect();
    // Colours without an entry in this list are opaque.
    let alphas: Vec<u8> = palette
        .iter()
        .map(|color| color[3])
        .take_while(|&alpha| alpha < u8::MAX)
        .collect();
    let (depth, bits) = match palette.len() {
        0..=2 => (BitDepth::One, 1),
        3..=4 => (BitDepth::Two, 2),
        5..=16 => (BitDepth::Four, 4),
        _ => (BitDepth::Eight, 8),
    };
    let mut encoder = Encoder::new(file, size.width, size.height);
    encoder.set_color(ColorType::Indexed);
    encoder.set_depth(depth);
    encoder.set_palette(colors);
    if !alphas.is_empty() {
        encoder.set_trns(alphas);
    }
    encoder.set_compression(Compression::High);
    // Filters do not help, because neighbouring palette indices are unrelated.
    encoder.set_filter(Filter::NoFilter);
    let mut writer = encoder.write_header().map_err(failed)?;
    writer
        .write_image_data(&packed(&indices, size.width as usize, bits)?)
        .map_err(failed)?;
    writer.finish().map_err(failed)
}

/// Sorts the palette by alpha, so that opaque colours need no entry in the list of alphas.
fn opaque_last(indexed: PaletteImage) -> PaletteImage {
    let mut order: Vec<u8> = (0..=u8::MAX).take(indexed.palette.len()).collect();
    order.sort_by_key(|&index| indexed.palette[usize::from(index)][3]);
    let mut places = [0u8; MOST];
    for (place, &index) in (0..=u8::MAX).zip(&order) {
        places[usize::from(index)] = place;
    }
    PaletteImage {
        palette: order
            .iter()
            .map(|&index| indexed.palette[usize::from(index)])
            .collect(),
        indices: indexed
            .indices
            .into_iter()
            .map(|index| places[usize::from(index)])
            .collect(),
    }
}

/// Packs several indices into each byte, the first one in the highest bits; each row begins with a new byte.
fn packed(indices: &[u8], width: usize, bits: usize) -> Result<Vec<u8>, TransformError> {
    let rows = indices.chunks(width);
    let length = rows.len() * width.div_ceil(8 / bits);
    let bytes = rows.flat_map(|row| {
        row.chunks(8 / bits).map(|group| {
            let shifts = (0..8).step_by(bits).rev();
            group
                .iter()
                .zip(shifts)
                .fold(0, |byte, (index, shift)| byte | (index << shift))
        })
    });
    Ok(buffer::collected(length, bytes)?)
}

#[cfg(test)]
mod tests {
    use crate::options::Quality;

    use super::lossless;
    use super::png;
    use crate::pixels::Size;

    /// Samples as RGBA, the colours of the palette and the bits of an index.
    fn read(bytes: &[u8]) -> (Vec<u8>, usize, u8) {
        let mut decoder = ::png::Decoder::new(std::io::Cursor::new(bytes));
        decoder.set_transformations(::png::Transformations::EXPAND | ::png::Transformations::ALPHA);
        let mut reader = decoder.read_info().expect("a PNG");
        let info = reader.info();
        let colors = info.palette.as_ref().map_or(0, |palette| palette.len() / 3);
        let depth = info.bit_depth as u8;
        let mut samples = vec![0; reader.output_buffer_size().expect("small")];
        reader.next_frame(&mut samples).expect("decodes");
        (samples, colors, depth)
    }

    #[test]
    fn few_colours_are_exact_in_as_few_bits_as_they_need() {
        for (count, bits) in [
            (1, 1),
            (2, 1),
            (3, 2),
            (4, 2),
            (5, 4),
            (16, 4),
            (17, 8),
            (256, 8),
        ] {
            // A width that fills no byte.
            let size = Size::new(37, 11);
            let shade = |index: usize| (index % count).to_le_bytes()[0];
            let rgba: Vec<u8> = (0..size.len())
                .flat_map(|index| {
                    let shade = shade(index);
                    let alpha = if shade.is_multiple_of(3) { 255 } else { shade };
                    [shade, 255 - shade, 9, alpha]
                })
                .collect();
            let bytes = lossless(size, &rgba, 4)
                .expect("encodes")
                .expect("few colours");
            assert_eq!(read(&bytes), (rgba, count, bits), "{count}");
            let rgb: Vec<u8> = (0..size.len())
                .flat_map(|index| [shade(index), 4, 5])
                .collect();
            let bytes = lossless(size, &rgb, 3)
                .expect("encodes")
                .expect("few colours");
            let (shown, ..) = read(&bytes);
            let opaque = shown.chunks(4).zip(rgb.chunks(3));
            assert!(opaque.into_iter().all(|(a, b)| a[..3] == *b && a[3] == 255));
        }
    }

    fn shades() -> Vec<u8> {
        (0..32u8)
            .flat_map(|y| (0..32u8).flat_map(move |x| [x * 8, y * 8, 60]))
            .collect()
    }

    #[test]
    fn quality_decides_the_number_of_colours() {
        let size = Size::new(32, 32);
        let mut last = 0;
        for quality in [1, 30, 60, 85, 99] {
            let quality = Quality::new(quality).expect("in range");
            let bytes = png(size, &shades(), 3, quality)
                .expect("encodes")
                .expect("a palette");
            let (shown, colors, _) = read(&bytes);
            assert!(colors >= last && colors <= 256, "{colors}");
            assert_eq!(shown.len(), 32 * 32 * 4);
            last = colors;
        }
        assert!(last > 200);
        let best = Quality::new(100).expect("in range");
        assert_eq!(png(size, &shades(), 3, best), Ok(None));
        assert_eq!(lossless(size, &shades(), 3), Ok(None));
    }

    #[test]
    fn few_colours_are_exact_at_every_quality() {
        let size = Size::new(20, 10);
        let rgb: Vec<u8> = (0..200u8).flat_map(|shade| [shade, 1, 2]).collect();
        let worst = Quality::new(1).expect("in range");
        let bytes = png(size, &rgb, 3, worst)
            .expect("encodes")
            .expect("a palette");
        let (shown, ..) = read(&bytes);
        assert!(
            shown
                .chunks(4)
                .zip(rgb.chunks(3))
                .all(|(a, b)| a[..3] == *b)
        );
    }
}

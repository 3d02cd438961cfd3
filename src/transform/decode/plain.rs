//! BMP, PNM and QOI by `image`, and ICO, which wraps a BMP or a PNG. They hold samples of sRGB and nothing else: no orientation but
//! the order of their rows, which the decoders see to, and no profile that anybody writes.

use std::io::Cursor;

use image::ImageDecoder;
use image::ImageError;
use image::codecs::bmp::BmpDecoder;
use image::codecs::ico::IcoDecoder;
use image::codecs::pnm::PnmDecoder;
use image::codecs::qoi::QoiDecoder;

use super::super::TransformError;
use super::super::color::ColorSpace;
use super::super::orientation::Orientation;
use super::super::pixels::Size;
use super::super::sniff::Kind;
use super::Decoded;
use super::Header;
use super::copies;
use super::png;
use super::raster;
use super::whole;

/// The decoder of a kind, behind one door.
fn open(source: &[u8], kind: Kind) -> Result<Box<dyn ImageDecoder + '_>, TransformError> {
    let bytes = Cursor::new(source);
    Ok(match kind {
        Kind::Bmp => Box::new(BmpDecoder::new(bytes).map_err(failed)?),
        Kind::Pnm => Box::new(PnmDecoder::new(bytes).map_err(failed)?),
        Kind::Qoi => Box::new(QoiDecoder::new(bytes).map_err(failed)?),
        _ => return Err(TransformError::NotAnImage),
    })
}

/// The header of a BMP, PNM or QOI.
pub(super) fn header(source: &[u8], kind: Kind) -> Result<Header, TransformError> {
    Ok(header_of(&*open(source, kind)?, kind))
}

/// The pixels of a BMP, PNM or QOI.
pub(super) fn decode(source: &[u8], header: &Header) -> Result<Decoded, TransformError> {
    read(open(source, header.kind)?, header)
}

/// The header of an ICO: that of its largest picture.
pub(super) fn ico_header(source: &[u8]) -> Result<Header, TransformError> {
    match largest(source)? {
        Entry::Png(picture) => Ok(Header {
            kind: Kind::Ico,
            ..png::header(picture)?
        }),
        Entry::Bmp(icon) => Ok(header_of(&open_icon(&icon)?, Kind::Ico)),
    }
}

/// The pixels of the largest picture of an ICO.
pub(super) fn ico_decode(source: &[u8], header: &Header) -> Result<Decoded, TransformError> {
    match largest(source)? {
        Entry::Png(picture) => png::decode(picture, header),
        Entry::Bmp(icon) => read(Box::new(open_icon(&icon)?), header),
    }
}

fn header_of(decoder: &dyn ImageDecoder, kind: Kind) -> Header {
    let (width, height) = decoder.dimensions();
    let color = decoder.color_type();
    let pixel_bytes = u64::from(color.bytes_per_pixel());
    Header {
        kind,
        size: Size::new(width, height),
        orientation: Orientation::default(),
        bytes_per_pixel: pixel_bytes * copies(color),
        coefficient_bytes: 0,
        hidden_pixels: 0,
        pixel_bytes,
        alpha: color.has_alpha(),
        is_lossless: false,
        is_scalable: false,
    }
}

fn read(
    mut decoder: Box<dyn ImageDecoder + '_>,
    header: &Header,
) -> Result<Decoded, TransformError> {
    let color = decoder.color_type();
    let (width, height) = decoder.dimensions();
    if Size::new(width, height) != header.size {
        return Err(TransformError::Decode("the size changed".to_owned()));
    }
    let mut limits = image::Limits::no_limits();
    limits.max_alloc = Some(header.size.area() * header.pixel_bytes);
    decoder.set_limits(limits).map_err(failed)?;
    let mut bytes = vec![0; header.size.len() * usize::from(color.bytes_per_pixel())];
    decoder.read_image_boxed(&mut bytes).map_err(failed)?;
    Ok(Decoded {
        raster: raster(header.size, color, bytes)?,
        extent: whole(header.size),
        space: ColorSpace::Srgb,
    })
}

/// One picture of an ICO.
#[derive(Debug)]
enum Entry<'a> {
    /// A whole file.
    Png(&'a [u8]),
    /// An ICO of its own with this picture alone: a BMP lacks its first header and has a mask behind it, which the decoder of
    /// `image` knows, but that one would choose the deepest picture, and only a PNG with alpha.
    Bmp(Vec<u8>),
}

/// The picture with the most pixels, and of equal ones the deepest; the directory gives both, and may lie, which costs quality only.
fn largest(source: &[u8]) -> Result<Entry<'_>, TransformError> {
    const HEAD: usize = 6;
    const ENTRY: usize = 16;
    let damaged = || TransformError::Decode("ICO: the directory is damaged".to_owned());
    let count = source.get(4..HEAD).ok_or_else(damaged)?;
    let count = usize::from(u16::from_le_bytes([count[0], count[1]]));
    let is_cursor = source[2] == 2;
    // A side of 256 or more is written as 0.
    let side = |byte: u8| if byte == 0 { 256 } else { u32::from(byte) };
    let (_, entry, picture) = source[HEAD..]
        .as_chunks::<ENTRY>()
        .0
        .iter()
        .take(count)
        .filter_map(|entry| {
            let word = |at: usize| {
                u32::from_le_bytes([entry[at], entry[at + 1], entry[at + 2], entry[at + 3]])
            };
            let (length, start) = (word(8) as usize, word(12) as usize);
            let picture = source.get(start..start.checked_add(length)?)?;
            // In a cursor these two bytes are the hot spot.
            let depth = if is_cursor { 0 } else { entry[6] };
            (!picture.is_empty()).then_some((
                (side(entry[0]) * side(entry[1]), depth),
                entry,
                picture,
            ))
        })
        .max_by_key(|(rank, _, _)| *rank)
        .ok_or_else(damaged)?;
    if picture.starts_with(b"\x89PNG\r\n\x1a\n") {
        return Ok(Entry::Png(picture));
    }
    let length = u32::try_from(picture.len()).map_err(|_| damaged())?;
    let mut icon = vec![0, 0, 1, 0, 1, 0, entry[0], entry[1], 0, 0, 0, 0, 0, 0];
    icon.extend(length.to_le_bytes());
    icon.extend([22, 0, 0, 0]);
    icon.extend(picture);
    Ok(Entry::Bmp(icon))
}

fn open_icon(icon: &[u8]) -> Result<IcoDecoder<Cursor<&[u8]>>, TransformError> {
    IcoDecoder::new(Cursor::new(icon)).map_err(failed)
}

fn failed(cause: ImageError) -> TransformError {
    TransformError::Decode(cause.to_string())
}

#[cfg(test)]
mod tests {
    use image::ExtendedColorType;
    use image::ImageEncoder;
    use image::codecs::png::PngEncoder;

    use super::super::super::TransformError;
    use super::super::super::pixels::Channels;
    use super::super::super::pixels::Raster;
    use super::super::super::pixels::Samples;
    use super::super::super::pixels::Size;
    use super::super::Wanted;
    use super::super::header;
    use super::super::pixels;

    fn raster(source: &[u8]) -> Result<Raster, TransformError> {
        let wanted = Wanted::WHOLE;
        let header = header(source)?;
        let raster = pixels(source, &header, wanted)?.raster;
        assert_eq!(raster.size, header.size);
        Ok(raster)
    }

    /// Two by two pixels in 24 bits: red, green / blue, white, as the rows are shown.
    fn bmp(height: i32) -> Vec<u8> {
        let mut file = b"BM\x46\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x02\0\0\0".to_vec();
        file.extend(height.to_le_bytes());
        file.extend([1, 0, 24, 0]);
        file.extend([0; 24]);
        let top = [0, 0, 255, 0, 255, 0, 0, 0];
        let bottom = [255, 0, 0, 255, 255, 255, 0, 0];
        let rows = if height < 0 {
            [top, bottom]
        } else {
            [bottom, top]
        };
        file.extend(rows.concat());
        file
    }

    #[test]
    fn rows_of_a_bmp_may_begin_at_either_edge() {
        for height in [2, -2] {
            let raster = raster(&bmp(height)).expect("is whole");
            assert_eq!(raster.channels, Channels::Rgb);
            assert_eq!(
                raster.samples,
                Samples::U8(vec![255, 0, 0, 0, 255, 0, 0, 0, 255, 255, 255, 255])
            );
        }
    }

    #[test]
    fn samples_of_a_pnm_fill_their_range() {
        let rows: [(&[u8], Channels, Samples); 6] = [
            (
                b"P1\n# bits\n3 1\n1 0 1",
                Channels::Gray,
                Samples::U8(vec![0, 255, 0]),
            ),
            (
                b"P2 2 1 15 15 5",
                Channels::Gray,
                Samples::U8(vec![255, 85]),
            ),
            (
                b"P4 8 1\n\x0F",
                Channels::Gray,
                Samples::U8(vec![255, 255, 255, 255, 0, 0, 0, 0]),
            ),
            (
                b"P6\n1 1\n65535\n\x01\x02\xFF\xFF\0\0",
                Channels::Rgb,
                Samples::U16(vec![0x0102, 0xFFFF, 0]),
            ),
            (
                b"P5\n1 1\n1023\n\x03\xFF",
                Channels::Gray,
                Samples::U16(vec![0xFFFF]),
            ),
            (
                b"P7\nWIDTH 1\nHEIGHT 1\nDEPTH 4\nMAXVAL 255\nTUPLTYPE RGB_ALPHA\nENDHDR\n\x01\x02\x03\x04",
                Channels::Rgba,
                Samples::U8(vec![1, 2, 3, 4]),
            ),
        ];
        for (file, channels, samples) in rows {
            let raster = raster(file).unwrap_or_else(|error| panic!("{file:?}: {error}"));
            assert_eq!((raster.channels, raster.samples), (channels, samples));
        }
    }

    #[test]
    fn a_qoi_keeps_its_alpha() {
        let mut file = b"qoif\0\0\0\x02\0\0\0\x01\x04\0".to_vec();
        file.extend([0xFF, 9, 8, 7, 6, 0xC0]);
        file.extend([0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(
            raster(&file).expect("is whole").samples,
            Samples::U8(vec![9, 8, 7, 6, 9, 8, 7, 6])
        );
    }

    fn png(side: u32, color: ExtendedColorType, pixel: &[u8]) -> Vec<u8> {
        let mut file = Vec::new();
        PngEncoder::new(&mut file)
            .write_image(&pixel.repeat((side * side) as usize), side, side, color)
            .expect("writes to memory");
        file
    }

    /// One pixel of 32 bits, which is opaque, with a mask which says that it is not.
    fn masked() -> Vec<u8> {
        let mut dib = vec![40, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 1, 0, 32, 0];
        dib.extend([0; 24]);
        dib.extend([10, 20, 30, 255]);
        dib.extend([0x80, 0, 0, 0]);
        dib
    }

    fn ico(pictures: &[(u8, u8, Vec<u8>)]) -> Vec<u8> {
        let count = u8::try_from(pictures.len()).expect("few");
        let mut file = vec![0, 0, 1, 0, count, 0];
        let mut start = 6 + 16 * pictures.len();
        for (side, depth, picture) in pictures {
            file.extend([*side, *side, 0, 0, 1, 0, *depth, 0]);
            file.extend(u32::try_from(picture.len()).expect("small").to_le_bytes());
            file.extend(u32::try_from(start).expect("small").to_le_bytes());
            start += picture.len();
        }
        for (_, _, picture) in pictures {
            file.extend(picture);
        }
        file
    }

    #[test]
    fn the_largest_picture_of_an_icon_wins_over_the_deepest() {
        let file = ico(&[
            (1, 32, masked()),
            (3, 8, png(3, ExtendedColorType::Rgb8, &[1, 2, 3])),
            (2, 32, png(2, ExtendedColorType::Rgba8, &[4, 5, 6, 7])),
        ]);
        let raster = raster(&file).expect("is whole");
        assert_eq!(raster.size, Size::new(3, 3));
        assert_eq!(raster.channels, Channels::Rgb);
    }

    #[test]
    fn the_mask_of_an_icon_makes_it_transparent() {
        assert_eq!(
            raster(&ico(&[(1, 32, masked())]))
                .expect("is whole")
                .samples,
            Samples::U8(vec![30, 20, 10, 0])
        );
    }

    #[test]
    fn entries_outside_of_the_icon_do_not_count() {
        let mut file = ico(&[(2, 32, masked()), (1, 32, masked())]);
        file[6 + 8] = 0xFF;
        file[6 + 9] = 0xFF;
        assert_eq!(
            raster(&file).expect("one entry is left").size,
            Size::new(1, 1)
        );
    }

    #[test]
    fn sizes_are_known_before_pixels_are_there() {
        let mut wide = bmp(2);
        wide[18..22].copy_from_slice(&i32::MAX.to_le_bytes());
        for (file, size) in [
            (&b"P6 4000000000 2000000000 255\n"[..], None),
            (b"P5 65000 65000 255\n", Some(Size::new(65_000, 65_000))),
            (
                b"qoif\0\0\x4E\x20\0\0\x4E\x20\x03\0",
                Some(Size::new(20_000, 20_000)),
            ),
            (&wide, None),
        ] {
            match header(file) {
                Ok(header) => assert_eq!(Some(header.size), size),
                Err(TransformError::Decode(_)) => assert_eq!(size, None, "{file:?}"),
                Err(other) => panic!("{other}"),
            }
        }
    }

    #[test]
    fn cut_files_are_damaged_and_nothing_worse() {
        for file in [
            bmp(2),
            b"P6\n2 1\n255\n\x01\x02\x03\x04\x05\x06".to_vec(),
            ico(&[(1, 32, masked())]),
            ico(&[(3, 8, png(3, ExtendedColorType::Rgb8, &[1, 2, 3]))]),
        ] {
            for length in 0..file.len() {
                match raster(&file[..length]) {
                    // The last rows of a BMP are not missed by every decoder, nor are the last bytes of a PNG.
                    Ok(_) | Err(TransformError::Decode(_) | TransformError::NotAnImage) => {}
                    Err(other) => panic!("{length}: {other}"),
                }
            }
        }
    }
}

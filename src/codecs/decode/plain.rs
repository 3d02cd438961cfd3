//! BMP, PNM and QOI by `image`. They hold samples in sRGB and nothing else: no orientation but the order of rows, which the decoders
//! handle, and no profile that anybody writes.

use std::io::Cursor;

use image::ImageDecoder;
use image::ImageError;
use image::codecs::bmp::BmpDecoder;
use image::codecs::pnm::PnmDecoder;
use image::codecs::qoi::QoiDecoder;

use crate::codecs::TransformError;
use crate::codecs::decode::image::{DecodedImage, Header, full_extent};
use crate::codecs::decode::samples::{copies, raster};
use crate::codecs::sniff::SourceFormat;
use crate::pixels::color::ColorSpace;
use crate::pixels::orientation::Orientation;
use crate::pixels::{Size, buffer};

/// Opens the decoder of a format.
fn open(source: &[u8], format: SourceFormat) -> Result<Box<dyn ImageDecoder + '_>, TransformError> {
    let bytes = Cursor::new(source);
    Ok(match format {
        SourceFormat::Bmp => Box::new(BmpDecoder::new(bytes).map_err(failed)?),
        SourceFormat::Pnm => Box::new(PnmDecoder::new(bytes).map_err(failed)?),
        SourceFormat::Qoi => Box::new(QoiDecoder::new(bytes).map_err(failed)?),
        _ => return Err(TransformError::NotAnImage),
    })
}

/// The header of a BMP, PNM or QOI.
pub(crate) fn header(source: &[u8], format: SourceFormat) -> Result<Header, TransformError> {
    Ok(header_of(&*open(source, format)?, format))
}

/// The pixels of a BMP, PNM or QOI.
pub(crate) fn decode(source: &[u8], header: &Header) -> Result<DecodedImage, TransformError> {
    read(open(source, header.format)?, header)
}

pub(crate) fn header_of(decoder: &dyn ImageDecoder, format: SourceFormat) -> Header {
    let (width, height) = decoder.dimensions();
    let color = decoder.color_type();
    let pixel_bytes = u64::from(color.bytes_per_pixel());
    Header {
        format,
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

pub(crate) fn read(
    mut decoder: Box<dyn ImageDecoder + '_>,
    header: &Header,
) -> Result<DecodedImage, TransformError> {
    let color = decoder.color_type();
    let (width, height) = decoder.dimensions();
    if Size::new(width, height) != header.size {
        return Err(TransformError::Decode("the size changed".to_owned()));
    }
    let mut limits = image::Limits::no_limits();
    limits.max_alloc = Some(header.size.area() * header.pixel_bytes);
    decoder.set_limits(limits).map_err(failed)?;
    let mut bytes = buffer::zeroed(header.size.len() * usize::from(color.bytes_per_pixel()))?;
    decoder.read_image_boxed(&mut bytes).map_err(failed)?;
    Ok(DecodedImage {
        raster: raster(header.size, color, bytes)?,
        extent: full_extent(header.size),
        space: ColorSpace::Srgb,
    })
}

pub(crate) fn failed(cause: ImageError) -> TransformError {
    TransformError::Decode(cause.to_string())
}

#[cfg(test)]
mod tests {
    use crate::codecs::TransformError;
    use crate::codecs::decode::image::DecodeScale;
    use crate::codecs::decode::{header, pixels};
    use crate::pixels::{Channels, Raster, Samples, Size};

    fn raster(source: &[u8]) -> Result<Raster, TransformError> {
        let scale = DecodeScale::WHOLE;
        let header = header(source)?;
        let raster = pixels(source, &header, scale)?.raster;
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

    #[test]
    fn sizes_are_known_before_decoding() {
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
    fn truncated_files_are_errors_and_never_panic() {
        for file in [bmp(2), b"P6\n2 1\n255\n\x01\x02\x03\x04\x05\x06".to_vec()] {
            for length in 0..file.len() {
                match raster(&file[..length]) {
                    // The last rows of a BMP are not missed by every decoder.
                    Ok(_) | Err(TransformError::Decode(_) | TransformError::NotAnImage) => {}
                    Err(other) => panic!("{length}: {other}"),
                }
            }
        }
    }
}

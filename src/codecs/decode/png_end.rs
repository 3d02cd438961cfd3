//! Adds the `IEND` chunk to a PNG that lacks it: all pixels are there, and browsers show such files.

use std::io;
use std::io::{BufRead, Read, Seek, SeekFrom};

use crate::codecs::metadata;

/// The chunk `IEND`: its length, its name, and the checksum of both.
const END: &[u8] = b"\0\0\0\0IEND\xAE\x42\x60\x82";

/// Reads a PNG, followed by the chunk `IEND` if that is missing.
pub(crate) struct PngReader<'a> {
    /// The signature and the complete chunks.
    chunks: &'a [u8],
    position: usize,
}

impl<'a> PngReader<'a> {
    /// A file that ends inside its pixels is passed on unchanged, and the decoder refuses it.
    pub(super) fn new(source: &'a [u8]) -> Self {
        let whole: usize = metadata::png_chunks(source)
            .map(|(_, _, chunk)| chunk.len())
            .sum();
        let rest = source.get(8 + whole..).unwrap_or_default();
        let is_pixels = rest.get(4..8) == Some(b"IDAT");
        let chunks = match source.get(..8 + whole) {
            Some(chunks) if !is_pixels => chunks,
            _ => source,
        };
        PngReader {
            chunks,
            position: 0,
        }
    }

    fn rest(&self) -> &[u8] {
        match self.chunks.get(self.position..) {
            Some(chunks) if !chunks.is_empty() => chunks,
            _ => END
                .get(self.position - self.chunks.len()..)
                .unwrap_or_default(),
        }
    }
}

impl Read for PngReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.rest().read(buffer)?;
        self.position += length;
        Ok(length)
    }
}

impl BufRead for PngReader<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        Ok(self.rest())
    }

    fn consume(&mut self, length: usize) {
        self.position += length;
    }
}

impl Seek for PngReader<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let length = (self.chunks.len() + END.len()) as u64;
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(offset) => length.checked_add_signed(offset),
            SeekFrom::Current(offset) => (self.position as u64).checked_add_signed(offset),
        };
        let position = position
            .filter(|position| *position <= length)
            .ok_or(io::ErrorKind::InvalidInput)?;
        self.position = usize::try_from(position).map_err(io::Error::other)?;
        Ok(position)
    }
}

#[cfg(test)]
mod tests {
    use crate::codecs::decode::image::DecodeScale;
    use crate::codecs::decode::{header, pixels};

    fn png() -> Vec<u8> {
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, 16, 9);
        encoder.set_color(png::ColorType::Rgb);
        let mut writer = encoder.write_header().expect("writes");
        let samples: Vec<u8> = (0..16 * 9 * 3).map(|at| (at % 251) as u8).collect();
        writer.write_image_data(&samples).expect("writes");
        writer.finish().expect("writes");
        file
    }

    #[test]
    fn a_png_that_lost_its_end_is_whole() {
        let whole = png();
        let decoded = |file: &[u8]| {
            let header = header(file)?;
            pixels(file, &header, DecodeScale::WHOLE).map(|decoded| decoded.raster)
        };
        let right = decoded(&whole).expect("it is whole");
        for lost in 1..=12 {
            let found = decoded(&whole[..whole.len() - lost]).expect("the pixels are there");
            assert_eq!(found, right, "{lost} bytes are lost");
        }
        // Of what goes before, nothing can be missed.
        assert!(decoded(&whole[..whole.len() - 13]).is_err());
        // Data after the end is ignored.
        assert_eq!(
            decoded(&[&whole[..], b"more"].concat()).expect("whole"),
            right
        );
    }
}

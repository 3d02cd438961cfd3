//! A substitute for a scaled decode, if the pixels were decoded at full size: the means of squares.

use crate::pixels::error::PixelError;
use crate::pixels::{Raster, Samples, Size, buffer};

/// A raster that is `factor` times smaller on each axis, rounded up. Encoded values are averaged, as in scaled decodes; at the right and
/// bottom edges over the part of a square that is inside.
pub(crate) fn reduced(source: &Raster, factor: u32) -> Result<Raster, PixelError> {
    let size = Size::new(
        source.size.width.div_ceil(factor),
        source.size.height.div_ceil(factor),
    );
    let channels = source.channels.count();
    let samples = match &source.samples {
        Samples::U8(samples) => {
            Samples::U8(means(samples, source.size, channels, factor, |mean| {
                mean.to_le_bytes()[0]
            })?)
        }
        Samples::U16(samples) => {
            Samples::U16(means(samples, source.size, channels, factor, |mean| {
                let [low, high, ..] = mean.to_le_bytes();
                u16::from_le_bytes([low, high])
            })?)
        }
    };
    Ok(Raster {
        size,
        channels: source.channels,
        samples,
    })
}

fn means<T: Copy + Into<u32>>(
    samples: &[T],
    size: Size,
    channels: usize,
    factor: u32,
    convert: impl Fn(u32) -> T,
) -> Result<Vec<T>, PixelError> {
    match channels {
        1 => means_of::<T, 1>(samples, size, factor, convert),
        2 => means_of::<T, 2>(samples, size, factor, convert),
        3 => means_of::<T, 3>(samples, size, factor, convert),
        _ => means_of::<T, 4>(samples, size, factor, convert),
    }
}

fn means_of<T: Copy + Into<u32>, const CHANNELS: usize>(
    samples: &[T],
    size: Size,
    factor: u32,
    convert: impl Fn(u32) -> T,
) -> Result<Vec<T>, PixelError> {
    let length = size.width as usize * CHANNELS;
    let side = factor as usize;
    let columns = size.width.div_ceil(factor) as usize;
    let rows = size.height.div_ceil(factor) as usize;
    let mut made = buffer::with_room(columns * rows * CHANNELS)?;
    let mut sums = buffer::zeroed(length)?;
    for lines in samples.chunks(length * side) {
        sums.fill(0);
        for line in lines.chunks_exact(length) {
            for (sum, &sample) in sums.iter_mut().zip(line) {
                *sum += sample.into();
            }
        }
        let down = lines.len() / length;
        for square in sums.chunks(CHANNELS * side) {
            let mut whole = [0; CHANNELS];
            for pixel in square.as_chunks::<CHANNELS>().0 {
                for (whole, sum) in whole.iter_mut().zip(pixel) {
                    *whole += sum;
                }
            }
            let count = u32::try_from(down * square.len() / CHANNELS).unwrap_or(u32::MAX);
            made.extend(whole.map(|sum| convert(mean(sum, count))));
        }
    }
    Ok(made)
}

/// The rounded mean. Most squares are complete, and dividing by a power of two is a shift.
fn mean(sum: u32, count: u32) -> u32 {
    if count.is_power_of_two() {
        (sum + count / 2) >> count.trailing_zeros()
    } else {
        (sum + count / 2) / count
    }
}

#[cfg(test)]
mod tests {
    use super::Raster;
    use super::Samples;
    use super::Size;
    use crate::pixels::Channels;

    fn reduced(source: &Raster, factor: u32) -> Raster {
        super::reduced(source, factor).expect("there is memory")
    }

    #[test]
    fn squares_become_their_means_and_edges_of_what_there_is() {
        let source = Raster {
            size: Size::new(3, 3),
            channels: Channels::Gray,
            samples: Samples::U8(vec![0, 4, 9, 0, 4, 10, 40, 41, 80]),
        };
        let made = reduced(&source, 2);
        assert_eq!(made.size, Size::new(2, 2));
        assert_eq!(made.samples, Samples::U8(vec![2, 10, 41, 80]));
        let made = reduced(&source, 8);
        assert_eq!(made.samples, Samples::U8(vec![21]));
    }

    #[test]
    fn channels_stay_separate_at_every_depth() {
        let pixels = [[0, 100, 65_535], [2, 300, 65_535], [4, 500, 65_535]];
        let source = Raster {
            size: Size::new(3, 1),
            channels: Channels::Rgb,
            samples: Samples::U16(pixels.as_flattened().to_vec()),
        };
        assert_eq!(
            reduced(&source, 2).samples,
            Samples::U16(vec![1, 200, 65_535, 4, 500, 65_535])
        );
    }
}

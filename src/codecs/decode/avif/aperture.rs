//! The crop of an AVIF (`clap` property).

use zenavif_parse::CleanAperture;

use crate::codecs::TransformError;
use crate::pixels::{Channels, Raster, Samples, Size, buffer};

/// The corner and size of a clean aperture, if they are whole pixels inside the picture (ISO/IEC 14496-12, 12.1.4.3).
pub(crate) fn clean(aperture: &CleanAperture, coded: Size) -> Option<((u32, u32), Size)> {
    let side = |(n, d): (u32, u32), (offset_n, offset_d): (i32, u32), full: u32| {
        if d == 0 || offset_d == 0 {
            return None;
        }
        let size = f64::from(n) / f64::from(d);
        let start = f64::from(offset_n) / f64::from(offset_d) + (f64::from(full) - size) / 2.0;
        let fits = size >= 1.0
            && size.fract() == 0.0
            && start >= 0.0
            && start.fract() == 0.0
            && start + size <= f64::from(full);
        fits.then(|| (whole_pixels(start), whole_pixels(size)))
    };
    let CleanAperture {
        width_n,
        width_d,
        height_n,
        height_d,
        horiz_off_n,
        horiz_off_d,
        vert_off_n,
        vert_off_d,
    } = *aperture;
    let (left, width) = side((width_n, width_d), (horiz_off_n, horiz_off_d), coded.width)?;
    let (top, height) = side((height_n, height_d), (vert_off_n, vert_off_d), coded.height)?;
    Some(((left, top), Size::new(width, height)))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the caller checked that it is whole and inside a u32"
)]
fn whole_pixels(value: f64) -> u32 {
    value as u32
}

pub(crate) fn cut(
    raster: &Raster,
    (left, top): (u32, u32),
    size: Size,
) -> Result<Raster, TransformError> {
    let samples = match &raster.samples {
        Samples::U8(samples) => Samples::U8(cut_samples(
            samples,
            raster.size,
            raster.channels,
            (left, top),
            size,
        )?),
        Samples::U16(samples) => Samples::U16(cut_samples(
            samples,
            raster.size,
            raster.channels,
            (left, top),
            size,
        )?),
    };
    Ok(Raster {
        size,
        channels: raster.channels,
        samples,
    })
}

fn cut_samples<T: Copy>(
    samples: &[T],
    from: Size,
    channels: Channels,
    (left, top): (u32, u32),
    size: Size,
) -> Result<Vec<T>, TransformError> {
    let count = channels.count();
    let (start, length) = (left as usize * count, size.width as usize * count);
    let rows = samples
        .chunks_exact(from.width as usize * count)
        .skip(top as usize)
        .take(size.height as usize);
    let parts = rows.flat_map(|row| row[start..start + length].iter().copied());
    Ok(buffer::collected(size.len() * count, parts)?)
}

#[cfg(test)]
mod tests {
    use zenavif_parse::CleanAperture;

    use super::clean;
    use crate::pixels::Size;

    fn aperture(width: u32, height: u32, across: i32, down: i32) -> CleanAperture {
        CleanAperture {
            width_n: width,
            width_d: 1,
            height_n: height,
            height_d: 1,
            horiz_off_n: across,
            horiz_off_d: 2,
            vert_off_n: down,
            vert_off_d: 2,
        }
    }

    #[test]
    fn a_clean_aperture_is_placed_by_the_offset_of_its_centre() {
        let coded = Size::new(100, 50);
        assert_eq!(
            clean(&aperture(100, 50, 0, 0), coded),
            Some(((0, 0), coded))
        );
        assert_eq!(
            clean(&aperture(60, 30, 0, 0), coded),
            Some(((20, 10), Size::new(60, 30)))
        );
        assert_eq!(
            clean(&aperture(60, 30, -40, 20), coded),
            Some(((0, 20), Size::new(60, 30)))
        );
    }

    #[test]
    fn an_impossible_aperture_is_ignored() {
        let coded = Size::new(100, 50);
        for (width, height, across, down) in [
            (101, 50, 0, 0),
            (0, 10, 0, 0),
            (60, 30, -42, 0),
            (61, 30, 0, 0),
            (60, 30, 0, i32::MAX),
        ] {
            assert_eq!(clean(&aperture(width, height, across, down), coded), None);
        }
        assert_eq!(
            clean(
                &CleanAperture {
                    width_d: 0,
                    ..aperture(1, 1, 0, 0)
                },
                coded
            ),
            None
        );
    }
}

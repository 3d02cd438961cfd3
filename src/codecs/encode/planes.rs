//! Converts RGB to full-range BT.601 planes (JFIF, section 7), for encoders that take no RGB.

use crate::codecs::TransformError;
use crate::pixels::{Planar, Plane, Size, Subsampling, buffer, of_both};

/// Converts pixels of `channels` samples, of which the first three are red, green and blue.
pub(crate) fn of_rgb(
    size: Size,
    samples: &[u8],
    channels: usize,
    subsampling: Subsampling,
) -> Result<Planar, TransformError> {
    let mut luma = buffer::with_room(size.len())?;
    let mut cb = buffer::with_room(size.len())?;
    let mut cr = buffer::with_room(size.len())?;
    for pixel in samples.chunks_exact(channels) {
        let [red, green, blue] = [pixel[0], pixel[1], pixel[2]].map(i32::from);
        // 16-bit fixed point, rounded.
        luma.push(sample(
            (19_595 * red + 38_470 * green + 7_471 * blue + 32_768) >> 16,
        ));
        cb.push(sample(
            ((-11_059 * red - 21_709 * green + 32_768 * blue + 32_767) >> 16) + 128,
        ));
        cr.push(sample(
            ((32_768 * red - 27_439 * green - 5_329 * blue + 32_767) >> 16) + 128,
        ));
    }
    let chroma = of_both([cb, cr], |samples| {
        let full = Plane { size, samples };
        match subsampling {
            Subsampling::None => Ok(full),
            Subsampling::Both => full.halved(),
        }
    })?;
    Ok(Planar {
        luma: Plane {
            size,
            samples: luma,
        },
        chroma: Some(chroma),
    })
}

/// The alpha channel of RGBA pixels.
#[cfg(feature = "native")]
pub(crate) fn alpha(size: Size, samples: &[u8]) -> Result<Plane, TransformError> {
    let alphas = samples.chunks_exact(4).map(|pixel| pixel[3]);
    let samples = buffer::collected(alphas.len(), alphas)?;
    Ok(Plane { size, samples })
}

#[expect(clippy::cast_sign_loss, reason = "clamped to the range of u8 first")]
fn sample(value: i32) -> u8 {
    value.clamp(0, 255) as u8
}

#[cfg(test)]
mod tests {
    use super::of_rgb;
    use crate::pixels::{Size, Subsampling};

    #[test]
    fn primary_colours_have_their_published_values() {
        for (rgb, [y, b, r]) in [
            ([255, 255, 255], [255, 128, 128]),
            ([0, 0, 0], [0, 128, 128]),
            ([255, 0, 0], [76, 85, 255]),
            ([0, 255, 0], [150, 44, 21]),
            ([0, 0, 255], [29, 255, 107]),
        ] {
            let planar =
                of_rgb(Size::new(1, 1), &rgb, 3, Subsampling::None).expect("there is memory");
            let chroma = planar.chroma.expect("colour");
            let made = [
                planar.luma.samples[0],
                chroma[0].samples[0],
                chroma[1].samples[0],
            ];
            assert!(
                made.iter()
                    .zip([y, b, r])
                    .all(|(made, expected)| made.abs_diff(expected) <= 1),
                "{rgb:?} became {made:?}"
            );
        }
    }
}

//! Decides whether a picture needs full chroma. With 4:2:0, photographs look the same and take 5 to 20 % fewer bytes, but coloured text and
//! drawings blur, and take up to 20 % more bytes at equal visual quality.

use std::ops::Range;

use crate::options::{Format, Quality};

use crate::pixels::{Plane, Size, Subsampling};

/// The chroma of a picture to examine.
#[derive(Clone, Copy)]
pub(crate) enum Chroma<'a> {
    /// The chroma was subsampled already, so no more can be lost.
    Halved,
    /// Cb and Cr at full size.
    Planes(&'a [Plane; 2]),
    /// Pixels with the given number of samples, of which the first three are red, green and blue.
    Pixels(Size, &'a [u8], usize),
}

/// The chroma subsampling of an output: none if the picture has sharp colour edges, and from quality 90 on; of an AVIF also if half of the
/// chroma would lose much. Lossy WebP has only 4:2:0, but its encoder makes up for lost
/// chroma where there is some to lose.
pub(crate) fn subsampling(format: Format, quality: Quality, chroma: Chroma<'_>) -> Subsampling {
    const FULL_CHROMA_FROM: u8 = 90;
    let is_full = match format {
        Format::Webp => !matches!(chroma, Chroma::Halved),
        _ if quality.get() >= FULL_CHROMA_FROM => true,
        _ => {
            let detail = ChromaDetail::of(chroma);
            detail.has_edges() || format == Format::Avif && detail.is_worth_bytes(quality)
        }
    };
    if is_full {
        Subsampling::None
    } else {
        Subsampling::Both
    }
}

/// The number of 2x2 squares that are examined; in larger pictures some rows are skipped.
const SQUARES: usize = 40_000;

/// The distance of a sample from the mean of its square. Above `EDGE`, the square has an edge that would blur visibly; above `TEXTURE`, it
/// is not flat.
const EDGE: i16 = 40;
const TEXTURE: i16 = 8;

/// How much detail the chroma of a picture has.
#[derive(Clone, Copy, Debug, Default)]
struct ChromaDetail {
    /// In pixels.
    area: u64,
    /// The squares that were examined.
    squares: usize,
    /// Squares with an edge.
    edges: usize,
    /// Squares that are not flat; those with an edge included.
    textured: usize,
    /// The sum of the squared distances of samples from the means of their squares.
    deviation: u64,
}

impl ChromaDetail {
    fn of(chroma: Chroma<'_>) -> Self {
        match chroma {
            Chroma::Halved => ChromaDetail::default(),
            Chroma::Planes(planes) => detail(planes[0].size, |rows, [cb, cr]| {
                for (into, plane) in [cb, cr].into_iter().zip(planes) {
                    for (into, &sample) in into.iter_mut().zip(&plane.samples[rows.clone()]) {
                        *into = i16::from(sample);
                    }
                }
            }),
            Chroma::Pixels(size, samples, channels) => detail(size, |rows, [cb, cr]| {
                let pixels =
                    samples[rows.start * channels..rows.end * channels].chunks_exact(channels);
                for ((pixel, cb), cr) in pixels.zip(cb).zip(cr) {
                    let [red, green, blue] = [pixel[0], pixel[1], pixel[2]].map(i32::from);
                    *cb = high(-11_059 * red - 21_709 * green + 32_768 * blue);
                    *cr = high(32_768 * red - 27_439 * green - 5_329 * blue);
                }
            }),
        }
    }

    /// Whether a picture has colour edges that would blur visibly with 4:2:0. Of 35 pictures, those with at least 0.15 % of such squares took
    /// from 2 % more to 21 % fewer bytes with full chroma at equal visual quality, and the others up to 20 % more. Edges matter only in flat
    /// surroundings: in texture and noise nobody sees the blur.
    fn has_edges(self) -> bool {
        let ChromaDetail {
            squares,
            edges,
            textured,
            ..
        } = self;
        edges > 0 && edges * 2_000 >= squares * 3 && edges * 50 >= textured
    }

    /// Whether an AVIF takes fewer bytes with full chroma at equal visual quality, because 4:2:0 loses more than the quantiser would. The
    /// better the quality, the less may be lost; and the smaller a picture, the more of its chroma is fine detail. Of 48 photographs 320 pixels
    /// wide this chooses full chroma for 17 at quality 71, which then take 6 % fewer bytes (1.09 to 0.88 times, with text 0.56), and for 23 at 83:
    /// 12 % fewer (1.12 to 0.65, 0.41). At 800 pixels a star field takes 12 to 23 % fewer, saturated photographs up to 23 %.
    fn is_worth_bytes(self, quality: Quality) -> bool {
        const SMALL: u64 = 200_000;
        let size = if self.area <= SMALL { 1.0 } else { 0.75 };
        let tolerance = size * (9.0 - 0.073 * f64::from(quality.get()));
        self.loss() > tolerance
    }

    /// What halved chroma loses: the root of the mean squared distance of both samples of a pixel, in steps of 8 bits.
    #[expect(clippy::cast_precision_loss, reason = "a ratio of two sums")]
    fn loss(self) -> f64 {
        let pixels = 4 * self.squares.max(1);
        (self.deviation as f64 / pixels as f64).sqrt()
    }
}

/// The whole part of a fixed-point number with 16 bits of fraction.
fn high(fixed: i32) -> i16 {
    (fixed >> 16) as i16
}

/// Examines a picture. `chroma_of` gives Cb and Cr of a range of pixels, which are two rows.
fn detail(size: Size, chroma_of: impl Fn(Range<usize>, &mut [Vec<i16>; 2])) -> ChromaDetail {
    let (width, height) = (size.width as usize, size.height as usize);
    let (columns, rows) = (width / 2, height / 2);
    let step = (columns * rows).div_ceil(SQUARES).max(1);
    let mut detail = ChromaDetail {
        area: size.area(),
        ..ChromaDetail::default()
    };
    let mut chroma = [vec![0; 2 * width], vec![0; 2 * width]];
    let mut farthest = vec![0; columns];
    for y in (0..rows).step_by(step) {
        chroma_of(2 * y * width..2 * (y + 1) * width, &mut chroma);
        farthest.fill(0);
        for plane in &chroma {
            let (upper, lower) = plane.split_at(width);
            let mut deviation = 0_u32;
            let pairs = upper.as_chunks().0.iter().zip(lower.as_chunks().0);
            for (farthest, (&[a, b], &[c, d])) in farthest.iter_mut().zip(pairs) {
                let mean = (a + b + c + d + 2) >> 2;
                for sample in [a, b, c, d] {
                    let far = (sample - mean).abs();
                    *farthest = far.max(*farthest);
                    deviation += u32::from(far.unsigned_abs()).pow(2);
                }
            }
            detail.deviation += u64::from(deviation);
        }
        detail.edges += farthest.iter().filter(|&&far| far > EDGE).count();
        detail.textured += farthest.iter().filter(|&&far| far > TEXTURE).count();
        detail.squares += columns;
    }
    detail
}

#[cfg(test)]
mod tests {
    use super::Chroma;
    use super::ChromaDetail;
    use super::subsampling;
    use crate::options::{Format, Quality};
    use crate::pixels::{Plane, Size, Subsampling};

    const SIZE: Size = Size::new(400, 300);

    fn has_edges(chroma: Chroma<'_>) -> bool {
        ChromaDetail::of(chroma).has_edges()
    }

    fn pixels(color: impl Fn(u32, u32) -> [u8; 3]) -> Vec<u8> {
        (0..SIZE.height)
            .flat_map(|y| (0..SIZE.width).map(move |x| (x, y)))
            .flat_map(|(x, y)| color(x, y))
            .collect()
    }

    /// Strokes one pixel wide, as of letters, in the upper left part.
    fn strokes(x: u32, y: u32) -> bool {
        x < 100 && y < 40 && (x % 7 == 3 || y % 9 == 4)
    }

    fn wants_full_chroma(samples: &[u8]) -> bool {
        has_edges(Chroma::Pixels(SIZE, samples, 3))
    }

    #[test]
    fn coloured_strokes_are_edges() {
        let red = pixels(|x, y| if strokes(x, y) { [208, 0, 0] } else { [255; 3] });
        assert!(wants_full_chroma(&red));
        let gray = pixels(|x, y| if strokes(x, y) { [20; 3] } else { [255; 3] });
        assert!(!wants_full_chroma(&gray));
    }

    #[test]
    fn gradients_and_noise_are_not() {
        let small = |value: u32| u8::try_from(value % 256).expect("below 256");
        let gradient = pixels(|x, y| [small(x / 2), small(y / 2), 128]);
        assert!(!wants_full_chroma(&gradient));
        // Every square is uneven, and a few by much.
        let noise = pixels(|x, y| {
            let random = (x * 7_919 + y * 104_729).wrapping_mul(2_654_435_761) >> 24;
            [small(random), 128, small(255 - random)]
        });
        assert!(!has_edges(Chroma::Pixels(SIZE, &softened(&noise), 3)));
    }

    /// Colours that differ from pixel to pixel by up to a part of the range.
    fn speckles(part: u32) -> Vec<u8> {
        let small = |value: u32| u8::try_from(value).expect("below 256");
        pixels(|x, y| {
            let random = (x * 7_919 + y * 104_729).wrapping_mul(2_654_435_761) >> 24;
            let [red, blue] = [random, 255 - random].map(|value| small(120 + value / part));
            [red, 120, blue]
        })
    }

    #[test]
    fn avif_has_full_chroma_where_half_of_it_would_lose_more_than_the_quality() {
        for (part, format, quality, expected) in [
            (3, Format::Avif, 60, Subsampling::None),
            (3, Format::Jpeg, 60, Subsampling::Both),
            (3, Format::Jpeg, 90, Subsampling::None),
            (12, Format::Avif, 50, Subsampling::Both),
            (12, Format::Avif, 85, Subsampling::None),
            (40, Format::Avif, 85, Subsampling::Both),
            (40, Format::Avif, 90, Subsampling::None),
        ] {
            let samples = speckles(part);
            let quality = Quality::new(quality).expect("in range");
            let found = subsampling(format, quality, Chroma::Pixels(SIZE, &samples, 3));
            assert_eq!(found, expected, "{part} {format} {quality}");
        }
    }

    #[test]
    fn more_chroma_detail_is_worth_bytes_in_larger_pictures() {
        let detail = ChromaDetail {
            squares: 1,
            deviation: 4 * 9,
            ..ChromaDetail::default()
        };
        assert!((detail.loss() - 3.0).abs() < 1e-9);
        let worth = |area| {
            let quality = Quality::new(75).expect("in range");
            ChromaDetail { area, ..detail }.is_worth_bytes(quality)
        };
        assert!(!worth(320 * 213));
        assert!(worth(800 * 533));
    }

    /// The mean of every pixel and grey: noise as a camera makes it.
    fn softened(samples: &[u8]) -> Vec<u8> {
        samples.iter().map(|&sample| 85 + sample / 3).collect()
    }

    #[test]
    fn planes_say_what_pixels_say() {
        let mut cb = Plane::filled(SIZE, 128).expect("there is memory");
        let cr = Plane::filled(SIZE, 128).expect("there is memory");
        assert!(!has_edges(Chroma::Planes(&[cb.clone(), cr.clone()])));
        for (index, sample) in cb.samples.iter_mut().enumerate() {
            let (x, y) = (index % SIZE.width as usize, index / SIZE.width as usize);
            if strokes(
                u32::try_from(x).expect("small"),
                u32::try_from(y).expect("small"),
            ) {
                *sample = 255;
            }
        }
        assert!(has_edges(Chroma::Planes(&[cb, cr])));
        assert!(!has_edges(Chroma::Halved));
    }

    #[test]
    fn pictures_too_small_for_a_square_have_none() {
        for size in [Size::new(1, 1), Size::new(1, 9), Size::new(9, 1)] {
            let samples = vec![255; size.len() * 3];
            assert!(!has_edges(Chroma::Pixels(size, &samples, 3)));
        }
    }
}

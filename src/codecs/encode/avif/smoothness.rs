//! Tells smooth pictures: skies, soft backgrounds and gradients, which large blocks suit.

use crate::pixels::Plane;

/// The side of the squares that are examined.
const SIDE: usize = 32;

/// The mean difference of neighbours below which a square is smooth, in steps of 8 bits.
const SMOOTH: u32 = 1;

/// Whether at least three tenths of a plane are smooth squares.
pub(super) fn is_smooth(plane: &Plane) -> bool {
    let width = plane.size.width as usize;
    let columns = width / SIDE;
    if columns == 0 {
        return false;
    }
    let (mut smooth, mut seen) = (0, 0);
    for rows in plane.samples.chunks_exact(SIDE * width) {
        let mut sums = vec![0; columns];
        add_differences(rows, width, &mut sums);
        smooth += sums.iter().filter(|&&sum| sum < SMOOTH * PAIRS).count();
        seen += columns;
    }
    seen > 0 && smooth * 10 >= seen * 3
}

/// Pairs of neighbours in a square, beside and below each other.
const PAIRS: u32 = 2 * 32 * 31;

/// Adds the differences of neighbours to the sum of each square of a row of squares.
fn add_differences(rows: &[u8], width: usize, sums: &mut [u32]) {
    let mut above: Option<&[u8]> = None;
    for row in rows.chunks_exact(width) {
        for (column, (sum, square)) in sums.iter_mut().zip(row.chunks_exact(SIDE)).enumerate() {
            *sum += distance(&square[1..], &square[..SIDE - 1]);
            if let Some(above) = above {
                *sum += distance(square, &above[column * SIDE..][..SIDE]);
            }
        }
        above = Some(row);
    }
}

fn distance(left: &[u8], right: &[u8]) -> u32 {
    let pairs = left.iter().zip(right);
    pairs
        .map(|(&left, &right)| u32::from(left.abs_diff(right)))
        .sum()
}

#[cfg(test)]
mod tests {
    use super::is_smooth;
    use crate::pixels::{Plane, Size};

    const SIZE: Size = Size::new(320, 200);

    fn plane(sample: impl Fn(u32, u32) -> u32) -> Plane {
        let pixels = (0..SIZE.height).flat_map(|y| (0..SIZE.width).map(move |x| (x, y)));
        let samples = pixels.map(|(x, y)| u8::try_from(sample(x, y)).expect("below 256"));
        Plane {
            size: SIZE,
            samples: samples.collect(),
        }
    }

    fn noise(x: u32, y: u32, amplitude: u32) -> u32 {
        ((x * 7_919 + y * 104_729).wrapping_mul(2_654_435_761) >> 16) % amplitude
    }

    #[test]
    fn gradients_are_smooth_and_grain_is_not() {
        assert!(is_smooth(&plane(|x, y| (x + y) / 4)));
        assert!(is_smooth(&plane(|x, y| (x + y) / 4 + noise(x, y, 2))));
        assert!(!is_smooth(&plane(|x, y| (x + y) / 4 + noise(x, y, 8))));
    }

    #[test]
    fn a_soft_background_is_enough() {
        let behind = |share: u32| {
            move |x: u32, y: u32| {
                let is_detail = x >= SIZE.width * share / 100;
                if is_detail { noise(x, y, 200) } else { x / 4 }
            }
        };
        assert!(is_smooth(&plane(behind(40))));
        assert!(!is_smooth(&plane(behind(20))));
    }

    #[test]
    fn pictures_without_a_square_are_not_smooth() {
        for size in [Size::new(31, 400), Size::new(400, 31), Size::new(1, 1)] {
            let plane = Plane::filled(size, 128).expect("there is memory");
            assert!(!is_smooth(&plane), "{size:?}");
        }
    }
}

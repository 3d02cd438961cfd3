//! Maps a quality to the quantiser of libaom.

use crate::options::Quality;

use crate::codecs::encode::scale;
use crate::codecs::encode::scale::QualityScale;

/// The quantiser of libaom (0 best, 63 worst) that looks like a JPEG of each quality: the same median of SSIMULACRA2 over 15 photographs
/// and 5 drawings, 800 pixels wide (`make bench-calibrate`), within 1.5 points, for speeds up to 6. From 90 on, both have full chroma. At 320
/// pixels it looks 1 point better from 70 on, and 3 points worse up to 60.
const QUANTIZERS: [(u8, f32); 22] = [
    (1, 63.0),
    (15, 53.2),
    (20, 44.9),
    (25, 41.5),
    (30, 38.3),
    (35, 35.4),
    (40, 32.7),
    (45, 31.1),
    (50, 29.7),
    (55, 27.5),
    (60, 26.3),
    (65, 23.2),
    (70, 21.5),
    (75, 19.1),
    (80, 14.4),
    (84, 11.6),
    (88, 8.4),
    (91, 6.2),
    (94, 4.3),
    (96, 3.0),
    (98, 2.0),
    (100, 1.0),
];

/// The same for the speeds from 7 on, which decide less, and so lose more at the same quantiser. Measured from 50 to 85.
const QUICK_QUANTIZERS: [(u8, f32); 14] = [
    (1, 63.0),
    (15, 49.0),
    (25, 37.0),
    (35, 31.0),
    (45, 26.6),
    (50, 24.7),
    (60, 21.5),
    (70, 16.3),
    (75, 14.4),
    (80, 11.8),
    (85, 9.2),
    (91, 6.0),
    (96, 3.0),
    (100, 1.0),
];

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the scales go from 63 to 1"
)]
pub(super) fn quantizer(quality: Quality, is_quick: bool) -> u32 {
    let scale: &QualityScale = if is_quick {
        &QUICK_QUANTIZERS
    } else {
        &QUANTIZERS
    };
    scale::at(scale, quality).round() as u32
}

#[cfg(test)]
mod tests {
    use super::quantizer;
    use crate::options::Quality;

    #[test]
    fn better_quality_means_a_finer_quantizer() {
        let of = |is_quick| {
            let qualities = (1..=100).filter_map(Quality::new);
            qualities
                .map(|quality| quantizer(quality, is_quick))
                .collect::<Vec<u32>>()
        };
        let (settled, quick) = (of(false), of(true));
        for quantizers in [&settled, &quick] {
            assert!(quantizers.is_sorted_by(|better, worse| better >= worse));
        }
        // What decides less needs a finer one.
        assert!(
            settled
                .iter()
                .zip(&quick)
                .all(|(settled, quick)| quick <= settled)
        );
    }
}

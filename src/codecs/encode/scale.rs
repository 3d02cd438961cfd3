//! Maps a quality to the parameter of an encoder that gives the same visual quality as a JPEG of that quality.

use crate::options::Quality;

/// Qualities and encoder parameters, with linear interpolation between rows. The first row is for 1, the last for 100.
pub(crate) type QualityScale = [(u8, f32)];

/// The encoder parameter for a quality.
pub(crate) fn at(scale: &QualityScale, quality: Quality) -> f32 {
    let quality = quality.get();
    let after = scale
        .iter()
        .position(|&(at, _)| at >= quality)
        .unwrap_or(scale.len() - 1);
    let (high, better) = scale[after];
    let (low, worse) = scale[after.saturating_sub(1)];
    match high - low {
        0 => better,
        whole => worse + (better - worse) * f32::from(quality - low) / f32::from(whole),
    }
}

#[cfg(test)]
mod tests {
    use super::at;
    use crate::options::Quality;

    #[test]
    fn between_two_rows_lies_a_straight_line() {
        let scale = [(1, 60.0), (11, 40.0), (100, 0.0)];
        for (quality, expected) in [(1, 60.0), (6, 50.0), (11, 40.0), (100, 0.0)] {
            let quality = Quality::new(quality).expect("in range");
            assert!((at(&scale, quality) - expected).abs() < 1e-4, "{quality}");
        }
    }
}

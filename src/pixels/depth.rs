//! Converts samples to another bit depth.

/// Rounds 16 bits to 8: 65535 / 255 = 257.
#[expect(
    clippy::cast_possible_truncation,
    reason = "65535 + 128 over 257 is at most 255"
)]
pub(crate) const fn to_u8(sample: u16) -> u8 {
    ((sample as u32 + 128) / 257) as u8
}

/// Rounds a number from 0 to 255.
#[inline(always)]
pub(crate) fn rounded(value: f32) -> u8 {
    whole_bits(value)[0]
}

/// Rounds a number from 0 to 65535 and returns its bytes, lowest first. Adding 2^23 removes the fraction and leaves the whole number in the
/// low bits, which is one instruction for many numbers; a cast takes several for each.
#[inline(always)]
fn whole_bits(value: f32) -> [u8; 4] {
    (value + 8_388_608.0).to_bits().to_le_bytes()
}

/// Converts a sample from 0 to 1 to 8 bits.
#[inline(always)]
pub(crate) fn eight_bits(part: f32) -> u8 {
    rounded(part * 255.0)
}

/// Converts a sample from 0 to 1 to 16 bits.
#[inline(always)]
pub(crate) fn sixteen_bits(part: f32) -> u16 {
    let [low, high, ..] = whole_bits(part * 65_535.0);
    u16::from_le_bytes([low, high])
}

#[cfg(test)]
mod tests {
    use super::to_u8;

    #[test]
    fn sixteen_bits_round_to_the_nearest_eight() {
        for (deep, shallow) in [
            (0, 0),
            (128, 0),
            (129, 1),
            (257, 1),
            (65_535, 255),
            (65_406, 254),
            (65_407, 255),
        ] {
            assert_eq!(to_u8(deep), shallow, "{deep}");
        }
        assert!((0..=255u8).all(|value| to_u8(u16::from(value) * 257) == value));
    }
}

//! Reads the bits of a scan, without the zero bytes that are stuffed after bytes of 255 (ITU-T T.81, section F.1.2.3).

/// Reads bits up to the next marker. After that it returns zeros, and counts them.
#[derive(Clone, Copy)]
pub(crate) struct ScanReader<'a> {
    data: &'a [u8],
    /// Offset of the next byte that is not in the buffer.
    at: usize,
    /// The next bits, starting with the highest. Below the `count` valid bits are zeros, or the bits that follow in the data.
    buffer: u64,
    /// Valid bits in the buffer.
    count: u32,
    /// How many of them, at the end, are not from the data.
    missing: u32,
}

impl<'a> ScanReader<'a> {
    pub(super) fn new(data: &'a [u8]) -> Self {
        ScanReader {
            data,
            at: 0,
            buffer: 0,
            count: 0,
            missing: 0,
        }
    }

    /// Makes sure that the buffer has at least 32 bits: a code of 16 and its value.
    #[inline(always)]
    pub(super) fn refill(&mut self) {
        if self.count < 32 {
            self.fill();
        }
    }

    /// Bits in the buffer after `fill`.
    pub(super) const FILLED: u32 = 56;

    /// Makes sure that the buffer has at least `FILLED` bits.
    #[inline(always)]
    pub(super) fn fill(&mut self) {
        let rest = self.data.get(self.at..);
        if let Some(next) = rest.and_then(<[u8]>::first_chunk) {
            let next = u64::from_be_bytes(*next);
            if !has_255(next) {
                // All bytes that fit completely. Bits of the next byte may stand below them, because the same bits will be written there
                // later.
                let bytes = (63 - self.count) / 8;
                self.buffer |= next >> self.count;
                self.at += bytes as usize;
                self.count += bytes * 8;
                return;
            }
        }
        self.refill_by_byte();
    }

    #[cold]
    #[inline(never)]
    fn refill_by_byte(&mut self) {
        while self.count < Self::FILLED {
            let byte = match (self.data.get(self.at), self.data.get(self.at + 1)) {
                (Some(0xFF), Some(0)) => {
                    self.at += 2;
                    0xFF
                }
                (Some(&byte), _) if byte < 0xFF => {
                    self.at += 1;
                    byte
                }
                // A marker, or the end of the data.
                _ => {
                    self.missing += 8;
                    0
                }
            };
            self.buffer |= u64::from(byte) << (Self::FILLED - self.count);
            self.count += 8;
        }
    }

    /// The next `count` bits, from 1 to 32, without consuming them.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "at most 32 bits are left")]
    pub(super) fn peek(&self, count: u32) -> u32 {
        (self.buffer >> (64 - count)) as u32
    }

    /// Consumes the next `count` bits. The caller must not consume more than were refilled.
    #[inline(always)]
    pub(super) fn skip(&mut self, count: u32) {
        self.buffer <<= count;
        self.count = self.count.wrapping_sub(count);
    }

    /// Whether more bits were consumed than the data has.
    pub(super) fn is_overdrawn(&self) -> bool {
        self.missing > self.count
    }

    /// Whether all data up to the end or the next marker is in the buffer, so that what is read may be truncated.
    pub(super) fn is_at_end(&self) -> bool {
        self.missing > 0 || self.data.len() - self.at.min(self.data.len()) < 2
    }

    /// Continues after the restart marker with a number from 0 to 7. Returns false if the marker does not follow within less than a byte.
    pub(super) fn restart(&mut self, number: u8) -> bool {
        let is_at_end = !self.is_overdrawn() && self.count - self.missing < 8;
        match self.data.get(self.at..) {
            Some([0xFF, marker, rest @ ..]) if is_at_end && *marker == 0xD0 + number => {
                *self = ScanReader::new(rest);
                true
            }
            _ => false,
        }
    }
}

/// Whether one of eight bytes is 255, which means stuffing or a marker.
#[inline(always)]
fn has_255(bytes: u64) -> bool {
    const LOWEST: u64 = 0x0101_0101_0101_0101;
    const HIGHEST: u64 = 0x8080_8080_8080_8080;
    let inverted = !bytes;
    // The subtraction borrows only for a byte of zero, which was below 128.
    inverted.wrapping_sub(LOWEST) & bytes & HIGHEST != 0
}

#[cfg(test)]
mod tests {
    use super::ScanReader;
    use super::has_255;

    /// All bits that are there, one after another.
    fn read(data: &[u8], step: u32) -> Vec<u32> {
        let mut bits = ScanReader::new(data);
        std::iter::from_fn(|| {
            bits.refill();
            let next = bits.peek(step);
            bits.skip(step);
            (!bits.is_overdrawn()).then_some(next)
        })
        .collect()
    }

    #[test]
    fn stuffed_zeros_are_left_out_wherever_they_stand() {
        for position in 0..20 {
            let mut stuffed: Vec<u8> = (1..=20).collect();
            let mut plain = stuffed.clone();
            stuffed.splice(position..=position, [0xFF, 0]);
            plain[position] = 0xFF;
            for step in [1, 3, 8, 11, 16] {
                let whole = 160 / step as usize;
                let expected: Vec<u32> = (0..whole)
                    .map(|index| {
                        (0..step as usize).fold(0, |value, bit| {
                            let at = index * step as usize + bit;
                            value << 1 | u32::from(plain[at / 8] >> (7 - at % 8) & 1)
                        })
                    })
                    .collect();
                assert_eq!(read(&stuffed, step), expected, "{position}, by {step}");
            }
        }
    }

    #[test]
    fn a_marker_and_the_end_are_where_bits_end() {
        for end in [&[0xFF, 0xD9][..], &[0xFF], &[], &[0xFF, 0xFF, 0xD9]] {
            let data = [&[1, 2, 3][..], end].concat();
            assert_eq!(read(&data, 8), [1, 2, 3], "{end:?}");
        }
    }

    #[test]
    fn a_restart_is_taken_where_it_is_and_as_it_is_numbered() {
        let data = [0b1010_1111, 0xFF, 0xD3, 0x80];
        let at = |read: u32, number| {
            let mut bits = ScanReader::new(&data);
            bits.refill();
            bits.skip(read);
            let taken = bits.restart(number);
            bits.refill();
            (taken, bits.peek(1))
        };
        assert_eq!(at(4, 3), (true, 1));
        assert_eq!(at(8, 3), (true, 1));
        // Another number, a byte that nobody read, and more than there is.
        assert!(!at(4, 2).0);
        assert!(!at(0, 3).0);
        assert!(!at(9, 3).0);
    }

    #[test]
    fn only_255_is_255() {
        for byte in 0..=255_u8 {
            for place in 0..8 {
                let mut bytes = [0x7F, 0x80, 0xFE, 0, 1, 0xFE, 0x80, 0x7F];
                bytes[place] = byte;
                assert_eq!(
                    has_255(u64::from_be_bytes(bytes)),
                    byte == 255,
                    "{byte} at {place}"
                );
            }
        }
    }
}

//! Huffman decoding with lookup tables that hold a code together with the value that follows it (ITU-T T.81, annexes C and F.2.2).

use crate::codecs::decode::jpeg::baseline::bits::ScanReader;

/// Bits of one lookup. One in a hundred codes of a photograph, with its value, is longer.
const LOOKED_UP: u32 = 10;
/// Lookups between two refills of the bit buffer. A check before each lookup would cost mispredicted branches.
pub(crate) const LOOKS: u32 = 4;
/// Bits of one lookup when values do not matter, and the most bits that one such lookup skips.
const PASSED: u32 = 10;
const LONGEST_STRIDE: u32 = 14;
const _: () = assert!(
    LOOKS * LONGEST_STRIDE <= ScanReader::FILLED,
    "bits for each look"
);
const _: () = assert!(
    LOOKS * LOOKED_UP <= ScanReader::FILLED,
    "bits for each look"
);
/// Length of the longest code.
const LONGEST: u32 = 16;

/// One Huffman table.
pub(crate) struct HuffmanTable {
    /// The symbols in the next bits.
    entries: [LookupEntry; 1 << LOOKED_UP],
    /// How far to skip for the next bits, when values do not matter.
    strides: [Stride; 1 << PASSED],
    /// For each length: the first code that is longer, aligned to `LONGEST` bits; and the index of a symbol minus its code.
    ends: [u32; LONGEST as usize + 1],
    places: [i32; LONGEST as usize + 1],
    symbols: Vec<u8>,
}

/// A decoded code with its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Symbol {
    /// Zero coefficients before this one; `END` and `NO_CODE` lead out of the block.
    pub zeros: usize,
    pub value: i32,
}

/// Zeros of the end-of-block symbol.
pub(crate) const END: usize = 128;
/// Zeros for an invalid code: more than a block has, and fewer than `END`.
pub(crate) const NO_CODE: usize = 64;

/// One symbol, and the following one if it fits as well. From the lowest bit: 7 bits for the length of the code, with its value if that is
/// here; 1 bit that is set if the value is not here; 8 bits of zeros; 16 bits of the value, or of its length in bits. Then for both
/// symbols: 7 bits for their length; 1 bit that is set if there is a second symbol; its 8 bits of zeros; its 16 bits of value.
#[derive(Clone, Copy)]
pub(crate) struct LookupEntry(u64);

/// From the lowest bit: 8 bits for the length of several codes with their values; 8 bits for the number of their coefficients, plus `END`
/// at the end of a block. A length of 0 means that no code fits.
#[derive(Clone, Copy)]
struct Stride(u16);

impl LookupEntry {
    const IN_PARTS: u64 = 0x80;
    /// The code itself is longer than a lookup.
    const LONG: LookupEntry = LookupEntry(Self::IN_PARTS);

    /// The entry for `bits`, which begin with the code of `symbol`.
    fn new(symbol: u8, length: u32, bits: u32) -> LookupEntry {
        let size = u32::from(symbol & 15);
        let zeros = u64::from(zeros(symbol)) << 8;
        if length + size > LOOKED_UP {
            return LookupEntry(u64::from(length | size << 16) | zeros | Self::IN_PARTS);
        }
        let number = bits >> (LOOKED_UP - length - size) & ((1 << size) - 1);
        let value = u64::from(extended(number, size).cast_unsigned() << 16);
        let length = u64::from(length + size);
        LookupEntry(length | zeros | value | length << 32)
    }

    /// Adds the following symbol, if all of it is within the bits.
    fn and(self, next: LookupEntry) -> LookupEntry {
        let length = self.length() + next.length();
        if self.is_in_parts() || next.is_in_parts() || self.zeros() == END || length > LOOKED_UP {
            return self;
        }
        let second = u64::from(length) | 0x80 | (next.0 & 0xFFFF_FF00);
        LookupEntry(self.0 & 0xFFFF_FFFF | second << 32)
    }

    /// Whether the value is not in the entry.
    #[inline(always)]
    pub(super) fn is_in_parts(self) -> bool {
        self.0 & Self::IN_PARTS != 0
    }

    #[inline(always)]
    fn length(self) -> u32 {
        u32::from(self.0.to_le_bytes()[0] & 0x7F)
    }

    #[inline(always)]
    pub(super) fn zeros(self) -> usize {
        usize::from(self.0.to_le_bytes()[1])
    }

    #[inline(always)]
    pub(super) fn value(self) -> i32 {
        let [_, _, low, high, ..] = self.0.to_le_bytes();
        i32::from(i16::from_le_bytes([low, high]))
    }

    /// Length of both symbols, or of the only one.
    #[inline(always)]
    pub(super) fn length_of_both(self) -> u32 {
        u32::from(self.0.to_le_bytes()[4] & 0x7F)
    }

    /// The number of second symbols, 0 or 1.
    #[inline(always)]
    pub(super) fn seconds(self) -> usize {
        usize::from(self.0.to_le_bytes()[4] >> 7)
    }

    /// Zeros before the second symbol; 0 if there is none.
    #[inline(always)]
    pub(super) fn second_zeros(self) -> usize {
        usize::from(self.0.to_le_bytes()[5])
    }

    /// The value of the second symbol; 0 if there is none.
    #[inline(always)]
    pub(super) fn second_value(self) -> i32 {
        let [.., low, high] = self.0.to_le_bytes();
        i32::from(i16::from_le_bytes([low, high]))
    }
}

/// The zeros of an AC symbol. Without a value, only 15 zeros have a meaning; all other symbols end the block, as in libjpeg.
fn zeros(symbol: u8) -> u32 {
    match (symbol >> 4, symbol & 15) {
        (15, _) => 15,
        (_, 0) => 128,
        (zeros, _) => u32::from(zeros),
    }
}

/// A value of `size` bits; values that begin with bit 0 are negative (figure F.12).
#[inline(always)]
fn extended(number: u32, size: u32) -> i32 {
    let half = (1 << size) >> 1;
    let least = if number < half { 1 - (1 << size) } else { 0 };
    number.cast_signed() + least
}

impl HuffmanTable {
    /// The table for the number of codes of each length from 1 on, and their symbols; `None` if they are invalid.
    pub(super) fn new(counts: &[u8; LONGEST as usize], symbols: &[u8]) -> Option<HuffmanTable> {
        let mut entries = [LookupEntry::LONG; 1 << LOOKED_UP];
        let mut ends = [0; LONGEST as usize + 1];
        let mut places = [0; LONGEST as usize + 1];
        let (mut code, mut place) = (0_u32, 0);
        for (length, &count) in (1..=LONGEST).zip(counts) {
            places[length as usize] = i32::try_from(place).ok()? - code.cast_signed();
            for &symbol in symbols.get(place..place + usize::from(count))? {
                if let Some(spare) = LOOKED_UP.checked_sub(length) {
                    for bits in code << spare..(code + 1) << spare {
                        *entries.get_mut(bits as usize)? = LookupEntry::new(symbol, length, bits);
                    }
                }
                code += 1;
            }
            if code > 1 << length {
                return None;
            }
            place += usize::from(count);
            ends[length as usize] = code << (LONGEST - length);
            code <<= 1;
        }
        let strides = std::array::from_fn(|bits| Stride::of(bits, &entries));
        let pair = |bits: usize| {
            let first = entries[bits];
            first.and(entries[bits << first.length() & (entries.len() - 1)])
        };
        Some(HuffmanTable {
            strides,
            entries: std::array::from_fn(pair),
            ends,
            places,
            symbols: symbols.to_vec(),
        })
    }

    /// Whether the table is valid for DC, whose symbols are bit lengths of up to 11 (table F.1).
    pub(super) fn is_for_dc(&self) -> bool {
        self.symbols.iter().all(|&symbol| symbol <= 11)
    }

    /// Looks up the next bits without consuming them.
    #[inline(always)]
    pub(super) fn look(&self, bits: &ScanReader<'_>) -> LookupEntry {
        self.entries[bits.peek(LOOKED_UP) as usize]
    }

    /// Reads the next symbol.
    #[inline(always)]
    pub(super) fn read(&self, bits: &mut ScanReader<'_>) -> Symbol {
        bits.refill();
        self.read_entry(self.look(bits), bits)
    }

    /// Reads the first symbol of an entry.
    #[inline(always)]
    pub(super) fn read_entry(&self, entry: LookupEntry, bits: &mut ScanReader<'_>) -> Symbol {
        if !entry.is_in_parts() {
            bits.skip(entry.length());
            return Symbol {
                zeros: entry.zeros(),
                value: entry.value(),
            };
        }
        let (zeros, size) = match entry.length() {
            0 => self.read_long(bits),
            length => {
                bits.skip(length);
                (entry.zeros(), entry.value().cast_unsigned())
            }
        };
        if size == 0 {
            return Symbol { zeros, value: 0 };
        }
        let number = bits.peek(size);
        bits.skip(size);
        Symbol {
            zeros,
            value: extended(number, size),
        }
    }

    /// The zeros and the value length of a code that is longer than a lookup.
    #[cold]
    #[inline(never)]
    fn read_long(&self, bits: &mut ScanReader<'_>) -> (usize, u32) {
        let next = bits.peek(LONGEST);
        for length in LOOKED_UP + 1..=LONGEST {
            if next < self.ends[length as usize] {
                let code = (next >> (LONGEST - length)).cast_signed();
                let place = usize::try_from(code + self.places[length as usize]);
                if let Some(&symbol) = place.ok().and_then(|place| self.symbols.get(place)) {
                    bits.skip(length);
                    return (zeros(symbol) as usize, u32::from(symbol & 15));
                }
            }
        }
        (NO_CODE, 0)
    }

    /// Skips the rest of a block from a coefficient on. Returns where that ends: at `END` or beyond, at 64, or elsewhere if a code is
    /// invalid.
    #[inline(always)]
    pub(super) fn pass(&self, bits: &mut ScanReader<'_>, from: usize) -> usize {
        let mut at = from;
        while at < 64 {
            bits.fill();
            for _ in 0..LOOKS {
                let Stride(stride) = self.strides[bits.peek(PASSED) as usize];
                let [length, coefficients] = stride.to_le_bytes();
                let coefficients = usize::from(coefficients);
                // If the block might end inside the stride, the codes after its end belong to another block.
                if length == 0 || at + coefficients % END >= 64 {
                    at += self.read(bits).zeros + 1;
                    break;
                }
                bits.skip(u32::from(length));
                at += coefficients;
                if at >= 64 {
                    break;
                }
            }
        }
        at
    }
}

impl Stride {
    /// As many symbols as fit in `bits`; the value of the last one may reach beyond them.
    fn of(bits: usize, entries: &[LookupEntry; 1 << LOOKED_UP]) -> Stride {
        let (mut length, mut coefficients) = (0, 0);
        loop {
            let next = (bits << length) >> (PASSED - LOOKED_UP) & (entries.len() - 1);
            let entry = entries[next];
            let number = if entry.is_in_parts() {
                entry.value().cast_unsigned()
            } else {
                0
            };
            let is_there = entry.length() > 0 && length + entry.length() <= PASSED;
            let is_short = length + entry.length() + number <= LONGEST_STRIDE;
            if !is_there || !is_short || coefficients + entry.zeros() % END >= 63 {
                break;
            }
            length += entry.length() + number;
            if entry.zeros() == END {
                coefficients += END;
                break;
            }
            coefficients += entry.zeros() + 1;
        }
        let byte = |number: usize| u8::try_from(number).unwrap_or(0);
        Stride(u16::from_le_bytes([
            byte(length as usize),
            byte(coefficients),
        ]))
    }
}

#[cfg(test)]
mod tests {
    use super::END;
    use super::HuffmanTable;
    use super::NO_CODE;
    use super::Symbol;
    use crate::codecs::decode::jpeg::baseline::bits::ScanReader;

    /// A table with a code of each length from 1 to 16, the last of which is left out: 0, 10, 110, and so on.
    fn unary(symbols: [u8; 16]) -> HuffmanTable {
        HuffmanTable::new(&[1; 16], &symbols).expect("it is a table")
    }

    /// Bits written as text, with a second before each byte of 255.
    fn packed(text: &str) -> Vec<u8> {
        let bits: Vec<u8> = text.bytes().filter(|bit| b"01".contains(bit)).collect();
        let bytes = bits.chunks(8).map(|byte| {
            let bit = |at| u8::from(byte.get(at).is_some_and(|&bit| bit == b'1'));
            (0..8).fold(0, |value, at| value << 1 | bit(at))
        });
        bytes
            .flat_map(|byte| {
                if byte == 255 {
                    vec![255, 0]
                } else {
                    vec![byte]
                }
            })
            .collect()
    }

    #[test]
    fn codes_of_every_length_are_found_with_their_numbers() {
        // Zeros and size in one byte; 0 ends the block, 0xF0 is sixteen zeros.
        let symbols = [
            0x01, 0x00, 0x02, 0x11, 0xF0, 0x05, 0x23, 0x0A, 0x31, 0x41, 0x51, 0x61, 0x71, 0x81,
            0x91, 0x0F,
        ];
        let table = unary(symbols);
        let number = |bits: &str| match i32::from_str_radix(bits, 2) {
            Ok(value) if bits.starts_with('0') => value - (1 << bits.len()) + 1,
            Ok(value) => value,
            Err(_) => 0,
        };
        for (length, symbol) in (1..).zip(symbols) {
            let code = format!("{}0", "1".repeat(length - 1));
            let size = usize::from(symbol & 15);
            for bits in ["000000000000000", "111111111111111", "010011000111010"] {
                let bits = &bits[..size];
                let data = packed(&format!("{code} {bits} 1010101010101010"));
                let mut stream = ScanReader::new(&data);
                let zeros = match symbol {
                    0 => END,
                    other => usize::from(other >> 4),
                };
                let value = number(bits);
                assert_eq!(
                    table.read(&mut stream),
                    Symbol { zeros, value },
                    "{code} {bits}"
                );
                stream.refill();
                assert_eq!(stream.peek(8), 0b1010_1010, "what follows {code} {bits}");
            }
        }
    }

    #[test]
    fn invalid_codes_are_detected() {
        let table = unary([1; 16]);
        let data = packed("1111111111111111");
        assert_eq!(table.read(&mut ScanReader::new(&data)).zeros, NO_CODE);
    }

    #[test]
    fn skipping_consumes_the_same_bits_as_reading() {
        let table = unary([
            0x01, 0x00, 0x02, 0x11, 0xF0, 0x05, 0x23, 0x0A, 0x31, 0x41, 0x51, 0x61, 0x71, 0x81,
            0x91, 0x0F,
        ]);
        let mut random = 1_u32;
        for _ in 0..2000 {
            let data: Vec<u8> = (0..90)
                .map(|_| {
                    random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    // Now and then a byte with many codes in it.
                    if random & 3 << 20 == 0 {
                        0
                    } else {
                        (random >> 24 & 0x7F).to_le_bytes()[0]
                    }
                })
                .collect();
            let (mut read, mut passed) = (ScanReader::new(&data), ScanReader::new(&data));
            for from in [1, 5, 25, 60, 63] {
                let mut at = from;
                while at < 64 {
                    at += table.read(&mut read).zeros + 1;
                }
                let to = table.pass(&mut passed, from);
                // The symbol of an end counts as one coefficient, or as none.
                assert!(to == at || (to >= END && at >= END), "{to} {at}");
                read.refill();
                passed.refill();
                assert_eq!(read.peek(32), passed.peek(32), "from {from}");
            }
        }
    }

    #[test]
    fn invalid_tables_are_refused() {
        let mut counts = [0; 16];
        counts[0] = 3;
        assert!(
            HuffmanTable::new(&counts, &[1, 2, 3]).is_none(),
            "three codes of one bit"
        );
        counts[0] = 2;
        assert!(
            HuffmanTable::new(&counts, &[1]).is_none(),
            "a symbol is missing"
        );
        assert!(HuffmanTable::new(&counts, &[1, 2]).is_some_and(|table| table.is_for_dc()));
        assert!(HuffmanTable::new(&counts, &[1, 12]).is_some_and(|table| !table.is_for_dc()));
        assert!(
            HuffmanTable::new(&[255; 16], &[0; 4080]).is_none(),
            "more than there are"
        );
    }
}

//! The changes that are made to the bytes of a file.

use super::seeds::Seed;

/// A random generator that gives the same choices for the same seed (xorshift64, Marsaglia 2003).
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        // Similar seeds must give different sequences, and the state must not be zero.
        Dice(seed.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % sides.max(1) as u64).expect("fewer than the sides")
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.roll(256)).expect("below 256")
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.roll(choices.len())]
    }
}

/// One of the files with one to thirty changes.
pub fn changed(files: &[Seed], dice: &mut Dice) -> Seed {
    let at = dice.roll(files.len());
    let seed = &files[at];
    let mut bytes = seed.bytes.clone();
    for _ in 0..dice.one_of(&[1, 1, 1, 2, 3, 8, 30]) {
        change(&mut bytes, dice);
    }
    match dice.roll(20) {
        0 | 1 => bytes.truncate(dice.roll(bytes.len()) + 1),
        2 => spliced(&mut bytes, files, seed, dice),
        3 => repeated(&mut bytes, dice),
        4 => removed(&mut bytes, dice),
        _ => {}
    }
    Seed {
        name: seed.name.clone(),
        bytes,
    }
}

/// A random place in a file. Places near the beginning are more likely, because headers matter most.
fn place(length: usize, dice: &mut Dice) -> usize {
    let reach = dice.one_of(&[32, 200, 800, usize::MAX]);
    dice.roll(length.min(reach))
}

/// Changes a bit, a byte, or a number that may be a length.
fn change(bytes: &mut [u8], dice: &mut Dice) {
    if bytes.is_empty() {
        return;
    }
    let at = place(bytes.len(), dice);
    match dice.roll(10) {
        0..=3 => bytes[at] ^= 1 << dice.roll(8),
        4 | 5 => bytes[at] = dice.byte(),
        6 => bytes[at] = dice.one_of(&[0, 1, 0x7F, 0x80, 0xFF]),
        7 => bytes[at] = bytes[at].wrapping_add(dice.one_of(&[1, 2, 0xFE, 0xFF])),
        _ => lengthened(bytes, at, dice),
    }
}

/// Changes a number of two or four bytes.
fn lengthened(bytes: &mut [u8], at: usize, dice: &mut Dice) {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let value = dice.one_of(&[
        0,
        1,
        2,
        0x7FFF,
        0x8000,
        0xFFFF,
        0x0100_0000,
        0x7FFF_FFFF,
        0x8000_0000,
        u32::MAX,
        length,
        length.wrapping_sub(1),
        length + 8,
    ]);
    let (big, little) = (value.to_be_bytes(), value.to_le_bytes());
    let number = dice.one_of(&[&big[..], &little, &big[2..], &little[..2]]);
    let end = bytes.len().min(at + number.len());
    bytes[at..end].copy_from_slice(&number[..end - at]);
}

/// Replaces the end by that of another file of the same kind.
fn spliced(bytes: &mut Vec<u8>, files: &[Seed], seed: &Seed, dice: &mut Dice) {
    let alike: Vec<&Seed> = files
        .iter()
        .filter(|file| file.kind() == seed.kind())
        .collect();
    let other = &alike[dice.roll(alike.len())].bytes;
    bytes.truncate(dice.roll(bytes.len()));
    bytes.extend_from_slice(&other[dice.roll(other.len())..]);
}

/// Repeats a part up to three times.
fn repeated(bytes: &mut Vec<u8>, dice: &mut Dice) {
    let at = dice.roll(bytes.len());
    let end = bytes.len().min(at + dice.roll(200));
    let part = bytes[at..end].repeat(dice.roll(3) + 1);
    bytes.splice(at..at, part);
}

/// Removes a part.
fn removed(bytes: &mut Vec<u8>, dice: &mut Dice) {
    let at = dice.roll(bytes.len());
    let end = bytes.len().min(at + dice.roll(60));
    bytes.drain(at..end);
}

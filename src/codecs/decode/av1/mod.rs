//! Parses AV1 data before the decoder sees it (AV1 specification, sections 5.3, 5.5 and 5.9): which units make the first picture, how many
//! frames must be decoded for it, and its colour description.
//!
//! The decoder must not get anything else. It would decode every frame before the first one that is shown, however many there are. It also
//! calls itself through C functions, so a panic inside ends the process, and an ITU-T T.35 message of three bytes causes one. So all units
//! that make no pixels are removed.

use crate::codecs::TransformError;
use crate::pixels::buffer;

/// OBU types (AV1 specification, section 6.2.2). The decoder needs no others: metadata, padding and tile lists are removed.
const SEQUENCE_HEADER: u8 = 1;
const TEMPORAL_DELIMITER: u8 = 2;
const FRAME_HEADER: u8 = 3;
const TILE_GROUP: u8 = 4;
const FRAME: u8 = 6;

/// The number of frames that may be decoded for one picture. An item, and the first sample of a sequence, is one temporal unit whose first
/// frame is shown (AV1 Image File Format, section 2.1; AV1 in ISOBMFF, section 2.4), so one frame is enough for most files. Spatial layers
/// are shown one by one, and there are at most four. Files with a hidden frame that another frame shows are accepted within the same
/// number.
pub(crate) const FRAMES: u32 = 4;
/// OBUs of one item: four frames of 4096 tiles, each in its own tile group, and as many metadata OBUs, are fewer.
const UNITS: usize = 40_000;

/// The OBUs that make the first picture of AV1 data.
#[derive(Debug)]
pub(crate) struct FirstPicture<'a> {
    units: Vec<&'a [u8]>,
    /// Frames that are decoded for the picture, from 1 to `FRAMES`.
    pub frames: u32,
    pub color: ColorDescription,
}

/// Code points of ITU-T H.273 as the data has them, reserved ones included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ColorDescription {
    pub primaries: u8,
    pub transfer: u8,
    pub matrix: u8,
}

impl ColorDescription {
    const UNSPECIFIED: ColorDescription = ColorDescription {
        primaries: 2,
        transfer: 2,
        matrix: 2,
    };
}

impl<'a> FirstPicture<'a> {
    /// # Errors
    ///
    /// `Decode` if the data is damaged before the first picture is complete, or has more frames than a picture needs.
    pub(super) fn of(data: &'a [u8]) -> Result<Self, TransformError> {
        let mut sequence: Option<(&[u8], SequenceHeader)> = None;
        let (mut units, mut frames, mut is_shown, mut is_whole) = (Vec::new(), 0, false, false);
        let mut rest = data;
        for count in 0.. {
            if count == UNITS {
                return Err(broken("too many parts before the first picture"));
            }
            let Some(unit) = Obu::next(&mut rest) else {
                break;
            };
            let known = sequence.as_ref().map(|(_, sequence)| sequence);
            if known.is_some_and(|sequence| !sequence.includes(&unit)) {
                continue;
            }
            match (unit.kind, known) {
                // The picture is complete: the rest is not needed.
                (SEQUENCE_HEADER | TEMPORAL_DELIMITER, _) if is_shown => break,
                (FRAME | FRAME_HEADER, _) if is_whole => break,
                (SEQUENCE_HEADER, _) => match sequence {
                    Some((first, _)) if first == unit.payload => continue,
                    Some(_) => return Err(broken("two sequences in one picture")),
                    None => {
                        let header = SequenceHeader::of(unit.payload)
                            .ok_or_else(|| broken("a damaged sequence header"))?;
                        sequence = Some((unit.payload, header));
                    }
                },
                (TEMPORAL_DELIMITER, _) => {}
                (FRAME | FRAME_HEADER, Some(sequence)) => {
                    let frame = FrameHeader::of(unit.payload, sequence)
                        .ok_or_else(|| broken("a damaged frame header"))?;
                    // An item must be decodable by itself. Only layers above the first may refer to those below.
                    if !frame.is_intra && (sequence.layers == 1 || frames == 0) {
                        return Err(broken("a picture that is made of other pictures"));
                    }
                    frames += 1;
                    if frames > FRAMES {
                        return Err(broken(&format!(
                            "more than {FRAMES} frames before the first picture"
                        )));
                    }
                    is_shown |= frame.is_shown;
                    is_whole = frame.is_shown && unit.layer + 1 >= sequence.layers;
                }
                (TILE_GROUP, Some(_)) => {}
                (FRAME | FRAME_HEADER | TILE_GROUP, None) => {
                    return Err(broken("a frame before the sequence header"));
                }
                _ => continue,
            }
            units.push(unit.bytes);
        }
        match sequence {
            Some((_, sequence)) if is_shown => Ok(FirstPicture {
                units,
                frames,
                color: sequence.color,
            }),
            _ => Err(broken("no frame that is shown")),
        }
    }

    /// The bytes for the decoder.
    pub(super) fn bytes(&self) -> Result<Vec<u8>, TransformError> {
        let length = self.units.iter().map(|unit| unit.len()).sum();
        let mut bytes = buffer::with_room(length)?;
        self.units
            .iter()
            .for_each(|unit| bytes.extend_from_slice(unit));
        Ok(bytes)
    }
}

/// An open bitstream unit (OBU).
struct Obu<'a> {
    kind: u8,
    /// Whether its header has an extension with layer numbers.
    is_layered: bool,
    temporal: u8,
    /// Its spatial layer, from 0.
    layer: u8,
    payload: &'a [u8],
    /// The whole unit, header included.
    bytes: &'a [u8],
}

impl<'a> Obu<'a> {
    /// Takes the next unit; `None` at the end of the data, or where the data is no unit.
    fn next(rest: &mut &'a [u8]) -> Option<Self> {
        let data = *rest;
        let (&head, mut after) = data.split_first()?;
        let is_layered = head & 4 != 0;
        let mut layers = 0;
        if is_layered {
            let (&extension, behind) = after.split_first()?;
            (layers, after) = (extension, behind);
        }
        let length = if head & 2 != 0 {
            usize::try_from(leb128(&mut after)?).ok()?
        } else {
            after.len()
        };
        let (payload, behind) = after.split_at_checked(length)?;
        *rest = behind;
        Some(Obu {
            kind: head >> 3 & 0xF,
            is_layered,
            temporal: layers >> 5,
            layer: layers >> 3 & 3,
            payload,
            bytes: &data[..data.len() - behind.len()],
        })
    }
}

/// A LEB128 number of at most 32 bits (AV1 specification, section 4.10.5).
fn leb128(rest: &mut &[u8]) -> Option<u32> {
    let mut value = 0_u64;
    for index in 0..8 {
        let (&byte, behind) = rest.split_first()?;
        *rest = behind;
        value |= u64::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            return u32::try_from(value).ok();
        }
    }
    None
}

/// The fields of a sequence header that are needed here.
struct SequenceHeader {
    is_reduced: bool,
    /// The layers of the first operating point, one bit each: 8 temporal ones, above them 4 spatial ones. 0 means all layers.
    operating_point: u32,
    /// The number of its spatial layers.
    layers: u8,
    color: ColorDescription,
}

impl SequenceHeader {
    /// Parses a sequence header (AV1 specification, section 5.5).
    fn of(payload: &[u8]) -> Option<Self> {
        let bits = &mut BitReader::of(payload);
        let profile = bits.number(3)?;
        bits.skip(1);
        let is_reduced = bits.flag()?;
        let mut operating_point = 0;
        if is_reduced {
            bits.skip(5);
        } else {
            operating_point = operating_points(bits)?;
        }
        let (width, height) = (bits.number(4)? + 1, bits.number(4)? + 1);
        bits.skip(width + height);
        if !is_reduced && bits.flag()? {
            bits.skip(7);
        }
        bits.skip(3);
        if !is_reduced {
            tools(bits)?;
        }
        bits.skip(3);
        let color = color(bits, profile)?;
        let layers = (operating_point >> 8 & 0xF_u32)
            .checked_ilog2()
            .map_or(1, |highest| highest + 1);
        Some(SequenceHeader {
            is_reduced,
            operating_point,
            layers: u8::try_from(layers).ok()?,
            color,
        })
    }

    /// Whether a unit belongs to the first operating point, which is the one that is decoded (AV1 specification, section 5.3.1).
    fn includes(&self, unit: &Obu<'_>) -> bool {
        matches!(unit.kind, SEQUENCE_HEADER | TEMPORAL_DELIMITER)
            || !unit.is_layered
            || self.operating_point == 0
            || (self.operating_point >> unit.temporal & 1 == 1
                && self.operating_point >> (8 + unit.layer) & 1 == 1)
    }
}

/// Parses timing information and operating points, and returns the layers of the first one.
fn operating_points(bits: &mut BitReader<'_>) -> Option<u32> {
    let mut delay_length = None;
    if bits.flag()? {
        bits.skip(64);
        if bits.flag()? {
            bits.skip_uvlc()?;
        }
        if bits.flag()? {
            delay_length = Some(bits.number(5)? + 1);
            bits.skip(42);
        }
    }
    let has_display_delay = bits.flag()?;
    let mut first = None;
    for _ in 0..=bits.number(5)? {
        let layers = bits.number(12)?;
        first.get_or_insert(layers);
        if bits.number(5)? > 7 {
            bits.skip(1);
        }
        if let Some(length) = delay_length
            && bits.flag()?
        {
            bits.skip(2 * length + 1);
        }
        if has_display_delay && bits.flag()? {
            bits.skip(4);
        }
    }
    first
}

/// Skips the coding tool flags, which only a full header has.
fn tools(bits: &mut BitReader<'_>) -> Option<()> {
    bits.skip(4);
    let has_order_hint = bits.flag()?;
    if has_order_hint {
        bits.skip(2);
    }
    // "Chosen for each frame" is one bit, any other choice is two.
    let has_screen_content = bits.flag()? || bits.flag()?;
    if has_screen_content && !bits.flag()? {
        bits.skip(1);
    }
    if has_order_hint {
        bits.skip(3);
    }
    Some(())
}

/// Parses the beginning of the colour configuration (AV1 specification, section 5.5.2).
fn color(bits: &mut BitReader<'_>, profile: u32) -> Option<ColorDescription> {
    const PROFESSIONAL: u32 = 2;
    const HIGH: u32 = 1;
    if bits.flag()? && profile == PROFESSIONAL {
        bits.skip(1);
    }
    if profile != HIGH {
        bits.skip(1);
    }
    if !bits.flag()? {
        return Some(ColorDescription::UNSPECIFIED);
    }
    let mut point = || u8::try_from(bits.number(8)?).ok();
    Some(ColorDescription {
        primaries: point()?,
        transfer: point()?,
        matrix: point()?,
    })
}

/// The fields of a frame header that are needed here (AV1 specification, section 5.9.2).
struct FrameHeader {
    /// Whether the frame is shown, or causes another frame to be shown.
    is_shown: bool,
    /// Whether the frame is decoded without references to others, or repeats one that was decoded before.
    is_intra: bool,
}

impl FrameHeader {
    fn of(payload: &[u8], sequence: &SequenceHeader) -> Option<Self> {
        const KEY: u32 = 0;
        const INTRA_ONLY: u32 = 2;
        let bits = &mut BitReader::of(payload);
        if sequence.is_reduced || bits.flag()? {
            return Some(FrameHeader {
                is_shown: true,
                is_intra: true,
            });
        }
        let kind = bits.number(2)?;
        Some(FrameHeader {
            is_intra: matches!(kind, KEY | INTRA_ONLY),
            is_shown: bits.flag()?,
        })
    }
}

/// Reads bits, the highest of each byte first.
struct BitReader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> BitReader<'a> {
    fn of(bytes: &'a [u8]) -> Self {
        BitReader { bytes, at: 0 }
    }

    fn flag(&mut self) -> Option<bool> {
        Some(self.number(1)? == 1)
    }

    /// Reads a number of at most 32 bits.
    fn number(&mut self, count: u32) -> Option<u32> {
        let mut number = 0;
        for _ in 0..count {
            let byte = self.bytes.get(self.at / 8)?;
            number = number << 1 | u32::from(byte >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        Some(number)
    }

    /// Skips bits, also beyond the end.
    fn skip(&mut self, count: u32) {
        self.at += count as usize;
    }

    /// Skips a number of variable length (AV1 specification, section 4.10.3).
    fn skip_uvlc(&mut self) -> Option<()> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
        }
        self.skip(zeros);
        Some(())
    }
}

fn broken(what: &str) -> TransformError {
    TransformError::Decode(format!("AVIF: {what}"))
}

// The tests parse what libaom writes.
#[cfg(all(test, feature = "native"))]
mod tests;

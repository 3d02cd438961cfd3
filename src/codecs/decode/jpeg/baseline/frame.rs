//! Parses what precedes the bits of a scan: the size of the picture, its components, and their tables (ITU-T T.81, annex B).

use crate::codecs::metadata;
use crate::codecs::metadata::JpegSegment;
use crate::pixels::Size;

/// The header of a common picture: samples of 8 bits, Huffman coding, all components in one scan, grey or YCbCr, and one or two luma
/// samples for each chroma sample on each axis.
pub(crate) struct BaselineFrame<'a> {
    pub size: Size,
    /// Luma, then Cb and Cr unless the picture is grey.
    pub components: Vec<ComponentParameters<'a>>,
    /// MCUs between restart markers; 0 if there are none.
    pub restart_interval: u32,
    /// The data of the scan and all that follows it.
    pub scan: &'a [u8],
}

/// The parameters of a component.
pub(crate) struct ComponentParameters<'a> {
    /// Blocks of one MCU.
    pub across: usize,
    pub down: usize,
    /// Quantisation steps in the order in which coefficients are coded.
    pub steps: [u16; 64],
    pub dc: HuffmanSpec<'a>,
    pub ac: HuffmanSpec<'a>,
}

/// The number of codes of each length, and their symbols.
pub(crate) type HuffmanSpec<'a> = (&'a [u8; 16], &'a [u8]);

const COLORS: usize = 3;

/// The contents of the segments before a scan.
#[derive(Default)]
pub(crate) struct MarkerSegments<'a> {
    /// Size; and identifier, sampling and quantisation table of each component.
    frame: Option<(Size, &'a [[u8; 3]])>,
    steps: [Option<[u16; 64]>; 4],
    pub dc: [Option<HuffmanSpec<'a>>; 4],
    pub ac: [Option<HuffmanSpec<'a>>; 4],
    restart_interval: u32,
    is_jfif: bool,
    /// The colour transform in the marker of Adobe.
    transform: Option<u8>,
}

impl<'a> BaselineFrame<'a> {
    /// Parses the header of a file; `None` if it is of another kind, or unusual in any way.
    pub(super) fn of(source: &'a [u8]) -> Option<BaselineFrame<'a>> {
        let mut said = MarkerSegments::default();
        for JpegSegment {
            marker,
            content,
            after,
        } in metadata::jpeg_segments(source)
        {
            match marker {
                0xC0 | 0xC1 if said.frame.is_none() => said.frame = Some(frame(content)?),
                0xC4 => said.read_codes(content)?,
                0xDB => said.read_steps(content)?,
                0xDD => {
                    let interval = content.try_into().ok()?;
                    said.restart_interval = u32::from(u16::from_be_bytes(interval));
                }
                0xE0 => said.is_jfif |= content.starts_with(b"JFIF\0"),
                0xEE if content.starts_with(b"Adobe") => {
                    said.transform = content.get(11).copied();
                }
                0xDA => return said.frame(content, after),
                0xE1..=0xEF | 0xFE => {}
                _ => return None,
            }
        }
        None
    }
}

impl<'a> MarkerSegments<'a> {
    pub(super) fn read_codes(&mut self, mut content: &'a [u8]) -> Option<()> {
        while let Some((&kind, rest)) = content.split_first() {
            let (counts, rest) = rest.split_first_chunk()?;
            let count = counts.iter().map(|&count: &u8| usize::from(count)).sum();
            let (symbols, rest) = rest.split_at_checked(count)?;
            let tables = match kind >> 4 {
                0 => &mut self.dc,
                1 => &mut self.ac,
                _ => return None,
            };
            *tables.get_mut(usize::from(kind & 15))? = Some((counts, symbols));
            content = rest;
        }
        Some(())
    }

    fn read_steps(&mut self, mut content: &[u8]) -> Option<()> {
        while let Some((&kind, rest)) = content.split_first() {
            let table = self.steps.get_mut(usize::from(kind & 15))?;
            let (steps, rest) = match kind >> 4 {
                0 => {
                    let (steps, rest) = rest.split_first_chunk::<64>()?;
                    (steps.map(u16::from), rest)
                }
                1 => {
                    let (steps, rest) = rest.split_first_chunk::<128>()?;
                    let pair = |at: usize| u16::from_be_bytes([steps[2 * at], steps[2 * at + 1]]);
                    (std::array::from_fn(pair), rest)
                }
                _ => return None,
            };
            *table = Some(steps);
            content = rest;
        }
        Some(())
    }

    /// Combines the frame header with the scan header `head` and the data that follows it.
    fn frame(&self, head: &[u8], scan: &'a [u8]) -> Option<BaselineFrame<'a>> {
        let (size, components) = self.frame?;
        if components.len() == COLORS && self.is_rgb(components) {
            return None;
        }
        let (&count, head) = head.split_first()?;
        let (scanned, range) = head.split_at_checked(2 * usize::from(count))?;
        // All coefficients in one scan.
        if range != [0, 63, 0] || usize::from(count) != components.len() {
            return None;
        }
        let pairs = components.iter().zip(scanned.as_chunks::<2>().0);
        let components = pairs
            .enumerate()
            .map(
                |(index, (&[identifier, sampling, steps], &[scanned, codes]))| {
                    let sampling = [sampling >> 4, sampling & 15].map(usize::from);
                    let [across, down] = match (components.len(), index) {
                        // In a scan of one component, an MCU is one block, whatever the sampling is.
                        (1, _) => [1, 1],
                        (_, 0) if sampling.iter().all(|side| (1..=2).contains(side)) => sampling,
                        (_, 1..) if sampling == [1, 1] => sampling,
                        _ => return None,
                    };
                    (scanned == identifier).then_some(())?;
                    Some(ComponentParameters {
                        across,
                        down,
                        steps: (*self.steps.get(usize::from(steps))?)?,
                        dc: (*self.dc.get(usize::from(codes >> 4))?)?,
                        ac: (*self.ac.get(usize::from(codes & 15))?)?,
                    })
                },
            )
            .collect::<Option<_>>()?;
        Some(BaselineFrame {
            size,
            components,
            restart_interval: self.restart_interval,
            scan,
        })
    }

    /// Whether the components are RGB, by the rules of libjpeg.
    fn is_rgb(&self, components: &[[u8; 3]]) -> bool {
        let are_named = components.iter().map(|component| component[0]).eq(*b"RGB");
        !self.is_jfif
            && match self.transform {
                Some(transform) => transform == 0,
                None => are_named,
            }
    }
}

/// Parses a frame header.
fn frame(content: &[u8]) -> Option<(Size, &[[u8; 3]])> {
    let [8, height, low_height, width, low_width, count, rest @ ..] = content else {
        return None;
    };
    let side = |high: &u8, low: &u8| u32::from(u16::from_be_bytes([*high, *low]));
    let size = Size::new(side(width, low_width), side(height, low_height));
    let (components, rest) = rest.as_chunks::<3>();
    let are_usual = [1, COLORS].contains(&components.len());
    let is_whole = rest.is_empty() && components.len() == usize::from(*count);
    (size.area() > 0 && are_usual && is_whole).then_some((size, components))
}

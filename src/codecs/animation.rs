//! What an animation is between the codecs: how many frames, how often, and each picture with the time it is shown.
use std::ops::Range;
use std::time::Duration;

use crate::options::Format;

use crate::codecs::sniff::SourceFormat;
use crate::pixels::Raster;
use crate::pixels::Size;

/// How often an animation is played in all; 0 is for ever.
///
/// WebP and APNG store this number. GIF stores how often it is *repeated*, so one less, and leaves it out for a single play.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LoopCount(pub u32);

impl LoopCount {
    pub const FOREVER: LoopCount = LoopCount(0);
    pub const ONCE: LoopCount = LoopCount(1);
}

/// What is known of an animation before its frames are decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Animation {
    /// Frames whose data is there, at least 2. Damage inside the data is found on decoding, so fewer may come.
    pub frames: u32,
    pub loops: LoopCount,
    /// Size of the canvas.
    pub size: Size,
    /// Bytes of the largest frame as it is decoded, beside the canvas.
    pub frame_bytes: u64,
}

/// A whole picture of an animation, composed from what came before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AnimationFrame {
    /// RGBA of 8 bits, alpha not premultiplied, always of the size of the canvas.
    pub raster: Raster,
    /// How long it is shown, as stored.
    pub delay: Duration,
}

/// The delay that an output of `format` stores for one that a source of `source_format` stores.
///
/// A delay of up to 10 ms asks for "as fast as possible", by people who saw what browsers make of it: every one of them shows
/// such a frame for 100 ms, in every format (Chromium `DeferredImageDecoder::FrameDurationAtIndex`, Gecko
/// `FrameTimeout::Normalize`, WebKit `ImageSource`). Players outside of browsers obey a WebP and disobey a GIF. So within a format
/// the number stays as it is, and from one to another it becomes what was seen.
pub(crate) fn delay_in(format: Format, source_format: SourceFormat, stored: Duration) -> Duration {
    const TOO_FAST: Duration = Duration::from_millis(10);
    const SHOWN: Duration = Duration::from_millis(100);
    let same = matches!(
        (source_format, format),
        (SourceFormat::Gif, Format::Gif) | (SourceFormat::Webp, Format::Webp)
    );
    if same || stored > TOO_FAST {
        stored
    } else {
        SHOWN
    }
}

/// A rectangle of whole pixels of a canvas. It may reach beyond the canvas, and be empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Area {
    pub left: u32,
    pub top: u32,
    pub size: Size,
}

impl Area {
    pub const EMPTY: Area = Area {
        left: 0,
        top: 0,
        size: Size::new(0, 0),
    };

    /// All of a canvas.
    pub const fn whole(size: Size) -> Self {
        Area {
            left: 0,
            top: 0,
            size,
        }
    }

    pub const fn is_empty(self) -> bool {
        self.size.width == 0 || self.size.height == 0
    }

    /// The part inside a canvas. Its top left pixel stays the same one, unless nothing is left.
    pub fn within(self, canvas: Size) -> Self {
        let size = Size::new(
            self.size.width.min(canvas.width.saturating_sub(self.left)),
            self.size.height.min(canvas.height.saturating_sub(self.top)),
        );
        let part = Area { size, ..self };
        if part.is_empty() { Area::EMPTY } else { part }
    }

    /// The smallest area that covers both.
    pub fn union(self, other: Area) -> Area {
        if self.is_empty() {
            return other;
        }
        if other.is_empty() {
            return self;
        }
        let (left, top) = (self.left.min(other.left), self.top.min(other.top));
        let right = (self.left + self.size.width).max(other.left + other.size.width);
        let bottom = (self.top + self.size.height).max(other.top + other.size.height);
        Area {
            left,
            top,
            size: Size::new(right - left, bottom - top),
        }
    }

    /// Indices of the pixels of each row, on a canvas that holds the area and whose rows are `width` pixels.
    pub fn rows(self, width: u32) -> impl Iterator<Item = Range<usize>> {
        let rows = if self.is_empty() { 0 } else { self.size.height };
        (0..rows as usize).map(move |row| {
            let start = (self.top as usize + row) * width as usize + self.left as usize;
            start..start + self.size.width as usize
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::options::Format;

    use super::Area;
    use super::delay_in;
    use crate::codecs::sniff::SourceFormat;
    use crate::pixels::Size;

    fn area(left: u32, top: u32, width: u32, height: u32) -> Area {
        Area {
            left,
            top,
            size: Size::new(width, height),
        }
    }

    #[test]
    fn areas_are_cut_to_their_canvas() {
        let canvas = Size::new(10, 8);
        for (wide, cut) in [
            (area(2, 3, 4, 4), area(2, 3, 4, 4)),
            (area(2, 3, 40, 40), area(2, 3, 8, 5)),
            (area(10, 0, 1, 1), Area::EMPTY),
            (area(0, u32::MAX, 1, u32::MAX), Area::EMPTY),
            (area(3, 3, 0, 2), Area::EMPTY),
        ] {
            assert_eq!(wide.within(canvas), cut, "{wide:?}");
        }
    }

    #[test]
    fn a_union_covers_both_and_nothing_adds_nothing() {
        assert_eq!(area(1, 5, 2, 2).union(area(4, 0, 3, 1)), area(1, 0, 6, 7));
        assert_eq!(Area::EMPTY.union(area(4, 2, 3, 1)), area(4, 2, 3, 1));
        assert_eq!(area(4, 2, 3, 1).union(Area::EMPTY), area(4, 2, 3, 1));
    }

    #[test]
    fn rows_lie_in_the_canvas() {
        let rows: Vec<_> = area(1, 2, 3, 2).rows(5).collect();
        assert_eq!(rows, [11..14, 16..19]);
        assert_eq!(Area::EMPTY.rows(5).count(), 0);
    }

    #[test]
    fn delays_change_only_between_formats() {
        let ms = Duration::from_millis;
        for (format, source_format, stored, written) in [
            (Format::Gif, SourceFormat::Gif, 0, 0),
            (Format::Gif, SourceFormat::Gif, 10, 10),
            (Format::Webp, SourceFormat::Webp, 0, 0),
            (Format::Webp, SourceFormat::Gif, 0, 100),
            (Format::Webp, SourceFormat::Gif, 10, 100),
            (Format::Webp, SourceFormat::Gif, 20, 20),
            (Format::Webp, SourceFormat::Png, 4, 100),
            (Format::Gif, SourceFormat::Webp, 10, 100),
            (Format::Gif, SourceFormat::Webp, 11, 11),
        ] {
            assert_eq!(
                delay_in(format, source_format, ms(stored)),
                ms(written),
                "{source_format:?} to {format}: {stored}"
            );
        }
    }
}

//! The values that describe an animation between its decoder and its encoder: frame count, loop count, and each frame with its delay.
use std::ops::Range;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::options::Format;

use crate::codecs::sniff::SourceFormat;
use crate::pixels::{Raster, Size};

/// How many times an animation is played in total; 0 means for ever.
///
/// WebP and APNG store this number. GIF stores how often the animation is *repeated*, which is one less, and stores nothing for a single
/// play.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LoopCount(pub u32);

impl LoopCount {
    pub(crate) const FOREVER: LoopCount = LoopCount(0);
    pub(crate) const ONCE: LoopCount = LoopCount(1);
}

/// What the structure of a file says about an animation, before any frame is decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Animation {
    /// Frames whose data is complete, at least 2. Damage inside the data is found only by decoding, so fewer frames may come out.
    pub frames: u32,
    pub loops: LoopCount,
    /// Size of the canvas.
    pub size: Size,
    /// Whether something of the canvas may be transparent at some time: a GIF tells that.
    pub may_be_transparent: bool,
    /// Bytes that the largest frame takes while it is decoded, in addition to the canvas.
    pub frame_bytes: u64,
}

impl Animation {
    /// Whether a file may be like this: no cost made of these numbers overflows.
    pub(crate) fn is_plausible(&self) -> bool {
        self.frames >= 2
            && self.size.width > 0
            && self.size.height > 0
            && self.size.area() <= 1 << 40
            && self.frame_bytes <= 1 << 44
    }
}

/// One complete picture of an animation, composed onto the frames before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AnimationFrame {
    /// RGBA of 8 bits, alpha not premultiplied, always as large as the canvas.
    pub raster: Raster,
    /// How long the frame is shown, as the file stores it.
    pub delay: Duration,
}

/// The delay to store in an output of `format` for a delay stored in a source of `source_format`.
///
/// A delay of 10 ms or less means "as fast as possible", but every browser shows such a frame for 100 ms, in every format (Chromium
/// `DeferredImageDecoder::FrameDurationAtIndex`, Gecko `FrameTimeout::Normalize`, WebKit `ImageSource`). Players outside of browsers follow
/// the number in a WebP and ignore it in a GIF. So the number stays as it is within one format, and becomes the 100 ms that people saw when
/// the format changes.
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

/// A rectangle of whole pixels on a canvas. It may reach beyond the canvas, and may be empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Area {
    pub left: u32,
    pub top: u32,
    pub size: Size,
}

impl Area {
    pub(crate) const EMPTY: Area = Area {
        left: 0,
        top: 0,
        size: Size::new(0, 0),
    };

    /// The whole canvas.
    pub(crate) const fn whole(size: Size) -> Self {
        Area {
            left: 0,
            top: 0,
            size,
        }
    }

    pub(crate) const fn is_empty(self) -> bool {
        self.size.width == 0 || self.size.height == 0
    }

    /// The part inside a canvas. Its top left pixel stays the same, unless nothing is left.
    pub(crate) fn within(self, canvas: Size) -> Self {
        let size = Size::new(
            self.size.width.min(canvas.width.saturating_sub(self.left)),
            self.size.height.min(canvas.height.saturating_sub(self.top)),
        );
        let part = Area { size, ..self };
        if part.is_empty() { Area::EMPTY } else { part }
    }

    /// The smallest area that covers both.
    pub(crate) fn union(self, other: Area) -> Area {
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

    /// The pixel indices of each row of the area, on a canvas that contains it and has rows of `width` pixels.
    pub(crate) fn rows(self, width: u32) -> impl Iterator<Item = Range<usize>> {
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

//! Sizes and rectangles of pictures.

use serde::{Deserialize, Serialize};

/// Width and height in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Size {
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

impl Size {
    /// A size from its two sides.
    pub const fn new(width: u32, height: u32) -> Self {
        Size { width, height }
    }

    /// Number of pixels.
    pub const fn area(self) -> u64 {
        self.width as u64 * self.height as u64
    }

    /// The size with width and height exchanged.
    pub const fn transposed(self) -> Self {
        Size {
            width: self.height,
            height: self.width,
        }
    }

    /// Number of pixels as an index.
    pub(crate) const fn len(self) -> usize {
        self.width as usize * self.height as usize
    }
}

/// A rectangle of source pixels. Its edges may lie inside a pixel: a decode at 1/8 scale of a picture 2725 pixels wide
/// yields 341 samples that stand for 340.625, and resizing from the rounded width would shift the picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rect {
    /// Distance from the left edge.
    pub left: f64,
    /// Distance from the top edge.
    pub top: f64,
    /// Extent to the right, more than 0.
    pub width: f64,
    /// Extent downwards, more than 0.
    pub height: f64,
}

impl Rect {
    /// The rectangle after scaling, with one factor for each axis.
    pub(crate) fn scaled(self, horizontal: f64, vertical: f64) -> Rect {
        Rect {
            left: self.left * horizontal,
            top: self.top * vertical,
            width: self.width * horizontal,
            height: self.height * vertical,
        }
    }
}

/// A rectangle of whole pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PixelRect {
    /// Distance from the left edge.
    pub left: u32,
    /// Distance from the top edge.
    pub top: u32,
    /// Extent to the right.
    pub width: u32,
    /// Extent downwards.
    pub height: u32,
}

impl PixelRect {
    /// The whole picture.
    pub(crate) const fn whole(size: Size) -> Self {
        PixelRect {
            left: 0,
            top: 0,
            width: size.width,
            height: size.height,
        }
    }

    /// The extent alone.
    pub(crate) const fn size(self) -> Size {
        Size::new(self.width, self.height)
    }

    /// The same rectangle as a `Rect`.
    pub(crate) fn exact(self) -> Rect {
        Rect {
            left: f64::from(self.left),
            top: f64::from(self.top),
            width: f64::from(self.width),
            height: f64::from(self.height),
        }
    }

    /// The part inside a picture, which is empty if the rectangle lies outside.
    pub(crate) fn inside(self, size: Size) -> Self {
        let left = self.left.min(size.width);
        let top = self.top.min(size.height);
        PixelRect {
            left,
            top,
            width: self.width.min(size.width - left),
            height: self.height.min(size.height - top),
        }
    }
}

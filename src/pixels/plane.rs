//! Planes of YCbCr pictures, and chroma subsampling.

use crate::pixels::buffer;
use crate::pixels::error::PixelError;
use crate::pixels::rect::Size;

/// One plane of samples, rows without gaps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plane {
    pub size: Size,
    pub samples: Vec<u8>,
}

impl Plane {
    /// A plane with the same value everywhere.
    #[cfg_attr(
        not(feature = "native"),
        allow(dead_code, reason = "the portable encoders take no planes")
    )]
    pub(crate) fn filled(size: Size, value: u8) -> Result<Self, PixelError> {
        let samples = buffer::filled(value, size.len())?;
        Ok(Plane { size, samples })
    }

    pub(crate) fn copy(&self) -> Result<Self, PixelError> {
        Ok(Plane {
            size: self.size,
            samples: buffer::copied(&self.samples)?,
        })
    }

    /// Halves both axes by averaging squares of four; at odd edges the last sample is repeated.
    pub(crate) fn halved(&self) -> Result<Plane, PixelError> {
        let size = Subsampling::Both.chroma_size(self.size);
        let width = self.size.width as usize;
        let mut samples = buffer::with_room(size.len())?;
        for rows in self.samples.chunks(2 * width) {
            let (upper, below) = rows.split_at(width);
            let lower = if below.is_empty() { upper } else { below };
            let (upper, last) = upper.as_chunks::<2>();
            let (lower, last_lower) = lower.as_chunks::<2>();
            let mean = |[a, b]: [u8; 2], [c, d]: [u8; 2]| {
                let sum = [a, b, c, d].map(u16::from).iter().sum::<u16>();
                ((sum + 2) >> 2).to_le_bytes()[0]
            };
            let pairs = upper.iter().zip(lower);
            samples.extend(pairs.map(|(upper, lower)| mean(*upper, *lower)));
            let pairs = last.iter().zip(last_lower);
            samples.extend(pairs.map(|(&upper, &lower)| mean([upper; 2], [lower; 2])));
        }
        Ok(Plane { size, samples })
    }
}

/// Applies `make` to both chroma planes, or to what describes them.
pub(crate) fn of_both<T, U>(
    [cb, cr]: [T; 2],
    make: impl Fn(T) -> Result<U, PixelError>,
) -> Result<[U; 2], PixelError> {
    Ok([make(cb)?, make(cr)?])
}

/// YCbCr planes in full range, BT.601, 8 bits, from sRGB, as the lossy encoders take them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Planar {
    /// The luma plane, which has the size of the picture.
    pub luma: Plane,
    /// Cb and Cr, both of the same size; `None` for a grey picture.
    pub chroma: Option<[Plane; 2]>,
}

/// Chroma subsampling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subsampling {
    /// 4:4:4
    None,
    /// 4:2:0
    Both,
}

impl Subsampling {
    /// Luma samples for each chroma sample on each axis.
    pub(crate) const fn factor(self) -> u32 {
        match self {
            Subsampling::None => 1,
            Subsampling::Both => 2,
        }
    }

    /// The size of a chroma plane for a luma plane of size `luma`.
    pub(crate) const fn chroma_size(self, luma: Size) -> Size {
        Size::new(
            luma.width.div_ceil(self.factor()),
            luma.height.div_ceil(self.factor()),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::Plane;
    use super::Size;
    use super::Subsampling;

    #[test]
    fn chroma_of_odd_sizes_rounds_up() {
        assert_eq!(
            Subsampling::Both.chroma_size(Size::new(5, 4)),
            Size::new(3, 2)
        );
        assert_eq!(
            Subsampling::None.chroma_size(Size::new(5, 4)),
            Size::new(5, 4)
        );
    }

    #[test]
    fn odd_edges_repeat_when_halved() {
        let plane = Plane {
            size: Size::new(3, 3),
            samples: vec![0, 4, 8, 0, 4, 8, 40, 40, 80],
        };
        assert_eq!(
            plane.halved(),
            Ok(Plane {
                size: Size::new(2, 2),
                samples: vec![2, 8, 40, 80]
            })
        );
    }
}

//! Backgrounds: blending onto a colour, padding, and borders.

use crate::options::{Border, Color};

use crate::pixels::error::PixelError;
use crate::pixels::{Channels, Raster, Samples, Size, buffer};

/// A larger surface with the picture on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Canvas {
    /// Size of the surface.
    pub size: Size,
    /// Free pixels to the left of the picture.
    pub left: u32,
    /// Free pixels above the picture.
    pub top: u32,
}

/// Blends a picture onto a colour. If the colour is opaque, so is the result, and it has no alpha channel.
pub(crate) fn flatten(raster: Raster, color: Color) -> Result<Raster, PixelError> {
    if raster.channels != Channels::Rgba {
        return Ok(raster);
    }
    let size = raster.size;
    let below = [color.red, color.green, color.blue].map(f32::from);
    let below_alpha = f32::from(color.alpha) / 255.0;
    let mut samples = raster.into_u8()?;
    for pixel in samples.chunks_exact_mut(4) {
        let alpha = f32::from(pixel[3]) / 255.0;
        let shining = below_alpha * (1.0 - alpha);
        let blended = alpha + shining;
        if blended > 0.0 {
            for (sample, under) in pixel.iter_mut().zip(below) {
                *sample = to_sample((f32::from(*sample) * alpha + under * shining) / blended);
            }
        }
        pixel[3] = to_sample(blended * 255.0);
    }
    let flat = Raster {
        size,
        channels: Channels::Rgba,
        samples: Samples::U8(samples),
    };
    if color.is_opaque() {
        flat.without_alpha()
    } else {
        Ok(flat)
    }
}

/// Places an RGB or RGBA picture on a larger surface of one colour. Transparent pixels are not blended with it: that is done by `flatten`.
pub(crate) fn pad(raster: Raster, canvas: Canvas, color: Color) -> Result<Raster, PixelError> {
    let size = raster.size;
    let needs_alpha = raster.channels == Channels::Rgba || !color.is_opaque();
    let from = raster.channels.count();
    let (channels, count) = if needs_alpha {
        (Channels::Rgba, 4)
    } else {
        (Channels::Rgb, 3)
    };
    let fill = [color.red, color.green, color.blue, color.alpha];
    let samples = raster.into_u8()?;
    let mut made = buffer::repeated(&fill[..count], canvas.size.len())?;
    let stride = canvas.size.width as usize * count;
    for (row, line) in samples.chunks_exact(size.width as usize * from).enumerate() {
        let start = (canvas.top as usize + row) * stride + canvas.left as usize * count;
        let target = &mut made[start..start + size.width as usize * count];
        if from == count {
            target.copy_from_slice(line);
        } else {
            for (pixel, rgb) in target.chunks_exact_mut(4).zip(line.chunks_exact(3)) {
                pixel[..3].copy_from_slice(rgb);
                pixel[3] = u8::MAX;
            }
        }
    }
    Ok(Raster {
        size: canvas.size,
        channels,
        samples: Samples::U8(made),
    })
}

/// Adds a border to an RGB or RGBA picture. The caller has checked the resulting size.
pub(crate) fn framed(raster: Raster, frame: &Border) -> Result<Raster, PixelError> {
    let beside = frame.left.saturating_add(frame.right);
    let above_and_below = frame.top.saturating_add(frame.bottom);
    let canvas = Canvas {
        size: Size::new(
            raster.size.width.saturating_add(beside),
            raster.size.height.saturating_add(above_and_below),
        ),
        left: frame.left,
        top: frame.top,
    };
    pad(raster, canvas, frame.color)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to the range of u8 first"
)]
fn to_sample(value: f32) -> u8 {
    value.round().clamp(0.0, 255.0) as u8
}

#[cfg(test)]
mod tests {
    use crate::options::{Border, Color};

    use crate::pixels::canvas::Canvas;
    use crate::pixels::{Channels, Raster, Samples, Size};

    const RED: Color = Color {
        red: 255,
        green: 0,
        blue: 0,
        alpha: 255,
    };
    const FAINT: Color = Color { alpha: 0, ..RED };

    fn flatten(raster: Raster, color: Color) -> Raster {
        super::flatten(raster, color).expect("there is memory")
    }

    fn pad(raster: Raster, canvas: Canvas, color: Color) -> Raster {
        super::pad(raster, canvas, color).expect("there is memory")
    }

    fn framed(raster: Raster, frame: &Border) -> Raster {
        super::framed(raster, frame).expect("there is memory")
    }

    fn pixel(rgba: [u8; 4]) -> Raster {
        Raster {
            size: Size::new(1, 1),
            channels: Channels::Rgba,
            samples: Samples::U8(rgba.to_vec()),
        }
    }

    #[test]
    fn flattening_blends_by_alpha() {
        for (rgba, color, expected) in [
            ([0, 0, 255, 255], RED, vec![0, 0, 255]),
            ([0, 0, 255, 0], RED, vec![255, 0, 0]),
            ([0, 0, 255, 128], RED, vec![127, 0, 128]),
            ([0, 0, 255, 128], FAINT, vec![0, 0, 255, 128]),
            ([9, 9, 9, 0], FAINT, vec![9, 9, 9, 0]),
        ] {
            assert_eq!(
                flatten(pixel(rgba), color)
                    .into_u8()
                    .expect("there is memory"),
                expected,
                "{rgba:?} on {color}"
            );
        }
    }

    #[test]
    fn padding_surrounds_and_keeps_what_was_there() {
        let canvas = Canvas {
            size: Size::new(3, 2),
            left: 1,
            top: 1,
        };
        let rgb = Raster {
            size: Size::new(1, 1),
            channels: Channels::Rgb,
            samples: Samples::U8(vec![1, 2, 3]),
        };
        let made = pad(rgb.clone(), canvas, RED);
        assert_eq!(made.channels, Channels::Rgb);
        assert_eq!(
            made.into_u8().expect("there is memory"),
            [
                255, 0, 0, 255, 0, 0, 255, 0, 0, 255, 0, 0, 1, 2, 3, 255, 0, 0
            ]
        );
        let clear = pad(rgb, canvas, FAINT).into_u8().expect("there is memory");
        assert_eq!(clear[..4], [255, 0, 0, 0]);
        assert_eq!(clear[16..20], [1, 2, 3, 255]);
        let kept = pad(pixel([1, 2, 3, 4]), canvas, RED)
            .into_u8()
            .expect("there is memory");
        assert_eq!((kept[3], &kept[16..20]), (255, &[1, 2, 3, 4][..]));
    }

    #[test]
    fn a_frame_has_its_width_on_every_side() {
        let frame = Border {
            color: RED,
            top: 1,
            right: 2,
            bottom: 0,
            left: 1,
        };
        let rgb = Raster {
            size: Size::new(1, 2),
            channels: Channels::Rgb,
            samples: Samples::U8(vec![1, 2, 3, 4, 5, 6]),
        };
        let made = framed(rgb.clone(), &frame);
        assert_eq!(made.size, Size::new(4, 3));
        let (red, first, second) = ([255, 0, 0], [1, 2, 3], [4, 5, 6]);
        let expected = [
            [red, red, red, red],
            [red, first, red, red],
            [red, second, red, red],
        ];
        assert_eq!(
            made.into_u8().expect("there is memory"),
            expected.as_flattened().as_flattened()
        );

        let faint = framed(
            rgb,
            &Border {
                color: FAINT,
                ..frame
            },
        );
        assert_eq!(faint.channels, Channels::Rgba);
        assert_eq!(
            faint.into_u8().expect("there is memory")[12..24],
            [255, 0, 0, 0, 255, 0, 0, 0, 1, 2, 3, 255]
        );
    }
}

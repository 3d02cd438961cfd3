//! Finds the plain border that `trim=border` cuts.
//!
//! Pixels are compared by their largest difference in any channel, with colours multiplied by their alpha: what is fully transparent
//! is all one colour, and it is border only where the border is transparent, as found in the corners or as asked for.

use crate::options::{Color, TrimBorder};

use crate::codecs::TransformError;
use crate::pixels::{Channels, PixelRect, Raster, Samples, buffer, to_u8};

/// The tolerance where none is asked for. Cloudflare names no default; its examples use this one throughout. It covers the noise of
/// a JPEG at usual quality, and not the faint shadow of a product on white.
const DEFAULT_TOLERANCE: u8 = 5;

/// Of a line of border, one pixel of this many may lie beyond the tolerance, because JPEG rings near edges ...
const PIXELS_PER_OUTLIER: u32 = 200;

/// ... but none beyond this many times the tolerance: a hairline that runs into the edge is no noise.
const OUTLIER_FACTOR: u8 = 3;

/// What lies inside the plain border of the part `within` of a raster, which is in sRGB or grey; where there is no border, or nothing
/// else, `within` itself.
///
/// The border has the colour asked for, or else the one that most corners share; of colours in as many corners, the one that comes
/// first from top left over top right and bottom left to bottom right. Rows are cut first, then columns of the rows that remain.
pub(crate) fn inner(
    raster: &Raster,
    within: PixelRect,
    border: &TrimBorder,
) -> Result<PixelRect, TransformError> {
    let within = within.inside(raster.size);
    if within.width == 0 || within.height == 0 || raster.channels == Channels::Cmyk {
        return Ok(within);
    }
    let tolerance = border.tolerance.unwrap_or(DEFAULT_TOLERANCE);
    let color = border
        .color
        .map_or_else(|| corner_color(raster, within, tolerance), premultiplied);
    let scan = Scan {
        raster,
        within,
        color,
        tolerance,
        limit: tolerance.saturating_mul(OUTLIER_FACTOR),
    };
    let top = (0..within.height)
        .take_while(|&row| scan.is_border(row))
        .count();
    let top = u32::try_from(top).unwrap_or(within.height);
    if top == within.height {
        return Ok(within);
    }
    let bottom = (top + 1..within.height)
        .rev()
        .take_while(|&row| scan.is_border(row))
        .count();
    let bottom = u32::try_from(bottom).unwrap_or(0);
    let (left, right) = scan.columns(top, within.height - bottom)?;
    let keep = border.keep.unwrap_or(0);
    let [top, right, bottom, left] = [top, right, bottom, left].map(|cut| cut.saturating_sub(keep));
    Ok(PixelRect {
        left: within.left + left,
        top: within.top + top,
        width: within.width - left - right,
        height: within.height - top - bottom,
    })
}

/// Red, green, blue and alpha, the colours multiplied with alpha.
type Shade = [u8; 4];

fn premultiplied(color: Color) -> Shade {
    if color.is_opaque() {
        return [color.red, color.green, color.blue, color.alpha];
    }
    let by_alpha = |sample: u8| multiplied(sample, color.alpha);
    [
        by_alpha(color.red),
        by_alpha(color.green),
        by_alpha(color.blue),
        color.alpha,
    ]
}

fn multiplied(sample: u8, alpha: u8) -> u8 {
    let product = u16::from(sample) * u16::from(alpha);
    u8::try_from((product + 127) / 255).unwrap_or(u8::MAX)
}

fn difference(one: Shade, other: Shade) -> u8 {
    let [red, green, blue, alpha] = one;
    let color = red.abs_diff(other[0]).max(green.abs_diff(other[1]));
    color
        .max(blue.abs_diff(other[2]))
        .max(alpha.abs_diff(other[3]))
}

/// The colour of a pixel. What 16 bits say beyond 8 is finer than any tolerance.
fn shade(raster: &Raster, column: u32, row: u32) -> Shade {
    let pixel = row as usize * raster.size.width as usize + column as usize;
    let start = pixel * raster.channels.count();
    let sample = |channel: usize| match &raster.samples {
        Samples::U8(samples) => samples[start + channel],
        Samples::U16(samples) => to_u8(samples[start + channel]),
    };
    let (red, green, blue, alpha) = match raster.channels {
        Channels::Gray => (sample(0), sample(0), sample(0), u8::MAX),
        Channels::GrayAlpha => (sample(0), sample(0), sample(0), sample(1)),
        Channels::Rgb => (sample(0), sample(1), sample(2), u8::MAX),
        Channels::Rgba | Channels::Cmyk => (sample(0), sample(1), sample(2), sample(3)),
    };
    premultiplied(Color {
        red,
        green,
        blue,
        alpha,
    })
}

fn corner_color(raster: &Raster, within: PixelRect, tolerance: u8) -> Shade {
    let (right, bottom) = (
        within.left + within.width - 1,
        within.top + within.height - 1,
    );
    let corners = [
        (within.left, within.top),
        (right, within.top),
        (within.left, bottom),
        (right, bottom),
    ]
    .map(|(column, row)| shade(raster, column, row));
    let votes = |color: Shade| {
        corners
            .iter()
            .filter(|&&corner| difference(color, corner) <= tolerance)
            .count()
    };
    // `max_by_key` gives the last of equals.
    corners
        .into_iter()
        .rev()
        .max_by_key(|&color| votes(color))
        .unwrap_or(corners[0])
}

struct Scan<'a> {
    raster: &'a Raster,
    within: PixelRect,
    color: Shade,
    tolerance: u8,
    /// The difference that no pixel of the border exceeds.
    limit: u8,
}

impl Scan<'_> {
    fn difference(&self, column: u32, row: u32) -> u8 {
        let shade = shade(
            self.raster,
            self.within.left + column,
            self.within.top + row,
        );
        difference(self.color, shade)
    }

    fn is_border(&self, row: u32) -> bool {
        let mut outliers = self.within.width / PIXELS_PER_OUTLIER;
        (0..self.within.width).all(|column| {
            let difference = self.difference(column, row);
            if difference <= self.tolerance {
                return true;
            }
            let is_tolerated = difference <= self.limit && outliers > 0;
            outliers = outliers.saturating_sub(1);
            is_tolerated
        })
    }

    /// Columns of border to the left and to the right of the rows from `top` to before `bottom`. All rows are gone through once, in
    /// the order in which they lie in memory; each can only narrow what still looks like border.
    fn columns(&self, top: u32, bottom: u32) -> Result<(u32, u32), TransformError> {
        let width = self.within.width;
        let allowed = (bottom - top) / PIXELS_PER_OUTLIER;
        let mut outliers = buffer::zeroed::<u32>(width as usize)?;
        let mut ends = |column: u32, row: u32| {
            let difference = self.difference(column, row);
            if difference <= self.tolerance {
                return false;
            }
            let count = &mut outliers[column as usize];
            *count += 1;
            difference > self.limit || *count > allowed
        };
        let (mut left, mut right) = (width, width);
        for row in top..bottom {
            left = (0..left).find(|&column| ends(column, row)).unwrap_or(left);
            // Columns that the left side has counted in this row are not looked at from the right.
            let most = right.min(width - left);
            right = (0..most)
                .find(|&from_right| ends(width - 1 - from_right, row))
                .unwrap_or(right);
            if left == 0 && right == 0 {
                break;
            }
        }
        // No column at all that is not border: noise in the rows, not a picture between borders.
        Ok(if left.saturating_add(right) >= width {
            (0, 0)
        } else {
            (left, right)
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::options::{Color, TrimBorder};

    use crate::pixels::{Channels, PixelRect, Raster, Samples, Size};

    fn inner(raster: &Raster, within: PixelRect, border: &TrimBorder) -> PixelRect {
        super::inner(raster, within, border).expect("there is memory")
    }

    const WHITE: [u8; 4] = [255; 4];
    const RED: [u8; 4] = [200, 0, 0, 255];
    const CLEAR: [u8; 4] = [9, 8, 7, 0];
    const DETECTED: TrimBorder = TrimBorder {
        color: None,
        tolerance: None,
        keep: None,
    };

    fn rect(left: u32, top: u32, width: u32, height: u32) -> PixelRect {
        PixelRect {
            left,
            top,
            width,
            height,
        }
    }

    /// One colour with a rectangle of another on it.
    fn framed(size: Size, ground: [u8; 4], part: PixelRect, figure: [u8; 4]) -> Raster {
        let samples = (0..size.height)
            .flat_map(|y| (0..size.width).map(move |x| (x, y)))
            .flat_map(|(x, y)| {
                let is_inside = (part.left..part.left + part.width).contains(&x)
                    && (part.top..part.top + part.height).contains(&y);
                if is_inside { figure } else { ground }
            })
            .collect();
        Raster {
            size,
            channels: Channels::Rgba,
            samples: Samples::U8(samples),
        }
    }

    /// Writes one pixel of an RGBA raster of 8 bits.
    fn dot(raster: &mut Raster, x: usize, y: usize, color: [u8; 4]) {
        let start = (y * raster.size.width as usize + x) * 4;
        if let Samples::U8(samples) = &mut raster.samples {
            samples[start..start + 4].copy_from_slice(&color);
        }
    }

    #[track_caller]
    fn check(raster: &Raster, border: &TrimBorder, expected: PixelRect) {
        assert_eq!(
            inner(raster, PixelRect::whole(raster.size), border),
            expected
        );
    }

    #[test]
    fn every_side_is_cut_by_its_own_amount() {
        let size = Size::new(20, 15);
        for part in [
            rect(2, 3, 10, 5),
            rect(0, 3, 20, 5),
            rect(7, 0, 5, 15),
            rect(1, 0, 19, 15),
            rect(0, 0, 19, 15),
            rect(0, 1, 20, 14),
            rect(0, 0, 20, 14),
            rect(9, 9, 1, 1),
        ] {
            let mut raster = framed(size, WHITE, part, RED);
            dot(
                &mut raster,
                part.left as usize,
                part.top as usize,
                [0, 0, 9, 255],
            );
            check(&raster, &DETECTED, part);
        }
    }

    #[test]
    fn a_picture_of_one_colour_is_not_cut() {
        for size in [
            Size::new(1, 1),
            Size::new(7, 1),
            Size::new(1, 7),
            Size::new(9, 9),
        ] {
            let plain = framed(size, WHITE, rect(0, 0, 0, 0), RED);
            check(&plain, &DETECTED, PixelRect::whole(size));
            let keep = TrimBorder {
                keep: Some(u32::MAX),
                ..DETECTED
            };
            check(&plain, &keep, PixelRect::whole(size));
        }
    }

    #[test]
    fn only_what_fixed_trims_left_is_looked_at() {
        // The frame around the part that is left is red, so the white ring inside is the border.
        let mut raster = framed(Size::new(20, 20), RED, rect(4, 4, 12, 12), WHITE);
        dot(&mut raster, 9, 10, RED);
        assert_eq!(
            inner(&raster, rect(4, 4, 12, 12), &DETECTED),
            rect(9, 10, 1, 1)
        );
        assert_eq!(
            inner(&raster, rect(16, 16, 100, u32::MAX), &DETECTED),
            rect(16, 16, 4, 4)
        );
        assert_eq!(inner(&raster, rect(30, 0, 5, 5), &DETECTED).width, 0);
    }

    #[test]
    fn what_is_kept_never_reaches_beyond_the_picture() {
        let raster = framed(Size::new(20, 20), WHITE, rect(2, 6, 10, 10), RED);
        let keep = |pixels| TrimBorder {
            keep: Some(pixels),
            ..DETECTED
        };
        check(&raster, &keep(1), rect(1, 5, 12, 12));
        check(&raster, &keep(3), rect(0, 3, 15, 16));
        check(&raster, &keep(u32::MAX), rect(0, 0, 20, 20));
    }

    #[test]
    fn tolerance_is_the_largest_difference_of_a_channel() {
        let raster = framed(
            Size::new(10, 10),
            [100, 100, 100, 255],
            rect(3, 3, 4, 4),
            [100, 100, 110, 255],
        );
        let within = |tolerance| TrimBorder {
            tolerance: Some(tolerance),
            ..DETECTED
        };
        check(&raster, &within(9), rect(3, 3, 4, 4));
        check(&raster, &within(10), rect(0, 0, 10, 10));
        check(&raster, &within(0), rect(3, 3, 4, 4));
        check(&raster, &within(255), rect(0, 0, 10, 10));
    }

    #[test]
    fn a_named_colour_is_cut_and_no_other() {
        let raster = framed(Size::new(10, 10), WHITE, rect(3, 3, 4, 4), RED);
        let of = |red, green, blue| TrimBorder {
            color: Some(Color {
                red,
                green,
                blue,
                alpha: 255,
            }),
            ..DETECTED
        };
        check(&raster, &of(252, 255, 255), rect(3, 3, 4, 4));
        check(&raster, &of(0, 0, 255), rect(0, 0, 10, 10));
    }

    #[test]
    fn most_corners_decide_and_the_first_of_equals() {
        let mut raster = framed(Size::new(12, 12), WHITE, rect(4, 4, 3, 3), RED);
        dot(&mut raster, 0, 0, RED);
        // The first row and column are no border any more; the other sides are.
        check(&raster, &DETECTED, rect(0, 0, 7, 7));
        let halves = framed(Size::new(10, 4), WHITE, rect(5, 0, 5, 4), RED);
        check(&halves, &DETECTED, rect(5, 0, 5, 4));
    }

    #[test]
    fn transparent_is_one_colour_and_only_that() {
        let mut raster = framed(Size::new(10, 10), CLEAR, rect(3, 3, 4, 4), WHITE);
        dot(&mut raster, 9, 0, [255, 255, 255, 0]);
        check(&raster, &DETECTED, rect(3, 3, 4, 4));
        let white = TrimBorder {
            color: Some(Color::WHITE),
            ..DETECTED
        };
        check(&raster, &white, rect(0, 0, 10, 10));
        let clear = TrimBorder {
            color: Some(Color {
                alpha: 0,
                ..Color::WHITE
            }),
            ..DETECTED
        };
        check(&raster, &clear, rect(3, 3, 4, 4));
    }

    #[test]
    fn noise_is_border_and_a_hairline_is_not() {
        let size = Size::new(400, 300);
        let part = rect(50, 40, 200, 220);
        let mut noisy = framed(size, WHITE, part, RED);
        for (x, y) in [(10, 5), (390, 5), (20, 200), (21, 100), (300, 90), (7, 299)] {
            dot(&mut noisy, x, y, [241, 250, 255, 255]);
        }
        check(&noisy, &DETECTED, part);
        let mut hairline = framed(size, WHITE, part, RED);
        for y in 10..40 {
            dot(&mut hairline, 60, y, [0, 0, 0, 255]);
        }
        check(&hairline, &DETECTED, rect(50, 10, 200, 250));
        let strict = TrimBorder {
            tolerance: Some(0),
            ..DETECTED
        };
        check(&noisy, &strict, rect(7, 5, 384, 295));
    }

    #[test]
    fn every_kind_of_sample_is_read() {
        let part = rect(1, 2, 1, 1);
        let plane = [50, 50, 50, 50, 50, 50, 50, 90, 50, 50, 50, 50];
        for channels in [
            Channels::Gray,
            Channels::GrayAlpha,
            Channels::Rgb,
            Channels::Rgba,
        ] {
            let samples: Vec<u8> = plane
                .iter()
                .flat_map(|&gray| {
                    let pixel = [gray, gray, gray, 255];
                    let (from, to) = match channels {
                        Channels::Gray => (0, 1),
                        Channels::GrayAlpha => (2, 4),
                        Channels::Rgb => (0, 3),
                        Channels::Rgba | Channels::Cmyk => (0, 4),
                    };
                    pixel[from..to].to_vec()
                })
                .collect();
            let deep = samples.iter().map(|&byte| u16::from(byte) * 257).collect();
            for samples in [Samples::U8(samples.clone()), Samples::U16(deep)] {
                let raster = Raster {
                    size: Size::new(3, 4),
                    channels,
                    samples,
                };
                check(&raster, &DETECTED, part);
            }
        }
    }
}

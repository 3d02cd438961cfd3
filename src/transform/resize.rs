//! Resampling: Lanczos3 down, Catmull-Rom up, alpha premultiplied on the way, source edges as exact as `Rect` gives them.

use fast_image_resize::FilterType;
use fast_image_resize::PixelType;
use fast_image_resize::ResizeAlg;
use fast_image_resize::ResizeOptions;
use fast_image_resize::Resizer;
use fast_image_resize::images::Image;
use fast_image_resize::images::ImageRef;

use super::TransformError;
use super::pixels::Channels;
use super::pixels::Planar;
use super::pixels::Plane;
use super::pixels::Raster;
use super::pixels::Rect;
use super::pixels::Samples;
use super::pixels::Size;
use super::pixels::Subsampling;

/// Resamples the part `crop` of a raster to `target` pixels.
pub(super) fn raster(source: Raster, crop: Rect, target: Size) -> Result<Raster, TransformError> {
    if is_whole(crop, source.size) && source.size == target {
        return Ok(source);
    }
    let Raster {
        size,
        channels,
        samples,
    } = source;
    let alpha = channels.has_alpha();
    let samples = match samples {
        Samples::U8(samples) => {
            let pixel = match channels {
                Channels::Gray => PixelType::U8,
                Channels::GrayAlpha => PixelType::U8x2,
                Channels::Rgb => PixelType::U8x3,
                Channels::Rgba | Channels::Cmyk => PixelType::U8x4,
            };
            Samples::U8(run(&samples, size, pixel, alpha, crop, target)?.into_vec())
        }
        Samples::U16(samples) => {
            let pixel = match channels {
                Channels::Gray => PixelType::U16,
                Channels::GrayAlpha => PixelType::U16x2,
                Channels::Rgb => PixelType::U16x3,
                Channels::Rgba | Channels::Cmyk => PixelType::U16x4,
            };
            let resized = run(
                bytemuck::cast_slice(&samples),
                size,
                pixel,
                alpha,
                crop,
                target,
            )?;
            Samples::U16(bytemuck::pod_collect_to_vec(resized.buffer()))
        }
    };
    Ok(Raster {
        size: target,
        channels,
        samples,
    })
}

/// Resamples the part `crop` (in luma samples) of a planar picture to `target` luma pixels, with chroma at `subsampling`.
///
/// `extent` is the size that the luma samples stand for, in luma samples: less than their number where a scaled decode rounded up.
pub(super) fn planar(
    source: Planar,
    extent: (f64, f64),
    crop: Rect,
    target: Size,
    subsampling: Subsampling,
) -> Result<Planar, TransformError> {
    let luma = plane(source.luma, crop, target)?;
    let Some([cb, cr]) = source.chroma else {
        return Ok(Planar { luma, chroma: None });
    };
    let size = subsampling.chroma_size(target);
    // The last chroma sample of an odd side reaches one luma sample beyond the picture.
    let beyond = (
        f64::from(size.width * subsampling.factor()) / f64::from(target.width),
        f64::from(size.height * subsampling.factor()) / f64::from(target.height),
    );
    let across = chroma_per_luma(cb.size.width, extent.0);
    let down = chroma_per_luma(cb.size.height, extent.1);
    let part = Rect {
        width: crop.width * beyond.0,
        height: crop.height * beyond.1,
        ..crop
    }
    .scaled(across, down);
    Ok(Planar {
        luma,
        chroma: Some([plane(cb, part, size)?, plane(cr, part, size)?]),
    })
}

/// Chroma samples per luma sample: 1, 1/2 or 1/4. A side of chroma is the luma extent divided by it and rounded up.
fn chroma_per_luma(chroma: u32, luma: f64) -> f64 {
    [1.0, 0.5, 0.25]
        .into_iter()
        .min_by(|a, b| distance(*a, chroma, luma).total_cmp(&distance(*b, chroma, luma)))
        .unwrap_or(1.0)
}

fn distance(ratio: f64, chroma: u32, luma: f64) -> f64 {
    (luma * ratio - f64::from(chroma)).abs()
}

fn plane(source: Plane, crop: Rect, target: Size) -> Result<Plane, TransformError> {
    if is_whole(crop, source.size) && source.size == target {
        return Ok(source);
    }
    let samples = run(
        &source.samples,
        source.size,
        PixelType::U8,
        false,
        crop,
        target,
    )?
    .into_vec();
    Ok(Plane {
        size: target,
        samples,
    })
}

fn is_whole(crop: Rect, size: Size) -> bool {
    crop == Rect {
        left: 0.0,
        top: 0.0,
        width: f64::from(size.width),
        height: f64::from(size.height),
    }
}

fn run(
    samples: &[u8],
    size: Size,
    pixel: PixelType,
    alpha: bool,
    crop: Rect,
    target: Size,
) -> Result<Image<'static>, TransformError> {
    let failed = |cause: &dyn std::fmt::Display| TransformError::Resize(cause.to_string());
    let source =
        ImageRef::new(size.width, size.height, samples, pixel).map_err(|cause| failed(&cause))?;
    let mut resized = Image::new(target.width, target.height, pixel);
    let (left, width) = inside(crop.left, crop.width, size.width);
    let (top, height) = inside(crop.top, crop.height, size.height);
    let (left, width) = beside_centers(left, width, target.width);
    let (top, height) = beside_centers(top, height, target.height);
    let enlarged = width < f64::from(target.width) || height < f64::from(target.height);
    let filter = if enlarged {
        FilterType::CatmullRom
    } else {
        FilterType::Lanczos3
    };
    let options = ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(filter))
        .use_alpha(alpha)
        .crop(left, top, width, height);
    Resizer::new()
        .resize(&source, &mut resized, &options)
        .map_err(|cause| failed(&cause))?;
    Ok(resized)
}

/// Moves the ends of an interval that is enlarged so that neither its first nor its last sample lies on the very centre of a pixel.
///
/// There the weights of Catmull-Rom are exactly zero but for one. The resizer leaves leading zeros out, takes the first sample to be the
/// one that reaches furthest to the left, and the last one furthest to the right, and so would read beyond the rows that it
/// made in between (fast_image_resize 6.1.0, `do_convolution`).
fn beside_centers(start: f64, extent: f64, target: u32) -> (f64, f64) {
    /// Parts of a pixel, a hundredth of what 8 bits can tell.
    const NEAR: f64 = 1e-5;
    const STEP: f64 = 3.0 * NEAR;
    if extent >= f64::from(target) {
        return (start, extent);
    }
    let is_center = |at: f64| (at - 0.5 - (at - 0.5).round()).abs() < NEAR;
    let (mut start, mut end) = (start, start + extent);
    // Moving one end moves the other sample by next to nothing, but it may be on a centre then.
    for _ in 0..4 {
        let half = (end - start) / f64::from(target) / 2.0;
        if is_center(start + half) {
            start += STEP;
        } else if is_center(end - half) {
            end -= STEP;
        } else {
            break;
        }
    }
    (start, end - start)
}

/// Keeps an interval inside the picture against the last bits of its arithmetic.
fn inside(start: f64, extent: f64, side: u32) -> (f64, f64) {
    let start = start.clamp(0.0, f64::from(side));
    (start, extent.min(f64::from(side) - start))
}

#[cfg(test)]
mod tests {
    use proptest::prop_assert;
    use proptest::proptest;

    use super::super::pixels::Channels;
    use super::super::pixels::Planar;
    use super::super::pixels::Plane;
    use super::super::pixels::Raster;
    use super::super::pixels::Rect;
    use super::super::pixels::Samples;
    use super::super::pixels::Size;
    use super::super::pixels::Subsampling;
    use super::planar;
    use super::raster;

    fn whole(width: f64, height: f64) -> Rect {
        Rect {
            left: 0.0,
            top: 0.0,
            width,
            height,
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped first"
    )]
    fn sample(value: f64) -> u8 {
        value.round().clamp(0.0, 255.0) as u8
    }

    #[test]
    fn the_colour_under_transparency_does_not_bleed() {
        // Opaque black beside transparent white: without premultiplication the edge would be grey.
        let samples: Vec<u8> = (0..64)
            .flat_map(|pixel| {
                if pixel % 8 < 4 {
                    [0, 0, 0, 255]
                } else {
                    [255, 255, 255, 0]
                }
            })
            .collect();
        let source = Raster {
            size: Size::new(8, 8),
            channels: Channels::Rgba,
            samples: Samples::U8(samples),
        };
        let resized = raster(source, whole(8.0, 8.0), Size::new(3, 3))
            .expect("a valid resize")
            .into_u8();
        for pixel in resized.chunks_exact(4).filter(|pixel| pixel[3] > 8) {
            assert!(pixel[0] < 12, "{pixel:?} is not black");
        }
    }

    #[test]
    fn sixteen_bits_stay_sixteen_bits() {
        let samples: Vec<u16> = (0..64).map(|index| 1000 + index % 8).collect();
        let source = Raster {
            size: Size::new(8, 8),
            channels: Channels::Gray,
            samples: Samples::U16(samples),
        };
        let resized = raster(source, whole(8.0, 8.0), Size::new(4, 4)).expect("a valid resize");
        let Samples::U16(samples) = resized.samples else {
            panic!("16 bits in, 16 bits out")
        };
        assert!(
            samples
                .iter()
                .all(|&sample| (1000..=1007).contains(&sample)),
            "{samples:?}"
        );
    }

    #[test]
    fn a_rounded_up_decode_is_read_at_its_exact_extent() {
        // A ramp of 2725 samples decoded at 1/8: 341 samples that stand for 340.625.
        let ramp = |x: f64| x / 2725.0 * 255.0;
        let samples: Vec<u8> = (0..341)
            .map(|x| sample(ramp(f64::from(x) * 8.0 + 3.5)))
            .collect();
        let source = Raster {
            size: Size::new(341, 1),
            channels: Channels::Gray,
            samples: Samples::U8(samples),
        };
        let resized = raster(source, whole(340.625, 1.0), Size::new(100, 1))
            .expect("a valid resize")
            .into_u8();
        for (x, &sample) in resized.iter().enumerate().skip(3).take(94) {
            let expected = ramp((x as f64 + 0.5) * 27.25 - 0.5);
            assert!(
                (f64::from(sample) - expected).abs() < 1.01,
                "at {x}: {sample}, expected {expected}"
            );
        }
    }

    #[test]
    fn samples_on_the_centres_of_pixels_read_nothing_beyond() {
        // Every one of them begins or ends on a centre; the first is the crop of a fuzzed URL.
        let parts = [
            (2.0625, 28.875, 33),
            (3.25, 0.5, 1),
            (3.25, 1.5, 3),
            (4.75, 4.5, 9),
            (10.125, 12.75, 17),
            (0.25, 30.5, 61),
        ];
        for (start, extent, target) in parts {
            let source = Raster {
                size: Size::new(33, 33),
                channels: Channels::Rgba,
                samples: Samples::U8(
                    (0..33 * 33 * 4)
                        .map(|index| sample(f64::from(index % 251)))
                        .collect(),
                ),
            };
            let part = Rect {
                left: start,
                top: start,
                width: extent,
                height: extent,
            };
            let made = raster(source, part, Size::new(target, target)).expect("a valid resize");
            assert_eq!(made.into_u8().len(), (target * target * 4) as usize);
        }
    }

    proptest! {
        #[test]
        fn any_part_at_any_size_is_resampled(
            (across, down) in (0..=400_u32, 0..=400_u32),
            (width, height) in (1..=400_u32, 1..=400_u32),
            (wide, high) in (1..=60_u32, 1..=60_u32),
        ) {
            // In sixteenths of a pixel, so that many samples lie on centres.
            let source = Raster { size: Size::new(25, 25), channels: Channels::Gray, samples: Samples::U8(vec![77; 625]) };
            let sixteenths = |count: u32| f64::from(count) / 16.0;
            let part = Rect {
                left: sixteenths(across.min(399)),
                top: sixteenths(down.min(399)),
                width: sixteenths(width.min(400 - across.min(399))),
                height: sixteenths(height.min(400 - down.min(399))),
            };
            let made = raster(source, part, Size::new(wide, high)).expect("a valid resize").into_u8();
            prop_assert!(made.iter().all(|&sample| sample == 77), "{part:?}");
        }
    }

    #[test]
    fn chroma_lies_under_its_luma_on_odd_sizes() {
        // The same vertical edge in luma and in 4:2:0 chroma of a 101 wide picture.
        let size = Size::new(101, 3);
        let luma = Plane {
            size,
            samples: (0..303)
                .map(|index| if index % 101 < 50 { 0 } else { 255 })
                .collect(),
        };
        let half = Size::new(51, 2);
        let cb = Plane {
            size: half,
            samples: (0..102)
                .map(|index| if index % 51 < 25 { 0 } else { 255 })
                .collect(),
        };
        let source = Planar {
            luma,
            chroma: Some([cb.clone(), cb]),
        };
        let made = planar(
            source,
            (101.0, 3.0),
            whole(101.0, 3.0),
            Size::new(33, 1),
            Subsampling::None,
        )
        .expect("a valid resize");
        let edge = |plane: &Plane| {
            plane
                .samples
                .iter()
                .map(|&sample| f64::from(255 - sample) / 255.0)
                .sum::<f64>()
        };
        let chroma = made.chroma.expect("colour in, colour out");
        assert!(
            (edge(&made.luma) - edge(&chroma[0])).abs() < 0.15,
            "{} {}",
            edge(&made.luma),
            edge(&chroma[0])
        );
    }
}

//! The format that a picture is written in, and what the encoder of that format takes: decided by numbers, before there are pixels.

use crate::options::{
    Color, Effects, Effort, Format, Formats, Output, Quality, QualityTarget, Recipe, Warning,
};

use crate::codecs::decode::Header;
use crate::codecs::sniff::SourceFormat;
use crate::codecs::{Limits, TransformError, encode};
use crate::pixels::{Size, Subsampling};
use crate::transform::plan::placement::Placement;

/// Refuses an output that is larger than any may be.
pub(crate) fn check_size(placement: &Placement, limits: &Limits) -> Result<(), TransformError> {
    let (size, limit) = (placement.layout.output(), limits.output_side);
    if size.width.max(size.height) > limit {
        return Err(TransformError::OutputTooLarge { size, limit });
    }
    Ok(())
}

/// The format for pixels of `size`, with and without alpha, and a warning where it is another one than was asked for.
pub(crate) fn format_for(
    recipe: &Recipe,
    alpha: bool,
    size: Size,
    limits: &Limits,
) -> (Format, Option<Warning>) {
    let compatible = if alpha { Format::Png } else { Format::Jpeg };
    let fits = |format| {
        let fits = size.width.max(size.height) <= encode::longest_side(format);
        fits && match format {
            Format::Avif => size.area() <= limits.avif_pixels,
            Format::Jxl => {
                size.area() <= limits.avif_pixels && has_room_for_jxl(size, alpha, limits)
            }
            _ => true,
        }
    };
    let mut formats = match recipe.output {
        Output::Compatible { .. } => return (compatible, None),
        // Facts and drawings are no pictures of pixels; what stands for them here is never written.
        Output::Jpeg { .. } | Output::Json | Output::Svg => return (Format::Jpeg, None),
        Output::Png => return (Format::Png, None),
        Output::Webp => only(&[Format::Webp]),
        // Every browser that shows one of the others shows WebP too.
        Output::Avif => only(&[Format::Avif, Format::Webp]),
        Output::Jxl => only(&[Format::Jxl, Format::Webp]),
        Output::Auto(formats) => formats,
    }
    .iter();
    let first = formats.next();
    match first {
        Some(first) if fits(first) => (first, None),
        first => {
            let warning = match first {
                Some(Format::Avif) => Some(Warning::new("image too large for AVIF")),
                Some(Format::Jxl) => Some(Warning::new("image too large for JPEG XL")),
                Some(Format::Webp) => Some(Warning::new("image too large for WebP")),
                _ => None,
            };
            (
                formats.find(|&format| fits(format)).unwrap_or(compatible),
                warning,
            )
        }
    }
}

/// Whether a JPEG XL of this size can be made within the memory of a render. Where it cannot, the next format takes less.
fn has_room_for_jxl(size: Size, alpha: bool, limits: &Limits) -> bool {
    /// The source, and what every render takes.
    const BESIDES: u64 = 40 << 20;
    let bytes = size.area().saturating_mul(encode::jxl_bytes(size, alpha));
    bytes.saturating_add(BESIDES) <= limits.render_memory.bytes()
}

/// A file as far as its numbers tell.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FileFacts {
    pub format: Format,
    pub size: Size,
    pub bytes: usize,
}

/// The format that a file is to be compared with before it is answered: AVIF, where it was written as JPEG XL, the AVIF may be smaller, and is
/// made as well as it ever will be.
pub(crate) fn alternative(recipe: &Recipe, effort: Effort, file: &FileFacts) -> Option<Format> {
    let is_open = file.format == Format::Jxl
        && has_alternative(recipe, effort, file.size)
        && !is_dense(recipe.quality, file);
    is_open.then_some(Format::Avif)
}

/// Whether a recipe may lead to such a comparison.
pub(crate) fn may_have_alternative(recipe: &Recipe, size: Size) -> bool {
    has_alternative(recipe, recipe.effort, size)
}

fn has_alternative(recipe: &Recipe, effort: Effort, size: Size) -> bool {
    let Output::Auto(formats) = recipe.output else {
        return false;
    };
    // Both could be made to fit into a number of bytes, and the smaller one would be the worse one.
    formats.contains(Format::Avif)
        && size.width.max(size.height) <= encode::longest_side(Format::Avif)
        && recipe.quality_target.size.is_none()
        && !encode::is_lossless(recipe.quality)
        && encode::is_settled(Format::Avif, size, recipe.quality, effort)
}

/// Whether an AVIF that looks the same would take more bytes than a JPEG XL: where that holds much detail, and at high qualities.
///
/// Of 42 pictures 800 pixels wide and 28 of 1600, JPEG XL takes fewer bytes at equal looks for nearly all that take more bits for each pixel than told
/// here, and AVIF for most others. From quality 91 on JPEG XL takes 12 % fewer at 800 pixels and 25 % at 1600, where it takes fewer from 81 on for
/// most; what is made of the same quality tells less than that. In between, and for thumbnails, both are made: of 40 pictures 320 pixels wide, JPEG XL
/// takes 11 to 22 % more bytes for nearly all.
fn is_dense(quality: Quality, file: &FileFacts) -> bool {
    /// Qualities, and hundredths of a bit for each pixel.
    const BITS: [(u8, u64); 4] = [(40, 60), (60, 90), (75, 130), (85, 120)];
    /// Pictures up to this size, in which there is more detail in fewer pixels, take twice as many.
    const SMALL: u64 = 150_000;
    const LARGE: u64 = 1_000_000;
    /// The qualities above which it is always smaller: for large pictures, and for others.
    const HIGH: (u8, u8) = (80, 90);
    let area = file.size.area();
    let quality = quality.get();
    if area > LARGE && quality > HIGH.0 || area > SMALL && quality > HIGH.1 {
        return true;
    }
    let Some((_, limit)) = BITS.iter().find(|(highest, _)| quality <= *highest) else {
        return false;
    };
    let limit = if area <= SMALL { 2 * limit } else { *limit };
    let bits = u64::try_from(file.bytes)
        .unwrap_or(u64::MAX)
        .saturating_mul(800);
    bits > limit.saturating_mul(area)
}

/// Whether an AVIF of so many bytes is answered in place of the JPEG XL. Of the same quality it mostly looks better where it is larger, so it is taken up
/// to 15 % more: that loses 2 % of the bytes against the smaller one at equal looks, and the smaller file would lose 4 %. Of the same score, the smaller
/// one is taken.
pub(crate) fn takes_alternative(recipe: &Recipe, jxl: usize, avif: usize) -> bool {
    match recipe.quality_target.score {
        Some(_) => avif < jxl,
        None => avif.saturating_mul(20) < jxl.saturating_mul(23),
    }
}

fn only(formats: &[Format]) -> Formats {
    Formats::ALL.filter(|format| formats.contains(&format))
}

/// The same for the opaque pixels of a placement.
pub(crate) fn opaque_format(
    placement: &Placement,
    recipe: &Recipe,
    limits: &Limits,
) -> (Format, Option<Warning>) {
    format_for(recipe, false, placement.layout.output(), limits)
}

/// The format in which a graphic of this size may be written without loss, if that is smaller than what the recipe names.
pub(crate) fn lossless_format(recipe: &Recipe, size: Size) -> Option<Format> {
    /// Pixels of the largest graphics that are tried: beyond, a first answer would take more than two seconds.
    const TRIED: u64 = 1 << 22;
    let has_webp = size.width.max(size.height) <= encode::longest_side(Format::Webp);
    let format = match recipe.output {
        Output::Webp if has_webp && !encode::is_lossless(recipe.quality) => Some(Format::Webp),
        Output::Auto(formats) if has_webp && formats.contains(Format::Webp) => Some(Format::Webp),
        Output::Auto(_) | Output::Compatible { progressive: true } => Some(Format::Png),
        _ => None,
    };
    format.filter(|_| size.area() <= TRIED)
}

/// Whether a source of this format may be its own rendition, though the recipe would write another format.
pub(crate) fn may_stay(recipe: &Recipe, own: Format) -> bool {
    let is_shown = matches!(own, Format::Jpeg | Format::Png | Format::Gif);
    match recipe.output {
        Output::Compatible { progressive: true } => is_shown,
        Output::Auto(formats) => is_shown || formats.contains(own),
        _ => false,
    }
}

/// Whether the pixels of a source may be those of a graphic that was never compressed with loss.
pub(crate) fn may_be_graphic(header: &Header) -> bool {
    match header.format {
        SourceFormat::Png
        | SourceFormat::Gif
        | SourceFormat::Bmp
        | SourceFormat::Pnm
        | SourceFormat::Qoi
        | SourceFormat::Ico
        | SourceFormat::Tiff
        | SourceFormat::JpegXl => true,
        SourceFormat::Webp => header.is_lossless,
        _ => false,
    }
}

/// Whether a JPEG is progressive: but for thumbnails, which that makes larger (4 % at 100 pixels, 1 % at 160; at 320 it saves 2 %), and
/// for pictures so large that their coefficients fill the memory.
pub(crate) fn is_progressive(output: Output, size: Size) -> bool {
    const SMALL: u32 = 200;
    const LARGE: u32 = 3000;
    let asked = !matches!(
        output,
        Output::Jpeg { progressive: false } | Output::Compatible { progressive: false }
    );
    asked && size.width.max(size.height) >= SMALL && size.width.min(size.height) <= LARGE
}

/// Whether nothing stands between resampling and an encoder that takes planes, so that pixels need not be put together in between. A
/// canvas cannot be laid around planes: its edge may cut a chroma sample.
pub(crate) fn takes_planes(placement: &Placement, recipe: &Recipe, limits: &Limits) -> bool {
    let layout = &placement.layout;
    layout.canvas.is_none()
        && layout.border.is_none()
        && recipe.effects.is_neutral()
        && encode::takes_planes(opaque_format(placement, recipe, limits).0, recipe.quality)
}

/// The chroma that is resampled for a recipe. Whether chroma at full size is worth its bytes shows only in the picture as it will be; and
/// turning needs chroma in place: where it would not be, it is turned at full size and halved afterwards. At low qualities chroma at half the
/// size is enough for WebP.
pub(crate) fn resampled_chroma(
    placement: &Placement,
    recipe: &Recipe,
    limits: &Limits,
) -> Subsampling {
    const FULL_CHROMA_OF_WEBP: u8 = 50;
    let (format, _) = opaque_format(placement, recipe, limits);
    let turn = placement.turn();
    let is_coarse = recipe.quality.get() < FULL_CHROMA_OF_WEBP && recipe.quality_target.is_none();
    if format == Format::Webp && is_coarse && turn.keeps_chroma_in_place(placement.target()) {
        Subsampling::Both
    } else {
        Subsampling::None
    }
}

/// What decides, beside the placement, how pixels are composed: recipes in which this is equal differ in their files alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CompositeKey {
    Planes,
    Pixels {
        wide_gamut: bool,
        background: Option<Color>,
        effects: Effects,
        /// Whether white stands behind what is transparent before there are effects.
        is_jpeg: bool,
    },
}

impl CompositeKey {
    /// How a recipe composes pixels that can (`has_planes`) or cannot become planes at once.
    pub(crate) fn of(
        has_planes: bool,
        placement: &Placement,
        recipe: &Recipe,
        limits: &Limits,
    ) -> Self {
        if has_planes && takes_planes(placement, recipe, limits) {
            return CompositeKey::Planes;
        }
        CompositeKey::Pixels {
            wide_gamut: recipe.wide_gamut,
            background: recipe.background,
            effects: recipe.effects.clone(),
            is_jpeg: matches!(recipe.output, Output::Jpeg { .. }),
        }
    }
}

/// Whether files of a picture of this size are compared with it, to find a quality.
pub(crate) fn is_compared(
    format: Format,
    target: QualityTarget,
    size: Size,
    limits: &Limits,
) -> bool {
    let is_lossy = matches!(
        format,
        Format::Jpeg | Format::Webp | Format::Avif | Format::Jxl
    );
    is_lossy && target.score.is_some() && has_room_for_comparison(size, limits)
}

/// Whether a comparison of two pictures takes no more than half the memory of a render.
pub(crate) fn has_room_for_comparison(size: Size, limits: &Limits) -> bool {
    // Both pictures in floating point at all scales, with their means and variances.
    const BYTES_PER_PIXEL: u64 = 200;
    size.area().saturating_mul(BYTES_PER_PIXEL) <= limits.render_memory.bytes() / 2
}

#[cfg(test)]
mod tests {
    use super::{FileFacts, alternative, format_for, takes_alternative};
    use crate::codecs::Limits;
    use crate::options::{
        Effort, FileSize, Format, Formats, Output, Quality, QualityTarget, Recipe, Score,
    };
    use crate::pixels::Size;
    use crate::units::ByteSize;

    fn recipe(quality: u8) -> Recipe {
        Recipe {
            output: Output::Auto(Formats::ALL),
            quality: Quality::new(quality).expect("from 1 to 100"),
            ..Recipe::default()
        }
    }

    /// A JPEG XL with so many hundredths of a bit for each of its pixels.
    fn file(size: Size, hundredths: usize) -> FileFacts {
        FileFacts {
            format: Format::Jxl,
            size,
            bytes: size.len() * hundredths / 800,
        }
    }

    const LARGE: Size = Size::new(800, 600);
    const THUMBNAIL: Size = Size::new(200, 150);

    #[track_caller]
    fn check(recipe: &Recipe, effort: Effort, file: &FileFacts, is_compared: bool) {
        let expected = is_compared.then_some(Format::Avif);
        assert_eq!(alternative(recipe, effort, file), expected, "{file:?}");
    }

    #[test]
    fn what_is_full_of_detail_is_not_made_twice() {
        for (quality, hundredths, is_compared) in [
            (30, 50, true),
            (30, 70, false),
            (60, 85, true),
            (60, 95, false),
            (75, 125, true),
            (75, 135, false),
            (85, 115, true),
            (85, 125, false),
            (90, 500, true),
            (91, 20, false),
        ] {
            let file = file(LARGE, hundredths);
            check(&recipe(quality), Effort::Settled, &file, is_compared);
        }
        check(&recipe(75), Effort::Settled, &file(THUMBNAIL, 250), true);
        check(&recipe(75), Effort::Settled, &file(THUMBNAIL, 270), false);
        check(&recipe(99), Effort::Settled, &file(THUMBNAIL, 500), true);
        let large = Size::new(1600, 900);
        check(&recipe(80), Effort::Settled, &file(large, 50), true);
        check(&recipe(81), Effort::Settled, &file(large, 50), false);
    }

    #[test]
    fn what_has_no_room_as_jpeg_xl_is_written_in_the_next_format() {
        let format = |side, mib| {
            let limits = Limits {
                render_memory: ByteSize::mib(mib),
                ..Limits::default()
            };
            format_for(&recipe(75), false, Size::new(side, side), &limits).0
        };
        assert_eq!(format(1000, 1024), Format::Jxl);
        assert_eq!(format(4800, 1024), Format::Jxl);
        // Beyond `avif_pixels`.
        assert_eq!(format(4900, 1024), Format::Webp);
        assert_eq!(format(1200, 100), Format::Avif);
        assert_eq!(format(900, 100), Format::Jxl);
    }

    #[test]
    fn of_the_same_score_the_smaller_one_is_taken() {
        let scored = Recipe {
            quality_target: QualityTarget {
                score: Score::new(80),
                size: None,
            },
            ..recipe(75)
        };
        for (jxl, avif, is_taken, is_taken_of_score) in [
            (1000, 999, true, true),
            (1000, 1000, true, false),
            (1000, 1149, true, false),
            (1000, 1150, false, false),
        ] {
            assert_eq!(takes_alternative(&recipe(75), jxl, avif), is_taken);
            assert_eq!(takes_alternative(&scored, jxl, avif), is_taken_of_score);
        }
    }

    #[test]
    fn only_thumbnails_are_compared_at_once() {
        check(&recipe(75), Effort::Quick, &file(LARGE, 50), false);
        check(&recipe(75), Effort::Quick, &file(THUMBNAIL, 50), true);
    }

    #[test]
    fn nothing_is_compared_that_would_not_be_an_answer() {
        let some = file(LARGE, 50);
        check(&recipe(100), Effort::Settled, &some, false);
        for output in [
            Output::Jxl,
            Output::Auto(Formats::ALL.filter(|format| format != Format::Avif)),
        ] {
            let recipe = Recipe {
                output,
                ..recipe(75)
            };
            check(&recipe, Effort::Settled, &some, false);
        }
        let webp = FileFacts {
            format: Format::Webp,
            ..some
        };
        check(&recipe(75), Effort::Settled, &webp, false);
        let fitted = Recipe {
            quality_target: QualityTarget {
                score: None,
                size: FileSize::new(5_000),
            },
            ..recipe(75)
        };
        check(&fitted, Effort::Settled, &some, false);
    }
}

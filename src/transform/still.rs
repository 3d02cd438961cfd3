//! One picture: decode, resize, turn, colour, encode. What `animation` does with every frame, and `describe` with a thumbnail, is here too.

use std::time::Instant;

use crate::options::Color;
use crate::options::Fit;
use crate::options::Format;
use crate::options::Gravity;
use crate::options::Output;
use crate::options::Quality;
use crate::options::Recipe;
use crate::options::Warning;

use super::Budget;
use super::Clues;
use super::Encoded;
use super::Limits;
use super::Timings;
use super::TransformError;
use super::canvas;
use super::color;
use super::color::ColorSpace;
use super::decode;
use super::decode::Decoded;
use super::decode::Header;
use super::decode::Wanted;
use super::decode::frames;
use super::effects;
use super::encode;
use super::encode::Chroma;
use super::encode::Picture;
use super::encode::Settings;
use super::geometry;
use super::geometry::Layout;
use super::metadata;
use super::pixels;
use super::pixels::Channels;
use super::pixels::Pixels;
use super::pixels::Planar;
use super::pixels::Raster;
use super::pixels::Size;
use super::plain_border;
use super::plan::Plan;
use super::resize;
use super::saliency::Saliency;
use super::sniff::Kind;
use super::unchanged;

/// The picture that a recipe describes, of a source that shows one picture, or of the first one of an animation.
pub(super) fn render(
    source: &[u8],
    header: &Header,
    recipe: &Recipe,
    clues: &Clues,
    budget: &Budget,
) -> Result<Encoded, TransformError> {
    let started = Instant::now();
    let prepared = prepare(source, header, recipe, clues, budget)?;
    let plan = prepared.plan.clone();
    let size = plan.layout.output();
    let wanted = prepared.wanted(takes_planes(recipe, &plan.layout));
    budget.limits.admit(price(header, size, wanted))?;
    let decoded = match prepared.decoded {
        Some(decoded) => decoded,
        None => decode::pixels(source, header, wanted)?,
    };
    let decode = started.elapsed();
    budget.check()?;

    let started = Instant::now();
    let same_colors = decoded.space == ColorSpace::Srgb && !decoded.pixels.is_cmyk();
    let made = match decoded.pixels {
        Pixels::Planar(planar) => {
            composed_planes(planar, decoded.extent, &plan, recipe, &budget.limits)?
        }
        Pixels::Raster(raster) => {
            let (raster, profile) =
                composed(raster, decoded.extent, &decoded.space, &plan, recipe)?;
            finished(raster, profile, recipe, &budget.limits)
        }
    };
    let resize = started.elapsed();
    budget.check()?;

    let started = Instant::now();
    let format = made.format;
    let kept = metadata::kept_of(source, header.kind, recipe.metadata, format);
    let (mut bytes, missed) = encode::aimed(
        &made.picture,
        format,
        recipe.quality,
        recipe.aim,
        budget,
        |quality| {
            let bytes = made.encode(recipe, quality)?;
            metadata::attach(bytes, format, &kept, made.profile.as_deref())
        },
    )?;
    let same_pixels = same_colors || made.profile.is_some();
    let mut warnings = made.warnings;
    warnings.extend(missed);
    if same_pixels
        && header.kind.format() == Some(format)
        && is_unchanged(source, header, recipe, &plan)
        && let Some(source) =
            unchanged::smaller_source(source, header.kind, recipe.metadata, &bytes)
    {
        bytes = source;
        warnings.push(Warning::new("original is smaller"));
    }
    let timings = Timings {
        decode,
        resize,
        encode: started.elapsed(),
    };
    Ok(Encoded {
        bytes,
        format,
        size,
        warnings,
        timings,
    })
}

/// Whether a recipe leaves every pixel of a source where and as it is, so that its own bytes are an answer.
fn is_unchanged(source: &[u8], header: &Header, recipe: &Recipe, plan: &Plan) -> bool {
    // Only a sequential JPEG can be decoded at a fraction of its size for less.
    let is_baseline = header.kind != Kind::Jpeg || header.is_scalable;
    let wants_baseline = recipe.output == Output::Jpeg { progressive: false };
    leaves_pixels(recipe, plan)
        && (is_baseline || !wants_baseline)
        // Its container turns it, and would again.
        && (header.kind != Kind::Avif || header.orientation.is_upright())
        && frames::animation(source, header.kind).is_none()
}

/// Whether a recipe leaves every stored pixel where and as it is. A search for a border is planned for the upright picture, so that
/// nothing is known of the stored one.
pub(super) fn leaves_pixels(recipe: &Recipe, plan: &Plan) -> bool {
    plan.changes_nothing()
        && recipe.trim.border.is_none()
        && recipe.effects.is_neutral()
        && recipe.background.is_none()
}

/// What is known before the pixels are resampled.
pub(super) struct Prepared {
    pub plan: Plan,
    /// Pixels, where the plan needed a look at them: upright already, in sRGB.
    pub decoded: Option<Decoded>,
}

impl Prepared {
    /// How the pixels are decoded, or were.
    pub fn wanted(&self, planes: bool) -> Wanted {
        match self.decoded {
            Some(_) => WHOLE,
            None => Wanted {
                denominator: decode::denominator(self.plan.layout.shrink()),
                planes,
            },
        }
    }
}

/// Every pixel of the source, ready to be looked at.
const WHOLE: Wanted = Wanted {
    denominator: 1,
    planes: false,
};

/// Plans a picture within the limits. Only a border that has to be found needs pixels for that, all of them.
pub(super) fn prepare(
    source: &[u8],
    header: &Header,
    recipe: &Recipe,
    clues: &Clues,
    budget: &Budget,
) -> Result<Prepared, TransformError> {
    let upright = header.orientation.size(header.size);
    let trimmed = geometry::trimmed(upright, &recipe.trim).ok_or(TransformError::ZeroSized)?;
    let saliency = clues.saliency.as_ref();
    let prepared = match recipe.trim.border {
        None => Prepared {
            plan: Plan::of(header.size, header.orientation, trimmed, recipe, saliency),
            decoded: None,
        },
        Some(border) => {
            budget.limits.admit(price(header, upright, WHOLE))?;
            let decoded = decode::pixels(source, header, WHOLE)?;
            budget.check()?;
            let raster = header.orientation.upright(color::to_srgb(
                decoded.pixels.into_raster()?,
                &decoded.space,
            )?);
            let trimmed = plain_border::inner(&raster, trimmed, &border);
            Prepared {
                plan: Plan::of(upright, Default::default(), trimmed, recipe, saliency),
                decoded: Some(Decoded {
                    extent: decode::whole(raster.size),
                    pixels: Pixels::Raster(raster),
                    space: ColorSpace::Srgb,
                }),
            }
        }
    };
    check_output(&prepared.plan, &budget.limits)?;
    Ok(prepared)
}

/// Refuses an output that is larger than any may be.
pub(super) fn check_output(plan: &Plan, limits: &Limits) -> Result<(), TransformError> {
    let (size, limit) = (plan.layout.output(), limits.output_side);
    if size.width.max(size.height) > limit {
        return Err(TransformError::OutputTooLarge { size, limit });
    }
    Ok(())
}

/// Longest side of the thumbnail that is looked at, in pixels.
pub(super) const LOOKED_AT: u32 = 256;

/// What catches the eye in a source, by a thumbnail of it.
pub(super) fn looked_at(
    source: &[u8],
    header: &Header,
    gravity: Gravity,
    budget: &Budget,
) -> Result<Saliency, TransformError> {
    let whole = Recipe {
        width: Some(LOOKED_AT),
        height: Some(LOOKED_AT),
        fit: Fit::ScaleDown,
        output: Output::Png,
        ..Recipe::default()
    };
    let prepared = prepare(source, header, &whole, &Clues::default(), budget)?;
    let wanted = prepared.wanted(false);
    budget
        .limits
        .admit(price(header, prepared.plan.layout.output(), wanted))?;
    let decoded = decode::pixels(source, header, wanted)?;
    let (raster, _) = composed(
        decoded.pixels.into_raster()?,
        decoded.extent,
        &decoded.space,
        &prepared.plan,
        &whole,
    )?;
    Ok(saliency(&raster, gravity))
}

/// What a gravity looks for in a thumbnail.
pub(super) fn saliency(thumbnail: &Raster, gravity: Gravity) -> Saliency {
    match gravity {
        Gravity::Entropy => Saliency::detail_of(thumbnail),
        _ => Saliency::of(thumbnail),
    }
}

/// What a pixel of the output takes, from canvas to encoder.
pub(super) const OUTPUT_BYTES_PER_PIXEL: u64 = 24;

/// Bytes that a render will hold at its worst: decoded source, output, and what an encoder keeps of it.
pub(super) fn price(header: &Header, output: Size, wanted: Wanted) -> u64 {
    // Lanczos3: six weights of 8 bytes, and what is beside them.
    const WEIGHT_BYTES_PER_SAMPLE: u64 = 64;
    let reduction = if header.is_scalable {
        u64::from(wanted.denominator).pow(2)
    } else {
        1
    };
    // Between its two passes the resizer holds one side as it is and the other as it will be, and weights for every sample of a side.
    let side = |side: u32| u64::from(side.div_ceil(wanted.denominator));
    let (width, height) = (side(header.size.width), side(header.size.height));
    let between = (width * u64::from(output.height)).max(u64::from(output.width) * height);
    let weights = WEIGHT_BYTES_PER_SAMPLE * (width + height);
    (header.size.area() / reduction * header.bytes_per_pixel)
        .saturating_add(output.area().saturating_mul(OUTPUT_BYTES_PER_PIXEL))
        .saturating_add(between.saturating_mul(header.bytes_per_pixel.min(8)))
        .saturating_add(weights)
}

/// Whether YCbCr planes can go the whole way. A canvas cannot be laid around them: its edge may cut a chroma sample.
fn takes_planes(recipe: &Recipe, layout: &Layout) -> bool {
    layout.canvas.is_none()
        && layout.border.is_none()
        && recipe.effects.is_neutral()
        && encode::takes_planes(opaque_format(recipe.output), recipe.quality)
}

/// Pixels ready for an encoder.
pub(super) struct Made {
    picture: Picture,
    pub format: Format,
    /// The ICC profile that they need to be seen right, where that is not sRGB.
    profile: Option<Vec<u8>>,
    pub warnings: Vec<Warning>,
}

impl Made {
    /// The file at a quality, without metadata and profile.
    pub fn encode(&self, recipe: &Recipe, quality: Quality) -> Result<Vec<u8>, TransformError> {
        let settings = Settings {
            quality,
            progressive: is_progressive(recipe.output, self.picture.size()),
            palette: recipe.palette,
        };
        encode::encode(&self.picture, self.format, settings)
    }
}

/// The layers between planes as decoded and planes as encoded.
fn composed_planes(
    planar: Planar,
    extent: (f64, f64),
    plan: &Plan,
    recipe: &Recipe,
    limits: &Limits,
) -> Result<Made, TransformError> {
    let (format, warnings) = expressible(
        opaque_format(recipe.output),
        false,
        plan.layout.output(),
        recipe,
        limits,
    );
    let (turn, target) = (plan.turn(), plan.target());
    let sampling = |chroma| encode::subsampling(format, recipe.quality, chroma);
    // Whether chroma at full size is worth its bytes shows only in the picture as it will be.
    let is_full = planar
        .chroma
        .as_ref()
        .is_some_and(|[cb, _]| cb.size == planar.luma.size);
    // Turning needs chroma in place; where it would not be, it is turned at full size and halved afterwards.
    let resampled = if turn.keeps_chroma_in_place(target) && !is_full {
        sampling(Chroma::Halved)
    } else {
        pixels::Subsampling::None
    };
    let planar = resize::planar(planar, extent, plan.crop(extent), target, resampled)?;
    let planar = turn.upright_planes(planar);
    let subsampling = match &planar.chroma {
        Some(chroma) if is_full => sampling(Chroma::Planes(chroma)),
        _ => sampling(Chroma::Halved),
    };
    let planar = if resampled == subsampling {
        planar
    } else {
        with_halved_chroma(planar)
    };
    Ok(Made {
        picture: Picture::Planar(planar, subsampling),
        format,
        profile: None,
        warnings,
    })
}

/// The layers between pixels as decoded and pixels as seen: resized, in the colours of the output (with the profile of these where
/// they are not sRGB), turned, on their background, with their effects, in their border.
pub(super) fn composed(
    raster: Raster,
    extent: (f64, f64),
    space: &ColorSpace,
    plan: &Plan,
    recipe: &Recipe,
) -> Result<(Raster, Option<Vec<u8>>), TransformError> {
    let raster = resize::raster(raster, plan.crop(extent), plan.target())?;
    let (raster, profile) = if recipe.wide_gamut {
        color::to_wide(raster, space)?
    } else {
        (color::to_srgb(raster, space)?, None)
    };
    let raster = backed(plan.turn().upright(raster), &plan.layout, recipe);
    // What a JPEG shows in place of transparency takes part in the effects.
    let raster = match recipe.output {
        Output::Jpeg { .. } => canvas::flatten(raster, Color::WHITE),
        _ => raster,
    };
    let raster = effects::apply(raster, &recipe.effects);
    let raster = match &plan.layout.border {
        Some(border) => canvas::framed(raster, border),
        None => raster,
    };
    Ok((raster, profile))
}

/// Puts the background behind the picture, where one was asked for, and around it, where the layout leaves room.
fn backed(raster: Raster, layout: &Layout, recipe: &Recipe) -> Raster {
    let raster = match recipe.background {
        Some(color) => canvas::flatten(raster, color),
        None => raster,
    };
    let raster = if raster.is_translucent() {
        raster
    } else {
        raster.without_alpha()
    };
    match layout.canvas {
        Some(canvas) => canvas::pad(raster, canvas, recipe.background.unwrap_or(Color::WHITE)),
        None => raster,
    }
}

/// The format for pixels as seen, and the pixels as that format takes them.
pub(super) fn finished(
    raster: Raster,
    profile: Option<Vec<u8>>,
    recipe: &Recipe,
    limits: &Limits,
) -> Made {
    let alpha = raster.channels == Channels::Rgba;
    let wanted = match recipe.output {
        Output::Compatible { .. } if alpha => Format::Png,
        output => opaque_format(output),
    };
    let (format, warnings) = expressible(wanted, alpha, raster.size, recipe, limits);
    let raster = if format.has_alpha() {
        raster
    } else {
        canvas::flatten(raster, Color::WHITE)
    };
    let size = raster.size;
    let picture = match raster.channels {
        Channels::Rgba => Picture::Rgba(size, raster.into_u8()),
        _ => Picture::Rgb(size, raster.into_u8()),
    };
    Made {
        picture,
        format,
        profile,
        warnings,
    }
}

fn with_halved_chroma(planar: Planar) -> Planar {
    Planar {
        chroma: planar
            .chroma
            .map(|planes| planes.each_ref().map(pixels::Plane::halved)),
        ..planar
    }
}

/// The format of an output without transparency. Facts and drawings are no pictures of pixels; what stands for them here is never written.
fn opaque_format(output: Output) -> Format {
    match output {
        Output::Compatible { .. } | Output::Jpeg { .. } | Output::Json | Output::Svg => {
            Format::Jpeg
        }
        Output::Png => Format::Png,
        Output::Webp => Format::Webp,
        Output::Avif => Format::Avif,
    }
}

/// The wanted format, or the one that takes its place where the picture is too large for it.
fn expressible(
    wanted: Format,
    alpha: bool,
    size: Size,
    recipe: &Recipe,
    limits: &Limits,
) -> (Format, Vec<Warning>) {
    let fits = |format| size.width.max(size.height) <= encode::longest_side(format);
    let compatible = if alpha { Format::Png } else { Format::Jpeg };
    match wanted {
        Format::Avif if size.area() > limits.avif_pixels || !fits(Format::Avif) => {
            let instead = if recipe.webp && fits(Format::Webp) {
                Format::Webp
            } else {
                compatible
            };
            (instead, vec![Warning::new("image too large for AVIF")])
        }
        Format::Webp if !fits(Format::Webp) => {
            (compatible, vec![Warning::new("image too large for WebP")])
        }
        format => (format, Vec::new()),
    }
}

/// Progressive JPEG, but for thumbnails, which it makes larger (4 % at 100 pixels, 1 % at 160; at 320 it saves 2 %), and for pictures so large that its coefficients fill the memory.
fn is_progressive(output: Output, size: Size) -> bool {
    const SMALL: u32 = 200;
    const LARGE: u32 = 3000;
    let asked = !matches!(
        output,
        Output::Jpeg { progressive: false } | Output::Compatible { progressive: false }
    );
    asked && size.width.max(size.height) >= SMALL && size.width.min(size.height) <= LARGE
}

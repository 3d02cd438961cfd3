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
use super::derivative::Basis;
use super::effects;
use super::encode;
use super::encode::Chroma;
use super::encode::Picture;
use super::encode::Settings;
use super::geometry;
use super::geometry::Layout;
use super::hdr;
use super::metadata;
use super::pixels;
use super::pixels::Channels;
use super::pixels::Planar;
use super::pixels::Raster;
use super::pixels::Size;
use super::plain_border;
use super::plan::Plan;
use super::price;
use super::resize;
use super::resize::Mixing;
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
    let wanted = prepared.wanted();
    let basis = Basis::of(source, header, wanted, clues);
    price::of_still(
        source,
        &basis,
        header,
        recipe,
        &plan,
        wanted,
        &budget.limits,
    )
    .within(&budget.limits)?;
    let decoded = match prepared.decoded {
        Some(decoded) => decoded,
        None => basis.decoded()?,
    };
    let decode = started.elapsed();
    budget.check()?;

    let started = Instant::now();
    let same_colors =
        decoded.space == ColorSpace::Srgb && decoded.raster.channels != Channels::Cmyk;
    let made = if takes_planes(&decoded, &plan, recipe, &budget.limits) {
        composed_planes(&decoded, &plan, recipe, &budget.limits)
    } else {
        let Decoded {
            raster,
            extent,
            space,
        } = decoded;
        let (raster, profile) = composed(raster, extent, &space, &plan, recipe)?;
        finished(raster, profile, recipe, &budget.limits)
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
    pub fn wanted(&self) -> Wanted {
        match self.decoded {
            Some(_) => WHOLE,
            None => Wanted {
                denominator: decode::denominator(self.plan.layout.shrink(), self.plan.stored()),
            },
        }
    }
}

/// Every pixel of the source, ready to be looked at.
pub(super) const WHOLE: Wanted = Wanted { denominator: 1 };

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
            price::of_search(source, header, WHOLE).within(&budget.limits)?;
            let decoded = decode::pixels(source, header, WHOLE)?;
            budget.check()?;
            let raster = header
                .orientation
                .upright(color::to_srgb(decoded.raster, &decoded.space)?);
            let trimmed = plain_border::inner(&raster, trimmed, &border);
            Prepared {
                plan: Plan::of(upright, Default::default(), trimmed, recipe, saliency),
                decoded: Some(Decoded {
                    extent: decode::whole(raster.size),
                    raster,
                    space: ColorSpace::Srgb,
                }),
            }
        }
    };
    check_output(&prepared.plan, &budget.limits)?;
    Ok(prepared)
}

/// What can be planned before any pixel is there: as if there were no border to be found, and nothing that catches the eye, which
/// changes no size.
pub(super) fn prospect(
    header: &Header,
    recipe: &Recipe,
    limits: &Limits,
) -> Result<Prepared, TransformError> {
    let upright = header.orientation.size(header.size);
    let trimmed = geometry::trimmed(upright, &recipe.trim).ok_or(TransformError::ZeroSized)?;
    let prospect = Prepared {
        plan: Plan::of(header.size, header.orientation, trimmed, recipe, None),
        decoded: None,
    };
    check_output(&prospect.plan, limits)?;
    Ok(prospect)
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

/// All of a picture, small.
pub(super) fn small() -> Recipe {
    Recipe {
        width: Some(LOOKED_AT),
        height: Some(LOOKED_AT),
        fit: Fit::ScaleDown,
        output: Output::Png,
        ..Recipe::default()
    }
}

/// What catches the eye in a source, by a thumbnail of it.
pub(super) fn looked_at(
    source: &[u8],
    header: &Header,
    gravity: Gravity,
    budget: &Budget,
) -> Result<Saliency, TransformError> {
    let whole = small();
    let prepared = prepare(source, header, &whole, &Clues::default(), budget)?;
    let wanted = prepared.wanted();
    let clues = Clues::default();
    let basis = Basis::of(source, header, wanted, &clues);
    price::of_thumbnail(source, &basis, header, &prepared.plan, wanted).within(&budget.limits)?;
    let decoded = decode::pixels(source, header, wanted)?;
    let (raster, _) = composed(
        decoded.raster,
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

/// Whether nothing stands between resampling and an encoder that takes planes, so that pixels need not be put together in between. A
/// canvas cannot be laid around planes: its edge may cut a chroma sample.
fn takes_planes(decoded: &Decoded, plan: &Plan, recipe: &Recipe, limits: &Limits) -> bool {
    let layout = &plan.layout;
    let (format, _) = expressible(
        opaque_format(recipe.output),
        false,
        layout.output(),
        recipe,
        limits,
    );
    matches!(decoded.raster.channels, Channels::Gray | Channels::Rgb)
        && decoded.space == ColorSpace::Srgb
        && layout.canvas.is_none()
        && layout.border.is_none()
        && recipe.effects.is_neutral()
        && encode::takes_planes(format, recipe.quality)
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
            effort: recipe.effort,
        };
        encode::encode(&self.picture, self.format, settings)
    }
}

/// The layers between pixels as decoded and planes as encoded.
fn composed_planes(decoded: &Decoded, plan: &Plan, recipe: &Recipe, limits: &Limits) -> Made {
    let (format, warnings) = expressible(
        opaque_format(recipe.output),
        false,
        plan.layout.output(),
        recipe,
        limits,
    );
    let (turn, target) = (plan.turn(), plan.target());
    let sampling = |chroma| encode::subsampling(format, recipe.quality, chroma);
    // Whether chroma at full size is worth its bytes shows only in the picture as it will be; and turning needs chroma in place: where it
    // would not be, it is turned at full size and halved afterwards.
    let is_open = format != Format::Webp && decoded.raster.channels != Channels::Gray;
    let resampled = if is_open || !turn.keeps_chroma_in_place(target) {
        pixels::Subsampling::None
    } else {
        sampling(Chroma::Halved)
    };
    let planar = resize::planes(
        &decoded.raster,
        plan.crop(decoded.extent),
        target,
        mixing(&decoded.space),
        resampled,
    );
    let planar = turn.upright_planes(planar);
    let subsampling = match &planar.chroma {
        Some(chroma) => sampling(Chroma::Planes(chroma)),
        None => sampling(Chroma::Halved),
    };
    let planar = if resampled == subsampling {
        planar
    } else {
        with_halved_chroma(planar)
    };
    Made {
        picture: Picture::Planar(planar, subsampling),
        format,
        profile: None,
        warnings,
    }
}

/// How samples of a colour space are mixed. Those of high dynamic range follow curves far from sRGB's.
fn mixing(space: &ColorSpace) -> Mixing {
    match space {
        ColorSpace::Cicp { transfer, .. } if hdr::is_hdr(*transfer) => Mixing::Stored,
        _ => Mixing::Light,
    }
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
    let raster = resize::raster(raster, plan.crop(extent), plan.target(), mixing(space));
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

/// The format that pixels will be written in.
pub(super) fn written_as(recipe: &Recipe, alpha: bool, size: Size, limits: &Limits) -> Format {
    let wanted = match recipe.output {
        Output::Compatible { .. } if alpha => Format::Png,
        output => opaque_format(output),
    };
    expressible(wanted, alpha, size, recipe, limits).0
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

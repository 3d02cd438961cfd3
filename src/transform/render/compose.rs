//! The layers between pixels as decoded and pixels as an encoder takes them: resized, in the colours of the output, turned, on their
//! background, with their effects, in their border; and the format that they will be written in.

use crate::options::Color;
use crate::options::Effects;
use crate::options::Format;
use crate::options::Output;
use crate::options::Quality;
use crate::options::Recipe;
use crate::options::Warning;

use crate::codecs::encode;
use crate::codecs::encode::Chroma;
use crate::codecs::encode::Picture;
use crate::codecs::encode::Settings;
use crate::pixels::Channels;
use crate::pixels::Pixels;
use crate::pixels::Planar;
use crate::pixels::Plane;
use crate::pixels::Raster;
use crate::pixels::Size;
use crate::pixels::Subsampling;
use crate::pixels::canvas;
use crate::pixels::color;
use crate::pixels::color::ColorSpace;
use crate::pixels::effects;
use crate::pixels::hdr;
use crate::pixels::of_both;
use crate::pixels::resize;
use crate::pixels::resize::Mixing;
use crate::pixels::resize::Planes;
use crate::transform::Limits;
use crate::transform::TransformError;
use crate::transform::plan::Plan;
use crate::transform::plan::geometry::Layout;

/// Pixels with nothing left to be done to them, of which several files may be made.
pub(crate) enum Composite {
    /// Upright planes, for encoders that take them.
    Planes(Planes),
    /// Pixels in the colours of the output, with the profile of these where they are not sRGB.
    Pixels(Raster, Option<Vec<u8>>),
}

impl Composite {
    /// What `recipes` ask for by one plan. They are of one `CompositeKey`.
    pub fn of(
        pixels: Pixels<'_>,
        extent: (f64, f64),
        space: &ColorSpace,
        plan: &Plan,
        recipes: &[&Recipe],
        limits: &Limits,
    ) -> Result<Composite, TransformError> {
        let Some(first) = recipes.first() else {
            return Err(TransformError::Resize("nobody asks for it".to_owned()));
        };
        if !has_planes(pixels.channels(), space) || !takes_planes(plan, first, limits) {
            let (raster, profile) = composed(pixels, extent, space, plan, first)?;
            return Ok(Composite::Pixels(raster, profile));
        }
        let is_wanted = |subsampling| {
            let mut resampled = recipes
                .iter()
                .map(|recipe| resampled(opaque(plan, recipe, limits).0, plan));
            resampled.any(|wanted| wanted == subsampling)
        };
        let (crop, target) = (plan.crop(extent), plan.target());
        let planes = resize::planes(pixels, crop, target, mixing(space), is_wanted)?;
        let turn = plan.turn();
        let turned = |plane| turn.upright_plane(plane);
        let both_turned =
            |chroma: Option<[Plane; 2]>| chroma.map(|chroma| of_both(chroma, turned)).transpose();
        Ok(Composite::Planes(Planes {
            luma: turned(planes.luma)?,
            full: both_turned(planes.full)?,
            halved: both_turned(planes.halved)?,
        }))
    }

    /// What of it one recipe needs.
    pub fn copy_for(
        &self,
        plan: &Plan,
        recipe: &Recipe,
        limits: &Limits,
    ) -> Result<Composite, TransformError> {
        match self {
            Composite::Planes(Planes { luma, full, halved }) => {
                let resampled = resampled(opaque(plan, recipe, limits).0, plan);
                let if_wanted = |chroma: &Option<[Plane; 2]>, subsampling| {
                    let wanted = chroma.as_ref().filter(|_| resampled == subsampling);
                    wanted
                        .map(|chroma| of_both(chroma.each_ref(), Plane::copy))
                        .transpose()
                };
                Ok(Composite::Planes(Planes {
                    luma: luma.copy()?,
                    full: if_wanted(full, Subsampling::None)?,
                    halved: if_wanted(halved, Subsampling::Both)?,
                }))
            }
            Composite::Pixels(raster, profile) => {
                Ok(Composite::Pixels(raster.copy()?, profile.clone()))
            }
        }
    }

    /// The pixels as the format of a recipe takes them.
    pub fn finished(
        self,
        plan: &Plan,
        recipe: &Recipe,
        limits: &Limits,
    ) -> Result<Encodable, TransformError> {
        match self {
            Composite::Planes(planes) => finished_planes(planes, plan, recipe, limits),
            Composite::Pixels(raster, profile) => finished(raster, profile, recipe, limits),
        }
    }
}

/// What decides, beside the plan, how pixels are composed: recipes in which this is equal differ in their files alone.
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
    pub fn of(has_planes: bool, plan: &Plan, recipe: &Recipe, limits: &Limits) -> CompositeKey {
        if has_planes && takes_planes(plan, recipe, limits) {
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

/// Whether what is drawn in sRGB shows the very colours that are stored.
pub(crate) fn has_output_colors(channels: Channels, space: &ColorSpace) -> bool {
    *space == ColorSpace::Srgb && channels != Channels::Cmyk
}

/// Whether pixels can become planes while they are resampled.
pub(crate) fn has_planes(channels: Channels, space: &ColorSpace) -> bool {
    matches!(channels, Channels::Gray | Channels::Rgb) && *space == ColorSpace::Srgb
}

/// Whether nothing stands between resampling and an encoder that takes planes, so that pixels need not be put together in between. A
/// canvas cannot be laid around planes: its edge may cut a chroma sample.
fn takes_planes(plan: &Plan, recipe: &Recipe, limits: &Limits) -> bool {
    let layout = &plan.layout;
    layout.canvas.is_none()
        && layout.border.is_none()
        && recipe.effects.is_neutral()
        && encode::takes_planes(opaque(plan, recipe, limits).0, recipe.quality)
}

/// Pixels ready for an encoder.
pub(crate) struct Encodable {
    pub picture: Picture,
    pub format: Format,
    /// The ICC profile that they need to be seen right, where that is not sRGB.
    pub profile: Option<Vec<u8>>,
    pub warnings: Vec<Warning>,
}

impl Encodable {
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

/// The chroma that is resampled for a format. Whether chroma at full size is worth its bytes shows only in the picture as it will be; and
/// turning needs chroma in place: where it would not be, it is turned at full size and halved afterwards.
fn resampled(format: Format, plan: &Plan) -> Subsampling {
    if format == Format::Webp && plan.turn().keeps_chroma_in_place(plan.target()) {
        Subsampling::Both
    } else {
        Subsampling::None
    }
}

fn finished_planes(
    planes: Planes,
    plan: &Plan,
    recipe: &Recipe,
    limits: &Limits,
) -> Result<Encodable, TransformError> {
    let (format, warnings) = opaque(plan, recipe, limits);
    let sampling = |chroma| encode::subsampling(format, recipe.quality, chroma);
    let Planes { luma, full, halved } = planes;
    let is_halved = resampled(format, plan) == Subsampling::Both;
    let (chroma, subsampling) = match full.filter(|_| !is_halved) {
        Some(full) => match sampling(Chroma::Planes(&full)) {
            Subsampling::None => (Some(full), Subsampling::None),
            Subsampling::Both => {
                let halved = of_both(full.each_ref(), Plane::halved)?;
                (Some(halved), Subsampling::Both)
            }
        },
        None => (halved, sampling(Chroma::Halved)),
    };
    Ok(Encodable {
        picture: Picture::Planar(Planar { luma, chroma }, subsampling),
        format,
        profile: None,
        warnings,
    })
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
pub(crate) fn composed(
    pixels: Pixels<'_>,
    extent: (f64, f64),
    space: &ColorSpace,
    plan: &Plan,
    recipe: &Recipe,
) -> Result<(Raster, Option<Vec<u8>>), TransformError> {
    let raster = resize::raster(pixels, plan.crop(extent), plan.target(), mixing(space))?;
    let (raster, profile) = if recipe.wide_gamut {
        color::to_wide(raster, space)?
    } else {
        (color::to_srgb(raster, space)?, None)
    };
    let raster = backed(plan.turn().upright(raster)?, &plan.layout, recipe)?;
    // What a JPEG shows in place of transparency takes part in the effects.
    let raster = match recipe.output {
        Output::Jpeg { .. } => canvas::flatten(raster, Color::WHITE)?,
        _ => raster,
    };
    let raster = effects::apply(raster, &recipe.effects)?;
    let raster = match &plan.layout.border {
        Some(border) => canvas::framed(raster, border)?,
        None => raster,
    };
    Ok((raster, profile))
}

/// Puts the background behind the picture, where one was asked for, and around it, where the layout leaves room.
fn backed(raster: Raster, layout: &Layout, recipe: &Recipe) -> Result<Raster, TransformError> {
    let raster = match recipe.background {
        Some(color) => canvas::flatten(raster, color)?,
        None => raster,
    };
    let raster = if raster.is_translucent() {
        raster
    } else {
        raster.without_alpha()?
    };
    Ok(match layout.canvas {
        Some(canvas) => canvas::pad(raster, canvas, recipe.background.unwrap_or(Color::WHITE))?,
        None => raster,
    })
}

/// The format for pixels as seen, and the pixels as that format takes them.
pub(crate) fn finished(
    raster: Raster,
    profile: Option<Vec<u8>>,
    recipe: &Recipe,
    limits: &Limits,
) -> Result<Encodable, TransformError> {
    let alpha = raster.channels == Channels::Rgba;
    let wanted = match recipe.output {
        Output::Compatible { .. } if alpha => Format::Png,
        output => opaque_format(output),
    };
    let (format, warnings) = expressible(wanted, alpha, raster.size, recipe, limits);
    let raster = if format.has_alpha() {
        raster
    } else {
        canvas::flatten(raster, Color::WHITE)?
    };
    let size = raster.size;
    let picture = match raster.channels {
        Channels::Rgba => Picture::Rgba(size, raster.into_u8()?),
        _ => Picture::Rgb(size, raster.into_u8()?),
    };
    Ok(Encodable {
        picture,
        format,
        profile,
        warnings,
    })
}

/// The format that pixels will be written in.
pub(crate) fn written_as(recipe: &Recipe, alpha: bool, size: Size, limits: &Limits) -> Format {
    let wanted = match recipe.output {
        Output::Compatible { .. } if alpha => Format::Png,
        output => opaque_format(output),
    };
    expressible(wanted, alpha, size, recipe, limits).0
}

/// The format that opaque pixels will be written in, with a warning where it is another than was asked for.
fn opaque(plan: &Plan, recipe: &Recipe, limits: &Limits) -> (Format, Vec<Warning>) {
    let size = plan.layout.output();
    expressible(opaque_format(recipe.output), false, size, recipe, limits)
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
pub(crate) fn is_progressive(output: Output, size: Size) -> bool {
    const SMALL: u32 = 200;
    const LARGE: u32 = 3000;
    let asked = !matches!(
        output,
        Output::Jpeg { progressive: false } | Output::Compatible { progressive: false }
    );
    asked && size.width.max(size.height) >= SMALL && size.width.min(size.height) <= LARGE
}

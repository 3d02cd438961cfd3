//! The layers between pixels as decoded and pixels as an encoder takes them: resized, in the colours of the output, turned, on their
//! background, with their effects, in their border; and the format that they will be written in.

use crate::options::Color;
use crate::options::Format;
use crate::options::Output;
use crate::options::Quality;
use crate::options::Recipe;
use crate::options::Warning;

use super::Limits;
use super::TransformError;
use super::canvas;
use super::color;
use super::color::ColorSpace;
use super::decode::Decoded;
use super::effects;
use super::encode;
use super::encode::Chroma;
use super::encode::Picture;
use super::encode::Settings;
use super::geometry::Layout;
use super::hdr;
use super::pixels;
use super::pixels::Channels;
use super::pixels::Planar;
use super::pixels::Raster;
use super::pixels::Size;
use super::plan::Plan;
use super::resize;
use super::resize::Mixing;

/// Whether nothing stands between resampling and an encoder that takes planes, so that pixels need not be put together in between. A
/// canvas cannot be laid around planes: its edge may cut a chroma sample.
pub(super) fn takes_planes(
    decoded: &Decoded,
    plan: &Plan,
    recipe: &Recipe,
    limits: &Limits,
) -> bool {
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
    pub picture: Picture,
    pub format: Format,
    /// The ICC profile that they need to be seen right, where that is not sRGB.
    pub profile: Option<Vec<u8>>,
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
pub(super) fn composed_planes(
    decoded: &Decoded,
    plan: &Plan,
    recipe: &Recipe,
    limits: &Limits,
) -> Made {
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

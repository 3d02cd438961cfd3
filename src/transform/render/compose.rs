//! The steps between pixels as decoded and pixels as an encoder takes them.
//!
//! Where every pixel goes was decided before, as one value: a [`Placement`]. So what is trimmed, cropped and scaled is one pass over the
//! stored pixels, and only the few that are left are turned.

use std::borrow::Cow;

use crate::options::{Color, Format, Output, Quality, Recipe, Warning};

use crate::codecs::decode::{DecodedImage, Header};
use crate::codecs::encode::{Chroma, Content, Picture, Settings};
use crate::codecs::{Limits, TransformError, decode, encode};
use crate::pixels::color::ColorSpace;
use crate::pixels::resize::{Planes, ResampleSpace};
use crate::pixels::{
    Channels, Pixels, Planar, Plane, Raster, Samples, Subsampling, canvas, color, effects, hdr,
    of_both, resize,
};
use crate::transform::plan::output;
use crate::transform::plan::placement::Placement;

/// Pixels as decoded, and how they are to be read.
pub(crate) struct SourcePixels<'a> {
    pub pixels: Pixels<'a>,
    /// The size that the samples stand for, in samples: see `Rect`.
    pub extent: (f64, f64),
    pub space: Cow<'a, ColorSpace>,
    /// Whether they stay pixels, because a file without loss may be the smallest.
    pub is_graphic: bool,
}

/// Whether decoded pixels are a graphic, of a source that does not rule it out.
pub(crate) fn is_graphic(header: &Header, raster: &Raster) -> bool {
    output::may_be_graphic(header) && Content::of_raster(raster).is_graphic()
}

impl SourcePixels<'_> {
    /// All pixels of a decode.
    pub(super) fn of(decoded: DecodedImage) -> Self {
        SourcePixels {
            is_graphic: false,
            pixels: decoded.raster.into(),
            extent: decoded.extent,
            space: Cow::Owned(decoded.space),
        }
    }

    /// All pixels of a picture in sRGB.
    pub(super) fn of_srgb(raster: Raster) -> Self {
        SourcePixels {
            extent: decode::full_extent(raster.size),
            pixels: raster.into(),
            is_graphic: true,
            space: Cow::Owned(ColorSpace::Srgb),
        }
    }

    /// Whether the colours in sRGB are the very colours that are stored.
    fn has_source_colors(&self) -> bool {
        *self.space == ColorSpace::Srgb && self.pixels.channels() != Channels::Cmyk
    }

    /// Whether pixels can become planes while they are resampled.
    fn has_planes(&self) -> bool {
        !self.is_graphic && has_planes(self.pixels.channels(), &self.space)
    }
}

/// Whether pixels can become planes while they are resampled.
pub(crate) fn has_planes(channels: Channels, space: &ColorSpace) -> bool {
    matches!(channels, Channels::Gray | Channels::Rgb) && *space == ColorSpace::Srgb
}

/// The picture of a recipe, step by step.
pub(crate) fn compose(
    source: SourcePixels<'_>,
    placement: &Placement,
    recipe: &Recipe,
) -> Result<ComposedPixels, TransformError> {
    let has_source_colors = source.has_source_colors();
    let space = source.space;
    let raster = trim_and_resize(source.pixels, source.extent, placement, mixing(&space))?;
    let (raster, profile) = convert_colors(raster, &space, recipe)?;
    let raster = flip_and_rotate(raster, placement)?;
    let raster = fill_background(raster, recipe)?;
    let raster = drop_unused_alpha(raster)?;
    let raster = pad(raster, placement, recipe)?;
    let raster = flatten_for_jpeg(raster, recipe)?;
    let raster = apply_effects(raster, recipe)?;
    let raster = draw_border(raster, placement)?;
    Ok(ComposedPixels {
        raster,
        profile,
        has_source_colors,
    })
}

fn trim_and_resize(
    pixels: Pixels<'_>,
    extent: (f64, f64),
    placement: &Placement,
    mixing: ResampleSpace,
) -> Result<Raster, TransformError> {
    let (crop, target) = (placement.crop(extent), placement.target());
    Ok(resize::raster(pixels, crop, target, mixing)?)
}

fn convert_colors(
    raster: Raster,
    space: &ColorSpace,
    recipe: &Recipe,
) -> Result<(Raster, Option<Vec<u8>>), TransformError> {
    if recipe.wide_gamut {
        Ok(color::to_wide(raster, space)?)
    } else {
        Ok((color::to_srgb(raster, space)?, None))
    }
}

fn flip_and_rotate(raster: Raster, placement: &Placement) -> Result<Raster, TransformError> {
    Ok(placement.turn().upright(raster)?)
}

fn fill_background(raster: Raster, recipe: &Recipe) -> Result<Raster, TransformError> {
    Ok(match recipe.background {
        Some(color) => canvas::flatten(raster, color)?,
        None => raster,
    })
}

fn drop_unused_alpha(raster: Raster) -> Result<Raster, TransformError> {
    Ok(if raster.is_translucent() {
        raster
    } else {
        raster.without_alpha()?
    })
}

fn pad(raster: Raster, placement: &Placement, recipe: &Recipe) -> Result<Raster, TransformError> {
    Ok(match placement.layout.canvas {
        Some(canvas) => canvas::pad(raster, canvas, recipe.background.unwrap_or(Color::WHITE))?,
        None => raster,
    })
}

/// What a JPEG shows in place of transparency takes part in the effects.
fn flatten_for_jpeg(raster: Raster, recipe: &Recipe) -> Result<Raster, TransformError> {
    Ok(match recipe.output {
        Output::Jpeg { .. } => canvas::flatten(raster, Color::WHITE)?,
        _ => raster,
    })
}

fn apply_effects(raster: Raster, recipe: &Recipe) -> Result<Raster, TransformError> {
    Ok(effects::apply(raster, &recipe.effects)?)
}

fn draw_border(raster: Raster, placement: &Placement) -> Result<Raster, TransformError> {
    Ok(match &placement.layout.border {
        Some(border) => canvas::framed(raster, border)?,
        None => raster,
    })
}

/// How samples of a colour space are mixed. Those of high dynamic range follow curves far from sRGB's.
fn mixing(space: &ColorSpace) -> ResampleSpace {
    match space {
        ColorSpace::Cicp { transfer, .. } if hdr::is_hdr(*transfer) => ResampleSpace::Encoded,
        _ => ResampleSpace::Linear,
    }
}

/// A composed picture, of which several files may be made.
pub(crate) enum Composite {
    /// Upright planes, for encoders that take them. Only sources in sRGB come as planes.
    Planes(Planes),
    Pixels(ComposedPixels),
}

/// Pixels in the colours of the output.
pub(crate) struct ComposedPixels {
    pub raster: Raster,
    /// The ICC profile of the colours, where they are not sRGB.
    pub profile: Option<Vec<u8>>,
    /// Whether the colours of the source are as they were.
    pub has_source_colors: bool,
}

impl Composite {
    /// What `recipes` ask for at one placement. They have one `CompositeKey`.
    pub(super) fn of(
        source: SourcePixels<'_>,
        placement: &Placement,
        recipes: &[&Recipe],
        limits: &Limits,
    ) -> Result<Composite, TransformError> {
        let Some(first) = recipes.first() else {
            return Err(TransformError::Resize("nobody asks for it".to_owned()));
        };
        if source.has_planes() && output::takes_planes(placement, first, limits) {
            let is_needed = |subsampling| {
                let needs = |recipe: &&Recipe| {
                    output::resampled_chroma(placement, recipe, limits) == subsampling
                };
                recipes.iter().any(needs)
            };
            return Ok(Composite::Planes(compose_planes(
                source, placement, is_needed,
            )?));
        }
        Ok(Composite::Pixels(compose(source, placement, first)?))
    }

    /// What of it one recipe needs.
    pub(super) fn copy_for(
        &self,
        placement: &Placement,
        recipe: &Recipe,
        limits: &Limits,
    ) -> Result<Composite, TransformError> {
        Ok(match self {
            Composite::Planes(Planes { luma, full, halved }) => {
                let resampled = output::resampled_chroma(placement, recipe, limits);
                let if_needed = |chroma: &Option<[Plane; 2]>, subsampling| {
                    let needed = chroma.as_ref().filter(|_| resampled == subsampling);
                    needed
                        .map(|chroma| of_both(chroma.each_ref(), Plane::copy))
                        .transpose()
                };
                Composite::Planes(Planes {
                    luma: luma.copy()?,
                    full: if_needed(full, Subsampling::None)?,
                    halved: if_needed(halved, Subsampling::Both)?,
                })
            }
            Composite::Pixels(pixels) => Composite::Pixels(ComposedPixels {
                raster: pixels.raster.copy()?,
                profile: pixels.profile.clone(),
                has_source_colors: pixels.has_source_colors,
            }),
        })
    }

    /// The pixels as the format of a recipe takes them.
    pub(super) fn finish(
        self,
        placement: &Placement,
        recipe: &Recipe,
        limits: &Limits,
    ) -> Result<Encodable, TransformError> {
        match self {
            Composite::Planes(planes) => finish_planes(planes, placement, recipe, limits),
            Composite::Pixels(pixels) => finish_pixels(pixels, recipe, limits),
        }
    }
}

/// The same steps where planes are enough: resize and rotate, and nothing else.
fn compose_planes(
    source: SourcePixels<'_>,
    placement: &Placement,
    is_needed: impl Fn(Subsampling) -> bool,
) -> Result<Planes, TransformError> {
    let mixing = mixing(&source.space);
    let (crop, target) = (placement.crop(source.extent), placement.target());
    let planes = resize::planes(source.pixels, crop, target, mixing, is_needed)?;
    let turn = placement.turn();
    let turned = |plane| turn.upright_plane(plane);
    let both_turned =
        |chroma: Option<[Plane; 2]>| chroma.map(|chroma| of_both(chroma, turned)).transpose();
    Ok(Planes {
        luma: turned(planes.luma)?,
        full: both_turned(planes.full)?,
        halved: both_turned(planes.halved)?,
    })
}

/// Pixels ready for an encoder.
pub(crate) struct Encodable {
    pub picture: Picture,
    pub format: Format,
    /// The ICC profile that they need to be seen right, where that is not sRGB.
    pub profile: Option<Vec<u8>>,
    /// Whether the colours of the source are as they were.
    pub has_source_colors: bool,
    /// That the format is another one than was asked for.
    pub warning: Option<Warning>,
}

impl Encodable {
    /// The same for a format that takes pixels of 8 bits.
    pub(super) fn into_format(self, format: Format) -> Result<Self, TransformError> {
        let picture = match self.picture {
            Picture::Deep(size, channels, samples) => {
                let samples = Samples::U16(samples).into_u8()?;
                match channels {
                    Channels::Rgba => Picture::Rgba(size, samples),
                    _ => Picture::Rgb(size, samples),
                }
            }
            other => other,
        };
        Ok(Encodable {
            picture,
            format,
            ..self
        })
    }

    /// The file at a quality, without metadata and profile.
    pub(super) fn encode(
        &self,
        recipe: &Recipe,
        quality: Quality,
    ) -> Result<Vec<u8>, TransformError> {
        let settings = Settings {
            quality,
            progressive: output::is_progressive(recipe.output, self.picture.size()),
            palette: recipe.palette,
            effort: recipe.effort,
            profile: self.profile.as_deref(),
        };
        encode::encode(&self.picture, self.format, settings)
    }
}

fn finish_planes(
    planes: Planes,
    placement: &Placement,
    recipe: &Recipe,
    limits: &Limits,
) -> Result<Encodable, TransformError> {
    let (format, warning) = output::opaque_format(placement, recipe, limits);
    let sampling = |chroma| encode::subsampling(format, recipe.quality, chroma);
    let Planes { luma, full, halved } = planes;
    let is_halved = output::resampled_chroma(placement, recipe, limits) == Subsampling::Both;
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
        has_source_colors: true,
        warning,
    })
}

/// Composed pixels as the format of a recipe takes them.
pub(crate) fn finish_pixels(
    pixels: ComposedPixels,
    recipe: &Recipe,
    limits: &Limits,
) -> Result<Encodable, TransformError> {
    let raster = pixels.raster;
    let alpha = raster.channels == Channels::Rgba;
    let (format, warning) = output::format_for(recipe, alpha, raster.size, limits);
    let raster = if format.has_alpha() {
        raster
    } else {
        canvas::flatten(raster, Color::WHITE)?
    };
    let size = raster.size;
    let picture = match (raster.channels, raster.samples) {
        (channels, Samples::U16(samples)) if format == Format::Jxl => {
            Picture::Deep(size, channels, samples)
        }
        (Channels::Rgba, samples) => Picture::Rgba(size, samples.into_u8()?),
        (_, samples) => Picture::Rgb(size, samples.into_u8()?),
    };
    Ok(Encodable {
        picture,
        format,
        profile: pixels.profile,
        has_source_colors: pixels.has_source_colors,
        warning,
    })
}

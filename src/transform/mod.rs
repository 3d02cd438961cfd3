//! Bytes in, bytes out: a source picture becomes the picture that a recipe describes. Synchronous and pure: no socket, no file,
//! no HTTP, and no pixel before the limits have seen the header.

mod blur;
mod canvas;
mod color;
mod decode;
mod effects;
mod encode;
mod facts;
mod geometry;
mod hdr;
mod metadata;
mod motion;
mod orientation;
mod pixels;
mod plain_border;
mod resize;
mod saliency;
mod sniff;
mod svg;
mod unchanged;

use std::fmt;
use std::time::Duration;
use std::time::Instant;

use crate::options::Color;
use crate::options::Format;
use crate::options::Output;
use crate::options::Recipe;
use crate::options::Warning;
use crate::units::ByteSize;

use self::decode::Decoded;
use self::decode::Header;
use self::decode::Wanted;
use self::encode::Picture;
use self::encode::Settings;
use self::geometry::Layout;
use self::pixels::Channels;
use self::pixels::Pixels;
use self::pixels::Planar;
use self::pixels::Raster;

pub use self::pixels::Size;
pub use self::sniff::Foreign;

/// What bounds one render, from the section `[limits]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Pixels of a source, all of them: width times height.
    pub source_pixels: u64,
    /// The longest side of an output, in pixels.
    pub output_side: u32,
    /// What one render may allocate, by the estimate from its header.
    pub render_memory: ByteSize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            source_pixels: 100_000_000,
            output_side: 12_000,
            render_memory: ByteSize::gib(1),
        }
    }
}

/// What one render may spend.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Sizes it must stay within.
    pub limits: Limits,
    /// When its answer is of no use any more. It is looked at between the steps: a codec cannot be stopped.
    pub deadline: Instant,
}

impl Budget {
    fn check(&self) -> Result<(), TransformError> {
        if Instant::now() < self.deadline {
            Ok(())
        } else {
            Err(TransformError::OutOfTime)
        }
    }
}

/// A finished picture.
#[derive(Debug)]
pub struct Encoded {
    /// The file.
    pub bytes: Vec<u8>,
    /// What it is.
    pub format: Format,
    /// Its size in pixels.
    pub size: Size,
    /// Where it differs from what was asked for.
    pub warnings: Vec<Warning>,
    /// Time spent on each step.
    pub timings: Timings,
}

/// Time spent on each step of a render.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timings {
    /// From bytes to pixels.
    pub decode: Duration,
    /// Resampling, colour, orientation and background.
    pub resize: Duration,
    /// From pixels to bytes.
    pub encode: Duration,
}

/// Why a source could not be made into the picture that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TransformError {
    /// The bytes are of no kind that shows a picture.
    NotAnImage,
    /// A picture of a kind that is no source.
    UnsupportedFormat(Foreign),
    /// A side of zero pixels.
    ZeroSized,
    /// More pixels than the limit.
    TooManyPixels {
        /// Size of the source.
        size: Size,
        /// The limit in pixels.
        limit: u64,
    },
    /// More memory than one render may have.
    TooCostly {
        /// The estimate, in bytes.
        bytes: u64,
        /// The limit, in bytes.
        limit: u64,
    },
    /// An output side beyond the limit.
    OutputTooLarge {
        /// Size of the output.
        size: Size,
        /// The limit of either side, in pixels.
        limit: u32,
    },
    /// The deadline passed between two steps.
    OutOfTime,
    /// The source is damaged.
    Decode(String),
    /// A colour profile could not be applied.
    Color(String),
    /// Resampling failed.
    Resize(String),
    /// The output could not be written.
    Encode(String),
}

/// What every build decodes, as the texts of the errors list it.
const SOURCES: &str = "JPEG, PNG, WebP, GIF, AVIF, JPEG XL, TIFF, BMP, ICO, PNM or QOI";

impl fmt::Display for TransformError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TransformError::NotAnImage => write!(out, "the source is not an image: use {SOURCES}"),
            TransformError::UnsupportedFormat(Foreign::Heic) => write!(
                out,
                "the source is HEIC, which this build of the server does not decode: build it with `--features heic`, which needs libheif, or use {SOURCES}"
            ),
            TransformError::UnsupportedFormat(kind) => {
                write!(
                    out,
                    "the source is {}, which cannot be transformed: use {SOURCES}",
                    kind.name()
                )
            }
            TransformError::ZeroSized => write!(out, "The image has width or height of size 0"),
            TransformError::TooManyPixels { size, limit } => {
                write!(
                    out,
                    "the source has {}x{} pixels, at most {limit} in all are allowed",
                    size.width, size.height
                )
            }
            TransformError::TooCostly { bytes, limit } => {
                write!(
                    out,
                    "the transformation would take {bytes} bytes of memory, at most {limit} are allowed"
                )
            }
            TransformError::OutputTooLarge { size, limit } => write!(
                out,
                "The image enlarged too much: {}×{}, but maximum dimension allowed is {limit}",
                size.width, size.height
            ),
            TransformError::OutOfTime => write!(out, "the transformation took too long"),
            TransformError::Decode(cause) => {
                write!(out, "the source could not be decoded: {cause}")
            }
            TransformError::Color(cause) => {
                write!(out, "the colour profile could not be applied: {cause}")
            }
            TransformError::Resize(cause) => {
                write!(out, "the picture could not be resized: {cause}")
            }
            TransformError::Encode(cause) => {
                write!(out, "the picture could not be encoded: {cause}")
            }
        }
    }
}

impl std::error::Error for TransformError {}

/// Makes the picture that `recipe` describes from the bytes of a source.
///
/// # Errors
/// Every variant of `TransformError`; no input makes it panic on purpose, allocate before the limits are checked, or run on long
/// after the deadline.
pub fn render(source: &[u8], recipe: &Recipe, budget: &Budget) -> Result<Encoded, TransformError> {
    let started = Instant::now();
    let header = decode::header(source)?;
    let limits = &budget.limits;
    if header.size.area() > limits.source_pixels {
        return Err(TransformError::TooManyPixels {
            size: header.size,
            limit: limits.source_pixels,
        });
    }
    let layout = geometry::layout(header.orientation.size(header.size), recipe);
    let size = layout.output();
    if size.width.max(size.height) > limits.output_side {
        return Err(TransformError::OutputTooLarge {
            size,
            limit: limits.output_side,
        });
    }
    let wanted = Wanted {
        denominator: decode::denominator(layout.shrink()),
        planes: takes_planes(recipe, &layout),
    };
    let (bytes, limit) = (
        price(&header, &layout, wanted),
        limits.render_memory.bytes(),
    );
    if bytes > limit {
        return Err(TransformError::TooCostly { bytes, limit });
    }
    let decoded = decode::pixels(source, &header, wanted)?;
    let decode = started.elapsed();
    budget.check()?;

    let started = Instant::now();
    let (picture, format, warnings) = compose(decoded, &header, &layout, recipe)?;
    let resize = started.elapsed();
    budget.check()?;

    let started = Instant::now();
    let settings = Settings {
        quality: recipe.quality,
        progressive: is_progressive(recipe.output, size),
    };
    let bytes = encode::encode(&picture, format, settings)?;
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

/// Bytes that a render will hold at its worst: decoded source, output, and what an encoder keeps of it.
fn price(header: &Header, layout: &Layout, wanted: Wanted) -> u64 {
    const OUTPUT_BYTES_PER_PIXEL: u64 = 24;
    let reduction = if header.is_scalable {
        u64::from(wanted.denominator).pow(2)
    } else {
        1
    };
    header.size.area() / reduction * header.bytes_per_pixel
        + layout.output().area() * OUTPUT_BYTES_PER_PIXEL
}

/// Whether YCbCr planes can go the whole way. A canvas cannot be laid around them: its edge may cut a chroma sample.
fn takes_planes(recipe: &Recipe, layout: &Layout) -> bool {
    layout.canvas.is_none() && encode::takes_planes(opaque_format(recipe.output), recipe.quality)
}

/// Layers that come between pixels as decoded and pixels as encoded.
fn compose(
    decoded: Decoded,
    header: &Header,
    layout: &Layout,
    recipe: &Recipe,
) -> Result<(Picture, Format, Vec<Warning>), TransformError> {
    let orientation = header.orientation;
    let upright = orientation.size(header.size);
    let (across, down) = (
        decoded.extent.0 / f64::from(header.size.width),
        decoded.extent.1 / f64::from(header.size.height),
    );
    let crop = orientation
        .stored_rect(layout.crop, upright)
        .scaled(across, down);
    let target = orientation.size(layout.scaled);
    match decoded.pixels {
        Pixels::Planar(planar) => {
            let (format, warnings) = expressible(opaque_format(recipe.output), false, layout);
            let subsampling = encode::subsampling(format, recipe.quality);
            // Turning needs chroma in place; where it would not be, it is turned at full size and halved afterwards.
            let resampled = if orientation.keeps_chroma_in_place(target) {
                subsampling
            } else {
                pixels::Subsampling::None
            };
            let planar = resize::planar(planar, decoded.extent, crop, target, resampled)?;
            let planar = orientation.upright_planes(planar);
            let planar = if resampled == subsampling {
                planar
            } else {
                with_halved_chroma(planar)
            };
            Ok((Picture::Planar(planar, subsampling), format, warnings))
        }
        Pixels::Raster(raster) => {
            let raster = resize::raster(raster, crop, target)?;
            let raster = orientation.upright(color::to_srgb(raster, &decoded.space)?);
            let raster = backed(raster, layout, recipe);
            let alpha = raster.channels == Channels::Rgba;
            let wanted = match recipe.output {
                Output::Compatible { .. } if alpha => Format::Png,
                output => opaque_format(output),
            };
            let (format, warnings) = expressible(wanted, alpha, layout);
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
            Ok((picture, format, warnings))
        }
    }
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

fn with_halved_chroma(planar: Planar) -> Planar {
    Planar {
        chroma: planar
            .chroma
            .map(|planes| planes.each_ref().map(pixels::Plane::halved)),
        ..planar
    }
}

/// The format of an output without transparency.
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
fn expressible(wanted: Format, alpha: bool, layout: &Layout) -> (Format, Vec<Warning>) {
    /// libaom takes 10 seconds and more for what is larger.
    const AVIF_PIXELS: u64 = 24_000_000;
    let size = layout.output();
    let fits = |format| size.width.max(size.height) <= encode::longest_side(format);
    let compatible = if alpha { Format::Png } else { Format::Jpeg };
    match wanted {
        Format::Avif if size.area() > AVIF_PIXELS || !fits(Format::Avif) => {
            let instead = if fits(Format::Webp) {
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

/// Progressive JPEG, but for thumbnails, which it makes larger, and for pictures so large that its coefficients fill the memory.
fn is_progressive(output: Output, size: Size) -> bool {
    const SMALL: u32 = 50;
    const LARGE: u32 = 3000;
    let asked = !matches!(
        output,
        Output::Jpeg { progressive: false } | Output::Compatible { progressive: false }
    );
    asked && size.width.max(size.height) >= SMALL && size.width.min(size.height) <= LARGE
}

#[cfg(test)]
mod tests;

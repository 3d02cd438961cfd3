//! Renders a sanitized SVG with `resvg`, directly at the requested size, so that edges are sharp at any size.
//!
//! Nothing is fetched: references to anything but an embedded picture draw nothing. Rendering cannot be interrupted, so time and memory are
//! estimated first: elements after every `use` is resolved, their depth, pixels of embedded pictures, and then the pixels that each shape,
//! layer, mask, pattern and filter will touch. The estimates are upper bounds. Text along paths is not rendered, because its cost cannot be
//! estimated.
#![expect(unsafe_code, reason = "maps the files of fonts")]

use std::cell::Cell;
use std::collections::HashMap;
use std::panic;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::thread::ScopedJoinHandle;

use resvg::tiny_skia::{IntSize, Pixmap, Transform};
use resvg::usvg::fontdb::{Family, Query};
use resvg::usvg::roxmltree::Document;
use resvg::usvg::{
    FallbackSelectionFn, FontResolver, ImageHrefResolver, ImageKind, Options, Tree, fontdb,
    roxmltree,
};

use crate::codecs::sniff::{SourceFormat, sniff};
use crate::codecs::svg::cost::DrawingCost;
use crate::codecs::svg::elements::{check_attributes, check_elements};
use crate::codecs::svg::error::broken;
use crate::codecs::svg::limits::ELEMENTS;
use crate::codecs::svg::properties::DocumentProperties;
use crate::codecs::svg::rings::check_rings;
use crate::codecs::svg::size::whole;
use crate::codecs::svg::text_path::without_text_paths;
use crate::codecs::{Limits, TransformError, decode};
use crate::pixels::{Channels, Raster, Samples, Size, buffer};

/// Bytes of stack: several times what the recursive functions of `usvg` and `resvg` need at the greatest allowed depth.
pub(crate) const DRAWING_STACK: usize = 128 << 20;

thread_local! {
    /// Whether the stack of this thread is large enough.
    static DRAWS_HERE: Cell<bool> = const { Cell::new(false) };
}

/// Renders drawings on this thread from now on, for a process that may start no other. Its stack must have [`DRAWING_STACK`] more than it needs otherwise.
pub(crate) fn draw_on_this_thread() {
    DRAWS_HERE.set(true);
}

/// The system fonts, loaded when the first SVG is rendered.
static FONTS: OnceLock<Arc<fontdb::Database>> = OnceLock::new();

/// The fonts for text.
pub(super) fn fonts() -> Arc<fontdb::Database> {
    Arc::clone(FONTS.get_or_init(|| Arc::new(system_fonts())))
}

/// Opens all fonts, for a process that can open no file later. Their files are mapped, not read.
pub(crate) fn open_fonts() {
    let mut fonts = system_fonts();
    let ids: Vec<_> = fonts.faces().map(|face| face.id).collect();
    for id in ids {
        // SAFETY: as wherever files are mapped, nobody may change them meanwhile. Programs that install fonts write new files.
        unsafe { fonts.make_shared_face_data(id) };
    }
    let _ = FONTS.set(Arc::new(fonts));
}

fn system_fonts() -> fontdb::Database {
    let mut fonts = fontdb::Database::new();
    fonts.load_system_fonts();
    let first = fonts
        .faces()
        .next()
        .and_then(|face| face.families.first())
        .map(|(name, _)| name.clone());
    if let Some(name) = first {
        let missing = |fonts: &fontdb::Database, family| {
            let query = Query {
                families: &[family],
                ..Query::default()
            };
            fonts.query(&query).is_none()
        };
        // Text in any font is better than none.
        if missing(&fonts, Family::SansSerif) {
            fonts.set_sans_serif_family(name.clone());
        }
        if missing(&fonts, Family::Serif) {
            fonts.set_serif_family(name.clone());
        }
        if missing(&fonts, Family::Monospace) {
            fonts.set_monospace_family(name);
        }
    }
    fonts
}

/// Renders a sanitized SVG on a transparent background. `target` returns the output size for the intrinsic size; `check` is asked whether the bytes that
/// drawing takes may be held.
///
/// # Errors
/// `OutputTooLarge` and `TooManyPixels` by the limits, `Decode` for an invalid drawing, or one that would take too long, and those of `check`.
pub(crate) fn rasterize(
    cleaned: &[u8],
    target: impl FnOnce(Size) -> Size + Send,
    limits: &Limits,
    check: impl FnOnce(u64) -> Result<(), TransformError> + Send,
) -> Result<Raster, TransformError> {
    let text = std::str::from_utf8(cleaned).map_err(|error| broken(&error.to_string()))?;
    let drawn = if DRAWS_HERE.get() {
        panic::catch_unwind(AssertUnwindSafe(|| draw(text, target, limits, check)))
    } else {
        // The stack of other threads is too small for the allowed depth.
        thread::scope(|scope| {
            let thread = thread::Builder::new()
                .name("svg".to_owned())
                .stack_size(DRAWING_STACK)
                .spawn_scoped(scope, || draw(text, target, limits, check));
            thread.map(ScopedJoinHandle::join)
        })
        .map_err(|error| broken(&error.to_string()))?
    };
    drawn.unwrap_or_else(|_| Err(broken("the drawing crashed")))
}

fn draw(
    text: &str,
    target: impl FnOnce(Size) -> Size,
    limits: &Limits,
    check: impl FnOnce(u64) -> Result<(), TransformError>,
) -> Result<Raster, TransformError> {
    check_attributes(text)?;
    let text = &*without_text_paths(text);
    let parsing = roxmltree::ParsingOptions {
        allow_dtd: false,
        // Text is a node as well.
        nodes_limit: u32::try_from(4 * ELEMENTS).unwrap_or(u32::MAX),
        ..roxmltree::ParsingOptions::default()
    };
    let document =
        Document::parse_with_options(text, parsing).map_err(|error| broken(&error.to_string()))?;
    let properties = DocumentProperties::of(&document)?;
    check_elements(&document, &properties)?;
    check_rings(&document, &properties)?;
    drop(properties);
    let tree = Tree::from_xmltree(&document, &options(limits.source_pixels))
        .map_err(|error| broken(&error.to_string()))?;
    let own = tree.size();
    let (width, height) = (f64::from(own.width()), f64::from(own.height()));
    let size = target(Size::new(whole(width), whole(height)));
    check_size(size, limits)?;
    let (across, down) = (
        f64::from(size.width) / width,
        f64::from(size.height) / height,
    );
    check(DrawingCost::of(&tree, (across, down), size)?.memory)?;
    let pixels = buffer::zeroed(size.len() * Channels::Rgba.count())?;
    let mut canvas = IntSize::from_wh(size.width, size.height)
        .and_then(|size| Pixmap::from_vec(pixels, size))
        .ok_or(TransformError::ZeroSized)?;
    let scale = Transform::from_scale(narrow(across), narrow(down));
    resvg::render(&tree, scale, &mut canvas.as_mut());
    Ok(Raster {
        size,
        channels: Channels::Rgba,
        samples: Samples::U8(canvas.take_demultiplied()),
    })
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a scale, of which 7 digits are enough"
)]
fn narrow(scale: f64) -> f32 {
    scale as f32
}

fn check_size(size: Size, limits: &Limits) -> Result<(), TransformError> {
    if size.width == 0 || size.height == 0 {
        return Err(TransformError::ZeroSized);
    }
    if size.width.max(size.height) > limits.output_side {
        return Err(TransformError::OutputTooLarge {
            size,
            limit: limits.output_side,
        });
    }
    if size.area() > limits.source_pixels {
        return Err(TransformError::TooManyPixels {
            size,
            limit: limits.source_pixels,
        });
    }
    Ok(())
}

/// Options without access to files and network. All embedded pictures together may have `pixels` pixels; each use of a picture is counted.
fn options(pixels: u64) -> Options<'static> {
    let left = AtomicU64::new(pixels);
    Options {
        resources_dir: None,
        fontdb: fonts(),
        image_href_resolver: ImageHrefResolver {
            resolve_data: Box::new(move |_, data, _| {
                let kind = match sniff(&data)? {
                    SourceFormat::Png => ImageKind::PNG,
                    SourceFormat::Jpeg => ImageKind::JPEG,
                    SourceFormat::Gif => ImageKind::GIF,
                    SourceFormat::Webp => ImageKind::WEBP,
                    _ => return None,
                };
                let area = decode::header(&data).ok()?.size.area();
                left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                    left.checked_sub(area)
                })
                .ok()?;
                Some(kind(data))
            }),
            resolve_string: Box::new(|_, _| None),
        },
        font_resolver: FontResolver {
            select_fallback: fallback(),
            ..FontResolver::default()
        },
        ..Options::default()
    }
}

/// The usual fallback font for a character that the requested font lacks, cached. Finding one opens all system fonts one by one, so the
/// number of opened fonts is limited; beyond it, characters are drawn as missing.
fn fallback() -> FallbackSelectionFn<'static> {
    const OPENED: usize = 100_000;
    let usual = FontResolver::default_fallback_selector();
    let known = Mutex::new(HashMap::new());
    Box::new(move |character, used, fonts| {
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = (character, used.to_vec());
        if let Some(chosen) = known.get(&wanted) {
            return *chosen;
        }
        if known.len() * fonts.len() >= OPENED {
            return None;
        }
        let chosen = usual(character, used, fonts);
        known.insert(wanted, chosen);
        chosen
    })
}

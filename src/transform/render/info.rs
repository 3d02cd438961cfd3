//! Facts about the picture that a recipe describes, and placeholders for it, in place of the picture: `format=json`.

use std::borrow::Cow;
use std::time::Instant;

use crate::options::{Blur, Effects, Format, Recipe};

use crate::codecs::TransformError;
use crate::codecs::decode::Truncation;
use crate::transform::budget::Budget;
use crate::transform::encoded::{Encoded, Timings};
use crate::transform::hints::Hints;
use crate::transform::plan::cost;
use crate::transform::plan::info::{InfoPlan, THUMBNAIL};
use crate::transform::plan::still::StillPlan;
use crate::transform::render::compose::SourcePixels;
use crate::transform::render::placeholders::{ImageInfo, SourceInfo};
use crate::transform::render::{compose, placeholders, still};
use crate::transform::source::RasterSource;

/// The facts, as JSON.
pub(crate) fn render(
    source: RasterSource<'_>,
    recipe: &Recipe,
    hints: &Hints,
    plan: &InfoPlan,
    budget: &Budget,
) -> Result<Encoded, TransformError> {
    let started = Instant::now();
    let (plan, decoded) = match recipe.trim.border {
        Some(border) => {
            let found = still::find_border(source, recipe, hints, border, budget)?;
            let plan = InfoPlan {
                size: found.placement.layout.output(),
                thumbnail: StillPlan::of_every_pixel(source, found.placement.reduced(THUMBNAIL)),
            };
            (Cow::Owned(plan), Some((found.inside, found.truncation)))
        }
        None => (Cow::Borrowed(plan), None),
    };
    let InfoPlan { size, thumbnail } = &*plan;
    cost::of_thumbnail(source, thumbnail).available(source.limits)?;
    let (decoded, truncation) = match decoded {
        Some(decoded) => decoded,
        None => thumbnail.pixels.decode(source.limits.truncated)?,
    };
    let decode = started.elapsed();
    budget.check()?;

    let started = Instant::now();
    let small = thumbnail.placement.layout.output();
    let reduction =
        f64::from(small.width.max(small.height)) / f64::from(size.width.max(size.height));
    let of_thumbnail = Recipe {
        effects: reduced(&recipe.effects, reduction),
        wide_gamut: false,
        ..recipe.clone()
    };
    let pixels = SourcePixels::of(decoded);
    let composed = compose::compose(pixels, &thumbnail.placement, &of_thumbnail)?;
    let resize = started.elapsed();

    let started = Instant::now();
    let header = source.header;
    let upright = header.orientation.size(header.size);
    let animation = source.animation.filter(|_| recipe.animated);
    let info = ImageInfo {
        width: size.width,
        height: size.height,
        original: SourceInfo {
            file_size: source.bytes.len() as u64,
            width: upright.width,
            height: upright.height,
            format: header.format.mime(),
        },
        frames: animation.map(|animation| animation.frames),
        placeholders: Some(placeholders::of_picture(&composed.raster)?),
    };
    let timings = Timings {
        decode,
        resize,
        encode: started.elapsed(),
    };
    Ok(Encoded {
        bytes: info.to_json()?,
        format: Format::Json,
        size: *size,
        warnings: truncation.map(Truncation::warning).into_iter().collect(),
        timings,
    })
}

/// The effects on a thumbnail: a blur is as wide as the picture is large, and what sharpens single pixels is nothing there.
fn reduced(effects: &Effects, reduction: f64) -> Effects {
    Effects {
        blur: effects
            .blur
            .and_then(|blur| Blur::new(blur.get() * reduction))
            .filter(|blur| !blur.is_neutral()),
        sharpen: None,
        ..effects.clone()
    }
}

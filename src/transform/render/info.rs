//! Facts about the picture that a recipe describes, and placeholders for it, in place of the picture: `format=json`.

use std::time::Instant;

use crate::options::Blur;
use crate::options::Effects;
use crate::options::Format;
use crate::options::Recipe;

use crate::codecs::decode::Header;
use crate::codecs::decode::Truncation;
use crate::codecs::decode::pixel_source::PixelSource;
use crate::transform::Budget;
use crate::transform::Encoded;
use crate::transform::Hints;
use crate::transform::Timings;
use crate::transform::TransformError;
use crate::transform::plan::cost;
use crate::transform::render::compose;
use crate::transform::render::placeholders;
use crate::transform::render::placeholders::ImageInfo;
use crate::transform::render::placeholders::SourceInfo;
use crate::transform::render::still;

/// The facts. `frames` is the number of frames where they were counted.
pub(crate) fn render(
    source: &[u8],
    header: &Header,
    frames: Option<u32>,
    recipe: &Recipe,
    hints: &Hints,
    budget: &Budget,
) -> Result<Encoded, TransformError> {
    let started = Instant::now();
    let mut prepared = still::prepare(source, header, recipe, hints, budget)?;
    let size = prepared.plan.layout.output();
    prepared.plan = prepared.plan.reduced(placeholders::THUMBNAIL);
    let plan = prepared.plan.clone();
    let thumbnail = plan.layout.output();
    let scale = prepared.scale(header, recipe);
    let pixel_source = PixelSource::of(source, header, scale, hints.reduced_copy.as_ref());
    cost::of_thumbnail(source, &pixel_source, header, &plan, scale).available(&budget.limits)?;
    let (decoded, truncation) = match prepared.decoded {
        Some(decoded) => decoded,
        None => pixel_source.decoded(budget.limits.truncated)?,
    };
    let decode = started.elapsed();
    budget.check()?;

    let started = Instant::now();
    let reduction =
        f64::from(thumbnail.width.max(thumbnail.height)) / f64::from(size.width.max(size.height));
    let recipe = Recipe {
        effects: reduced(&recipe.effects, reduction),
        wide_gamut: false,
        ..recipe.clone()
    };
    let (raster, _) = compose::composed(
        decoded.raster.into(),
        decoded.extent,
        &decoded.space,
        &plan,
        &recipe,
    )?;
    let resize = started.elapsed();

    let started = Instant::now();
    let upright = header.orientation.size(header.size);
    let facts = ImageInfo {
        width: size.width,
        height: size.height,
        original: SourceInfo {
            file_size: source.len() as u64,
            width: upright.width,
            height: upright.height,
            format: header.format.mime(),
        },
        frames,
        placeholders: Some(placeholders::of_picture(&raster)?),
    };
    let timings = Timings {
        decode,
        resize,
        encode: started.elapsed(),
    };
    Ok(Encoded {
        bytes: facts.to_json()?,
        format: Format::Json,
        size,
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

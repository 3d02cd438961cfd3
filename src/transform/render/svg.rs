//! A drawing (SVG) is cleaned and stays a drawing, whatever the options say, unless the operator lets it become pixels.

use std::time::Instant;

use crate::options::{Format, Output};

use crate::codecs::{TransformError, svg};
use crate::pixels::{Raster, Size};
use crate::transform::budget::Budget;
use crate::transform::encoded::{Encoded, Timings};
use crate::transform::plan::saliency::SaliencyMap;
use crate::transform::plan::saliency_map::{SaliencyMapPlan, THUMBNAIL_SIDE};
use crate::transform::plan::{Plan, autotrim, cost, drawing, geometry};
use crate::transform::render::compose::{ComposedPixels, SourcePixels};
use crate::transform::render::placeholders::{ImageInfo, SourceInfo};
use crate::transform::render::{compose, placeholders, smallest};

/// The cleaned drawing, facts about it, or the pixels of it, as the recipe and the limits say.
pub(crate) fn render(plan: &Plan, budget: &Budget) -> Result<Encoded, TransformError> {
    let started = Instant::now();
    let limits = plan.source.limits();
    let markup = svg::clean(plan.source.bytes(), limits.render_memory.bytes())?;
    let drawing = Drawing {
        plan,
        size: drawing::size(&markup),
        markup,
    };
    let timings = Timings {
        decode: started.elapsed(),
        ..Timings::default()
    };
    budget.check()?;
    let encoded = match plan.recipe.output {
        Output::Json => drawing.info(budget)?,
        Output::Svg => drawing.into_cleaned(),
        _ if limits.rasterize_svg => drawing.pixels(budget)?,
        _ => drawing.into_cleaned(),
    };
    let Timings { resize, encode, .. } = encoded.timings;
    Ok(Encoded {
        timings: Timings {
            resize,
            encode,
            ..timings
        },
        ..encoded
    })
}

/// A drawing once it is cleaned.
struct Drawing<'a> {
    plan: &'a Plan,
    markup: Vec<u8>,
    size: Size,
}

impl Drawing<'_> {
    /// The drawing as it was cleaned.
    fn into_cleaned(self) -> Encoded {
        Encoded {
            bytes: self.markup,
            format: Format::Svg,
            size: self.size,
            warnings: Vec::new(),
            timings: Timings::default(),
        }
    }

    /// Facts about what is answered for the other formats. Placeholders need pixels.
    fn info(&self, budget: &Budget) -> Result<Encoded, TransformError> {
        let source = &self.plan.source;
        let (size, placeholders) = if source.limits().rasterize_svg {
            let raster = self.draw(budget)?.raster;
            (raster.size, Some(placeholders::of_picture(&raster)?))
        } else {
            (self.size, None)
        };
        let info = ImageInfo {
            width: size.width,
            height: size.height,
            original: SourceInfo {
                file_size: source.bytes().len() as u64,
                width: self.size.width,
                height: self.size.height,
                format: Format::Svg.mime(),
            },
            frames: None,
            placeholders,
        };
        Ok(Encoded {
            bytes: info.to_json()?,
            format: Format::Json,
            size,
            warnings: Vec::new(),
            timings: Timings::default(),
        })
    }

    fn pixels(&self, budget: &Budget) -> Result<Encoded, TransformError> {
        let started = Instant::now();
        let Plan { recipe, source, .. } = self.plan;
        let composed = self.draw(budget)?;
        let resize = started.elapsed();
        budget.check()?;
        let started = Instant::now();
        let size = composed.raster.size;
        let encodable = compose::finish_pixels(composed, recipe, source.limits())?;
        let within = (source.limits(), budget);
        let file = smallest::file(encodable, recipe, within, |_, bytes| Ok(bytes))?;
        Ok(Encoded {
            bytes: file.bytes,
            format: file.format,
            size,
            warnings: file.warnings,
            timings: Timings {
                resize,
                encode: started.elapsed(),
                ..Timings::default()
            },
        })
    }

    /// The pixels of a drawing as the recipe wants them: drawn at the size they will have, so that nothing is enlarged afterwards.
    fn draw(&self, budget: &Budget) -> Result<ComposedPixels, TransformError> {
        let Plan { recipe, source, .. } = self.plan;
        let limits = source.limits();
        let mut trimmed = drawing::trimmed(self.size, recipe)?;
        if let Some(border) = recipe.trim.border {
            trimmed = autotrim::inner(&self.rasterize(self.size, budget)?, trimmed, &border)?;
        }
        let map = self.saliency_map(budget)?;
        let placement = drawing::placement(self.size, trimmed, recipe, map.as_ref(), limits)?;
        let output = placement.layout.output();
        let length = self.markup.len() as u64;
        cost::of_drawing(&self.markup, length, Some((output, recipe)), limits).available(limits)?;
        budget.check()?;
        let size = geometry::scaled(self.size, 1.0 / placement.layout.shrink());
        let pixels = SourcePixels::of_srgb(self.rasterize(size, budget)?);
        compose::compose(pixels, &placement, recipe)
    }

    /// The map that the recipe needs.
    fn saliency_map(&self, budget: &Budget) -> Result<Option<SaliencyMap>, TransformError> {
        let Plan { recipe, hints, .. } = self.plan;
        if hints.saliency.is_some() || !SaliencyMapPlan::is_needed(recipe) {
            return Ok(hints.saliency.clone());
        }
        let longest = f64::from(self.size.width.max(self.size.height));
        let size = geometry::scaled(self.size, f64::from(THUMBNAIL_SIDE) / longest);
        let thumbnail = self.rasterize(size, budget)?;
        Ok(Some(SaliencyMap::for_gravity(recipe.gravity, &thumbnail)))
    }

    /// All of the drawing in pixels.
    fn rasterize(&self, size: Size, budget: &Budget) -> Result<Raster, TransformError> {
        let limits = self.plan.source.limits();
        let bytes = self.plan.source.bytes();
        let markup = self.markup.len() as u64;
        let is_admitted = |drawn| {
            let cost = cost::of_drawn(bytes, markup, drawn).within(limits)?;
            // What was admitted bounds what the system gives.
            cost.within_bytes(budget.bytes)?
                .available(limits)
                .map(|_| ())
        };
        svg::rasterize(&self.markup, |_| size, limits, is_admitted)
    }
}

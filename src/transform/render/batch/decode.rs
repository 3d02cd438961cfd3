//! Renders pictures of one decode: level by level, pixels composed once for all their files.

use std::borrow::Cow;
use std::mem;
use std::ops::ControlFlow;
use std::time::Instant;

use crate::options::Recipe;

use crate::codecs::decode::{DecodeScale, DecodedImage, Truncation};
use crate::codecs::{TransformError, decode};
use crate::pixels::color::ColorSpace;
use crate::pixels::{Pixels, Raster, buffer, resize};
use crate::transform::budget::Budget;
use crate::transform::encoded::{Encoded, Timings};
use crate::transform::plan::schedule::{FileGroup, Level, Member, schedule};
use crate::transform::render::compose::{Composite, SourcePixels};
use crate::transform::render::{compose, still};
use crate::transform::source::RasterSource;

/// Takes what came of an item, with its number; a break ends the batch.
pub(crate) type ResultSink<'a> =
    &'a mut dyn FnMut(usize, Result<Encoded, TransformError>) -> ControlFlow<()>;

/// Renders what is made of one decode.
pub(crate) fn render_together(
    source: RasterSource<'_>,
    members: &[Member<'_>],
    budget: &Budget,
    sink: ResultSink<'_>,
) -> ControlFlow<()> {
    let started = Instant::now();
    let denominator = members.iter().map(|member| member.denominator).min();
    let denominator = denominator.unwrap_or(1);
    let scale = DecodeScale::one_of(denominator);
    let RasterSource { header, limits, .. } = source;
    let decoded = budget
        .check()
        .and_then(|()| decode::pixels_there_are(source.bytes, header, scale, limits.truncated));
    let (decoded, truncation) = match decoded {
        Ok(decoded) => decoded,
        Err(error) => {
            for member in members {
                sink(member.at, Err(error.clone()))?;
            }
            return ControlFlow::Continue(());
        }
    };
    let DecodedImage {
        raster,
        extent,
        space,
    } = decoded;
    let is_graphic = compose::is_graphic(header, &raster);
    let has_planes = !is_graphic && compose::has_planes(raster.channels, &space);
    let levels = schedule(members, has_planes, limits);
    let mut decode = SharedDecode {
        source,
        truncation,
        is_graphic,
        space,
        extent,
        denominator,
        budget,
        spent: Timings {
            decode: started.elapsed(),
            ..Timings::default()
        },
        sink,
    };
    decode.levels(raster, &levels)
}

/// A decode that several pictures are made of.
struct SharedDecode<'a> {
    source: RasterSource<'a>,
    truncation: Option<Truncation>,
    is_graphic: bool,
    space: ColorSpace,
    extent: (f64, f64),
    denominator: u32,
    budget: &'a Budget,
    /// Time that is in the timings of no picture yet.
    spent: Timings,
    sink: ResultSink<'a>,
}

impl SharedDecode<'_> {
    /// Makes what is made of `pixels`, which are those of the first level, and goes on with fewer of them. They are let go before the last
    /// of their pictures, which is the largest, is written.
    fn levels(&mut self, pixels: Raster, levels: &[Level<'_>]) -> ControlFlow<()> {
        let Some((level, further)) = levels.split_first() else {
            return ControlFlow::Continue(());
        };
        let Some((last, others)) = level.groups.split_last() else {
            return ControlFlow::Continue(());
        };
        for group in others {
            self.files(Cow::Borrowed(&pixels), level.denominator, group)?;
        }
        let started = Instant::now();
        let fewer = further
            .first()
            .map(|next| resize::reduced(&pixels, next.denominator / level.denominator));
        self.spent.resize += started.elapsed();
        self.files(Cow::Owned(pixels), level.denominator, last)?;
        match fewer {
            Some(Ok(fewer)) => self.levels(fewer, further),
            Some(Err(error)) => {
                let error = TransformError::from(error);
                let mut groups = further.iter().flat_map(|level| &level.groups);
                groups.try_for_each(|group| self.refuse(group, &error))
            }
            None => ControlFlow::Continue(()),
        }
    }

    /// Composes pixels, and makes the files of them.
    fn files(
        &mut self,
        pixels: Cow<'_, Raster>,
        denominator: u32,
        group: &FileGroup<'_>,
    ) -> ControlFlow<()> {
        let started = Instant::now();
        let (placement, limits) = (&group.placement, self.source.limits);
        let composed = self.budget.check().and_then(|()| {
            let scale = f64::from(self.denominator) / f64::from(denominator);
            let extent = (self.extent.0 * scale, self.extent.1 * scale);
            let recipes: Vec<&Recipe> = group.files.iter().map(|file| file.recipe).collect();
            let pixels = SourcePixels {
                pixels: Pixels::Raster(pixels),
                extent,
                space: Cow::Borrowed(&self.space),
                is_graphic: self.is_graphic,
            };
            Composite::of(pixels, placement, &recipes, limits)
        });
        self.spent.resize += started.elapsed();
        let mut composed = match composed {
            Ok(composed) => Some(composed),
            Err(error) => return self.refuse(group, &error),
        };
        let mut files = group.files.iter().peekable();
        while let Some(file) = files.next() {
            let part = match files.peek() {
                Some(_) => composed
                    .as_ref()
                    .map(|composed| composed.copy_for(placement, file.recipe, limits)),
                None => composed.take().map(Ok),
            };
            let Some(part) = part else { continue };
            let mut made = part.and_then(|part| self.file(part, group, file.recipe));
            if let Ok(made) = &mut made {
                made.timings.decode = mem::take(&mut self.spent.decode);
                made.timings.resize = mem::take(&mut self.spent.resize);
            }
            let Some((&first, others)) = file.items.split_first() else {
                continue;
            };
            for &at in others {
                (self.sink)(at, made.as_ref().map_err(Clone::clone).and_then(copy))?;
            }
            (self.sink)(first, made)?;
        }
        ControlFlow::Continue(())
    }

    /// Hands out an error for every item of some pixels.
    fn refuse(&mut self, group: &FileGroup<'_>, error: &TransformError) -> ControlFlow<()> {
        let mut items = group.files.iter().flat_map(|file| &file.items);
        items.try_for_each(|&at| (self.sink)(at, Err(error.clone())))
    }

    /// Writes a file of composed pixels.
    fn file(
        &self,
        composed: Composite,
        group: &FileGroup<'_>,
        recipe: &Recipe,
    ) -> Result<Encoded, TransformError> {
        self.budget.check()?;
        let started = Instant::now();
        let RasterSource { limits, .. } = self.source;
        let placement = &group.placement;
        let encodable = composed.finish(placement, recipe, limits)?;
        let mut file = still::encode(self.source, encodable, recipe, placement, self.budget)?;
        file.warnings
            .extend(self.truncation.map(Truncation::warning));
        file.timings.encode = started.elapsed();
        Ok(file)
    }
}

/// The same file for another item, at no cost.
fn copy(made: &Encoded) -> Result<Encoded, TransformError> {
    Ok(Encoded {
        bytes: buffer::copied(&made.bytes)?,
        format: made.format,
        size: made.size,
        warnings: made.warnings.clone(),
        timings: Timings::default(),
    })
}

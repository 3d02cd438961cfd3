//! What is made of one decode: level by level, pixels composed once for all their files.

use std::borrow::Cow;
use std::mem;
use std::ops::ControlFlow;
use std::time::Instant;

use crate::options::Recipe;

use crate::codecs::decode;
use crate::codecs::decode::DecodeScale;
use crate::codecs::decode::Decoded;
use crate::codecs::decode::Header;
use crate::codecs::decode::Truncation;
use crate::pixels::Pixels;
use crate::pixels::Raster;
use crate::pixels::buffer;
use crate::pixels::color::ColorSpace;
use crate::pixels::resize;
use crate::transform::Budget;
use crate::transform::Encoded;
use crate::transform::Timings;
use crate::transform::TransformError;
use crate::transform::plan::batch::Level;
use crate::transform::plan::batch::Member;
use crate::transform::plan::batch::Shared;
use crate::transform::plan::batch::schedule;
use crate::transform::render::batch::ResultSink;
use crate::transform::render::compose;
use crate::transform::render::compose::Composite;
use crate::transform::render::still;

/// Makes what is made of one decode.
pub(crate) fn together(
    source: &[u8],
    header: &Header,
    members: &[Member<'_>],
    budget: &Budget,
    each: ResultSink<'_>,
) -> ControlFlow<()> {
    let started = Instant::now();
    let denominator = members.iter().map(|member| member.denominator).min();
    let denominator = denominator.unwrap_or(1);
    let (scale, truncated) = (DecodeScale::one_of(denominator), budget.limits.truncated);
    let decoded = budget
        .check()
        .and_then(|()| decode::pixels_there_are(source, header, scale, truncated));
    let (decoded, truncation) = match decoded {
        Ok(decoded) => decoded,
        Err(error) => {
            for member in members {
                each(member.at, Err(error.clone()))?;
            }
            return ControlFlow::Continue(());
        }
    };
    let Decoded {
        raster,
        extent,
        space,
    } = decoded;
    let same_colors = compose::has_output_colors(raster.channels, &space);
    let has_planes = compose::has_planes(raster.channels, &space);
    let levels = schedule(members, has_planes, &budget.limits);
    let mut batch = Batch {
        source,
        header,
        same_colors,
        truncation,
        space,
        extent,
        denominator,
        budget,
        spent: Timings {
            decode: started.elapsed(),
            ..Timings::default()
        },
        each,
    };
    batch.levels(raster, &levels)
}

/// A decode that several pictures are made of.
struct Batch<'a> {
    source: &'a [u8],
    header: &'a Header,
    same_colors: bool,
    truncation: Option<Truncation>,
    space: ColorSpace,
    extent: (f64, f64),
    denominator: u32,
    budget: &'a Budget,
    /// Time that no picture has been told of yet.
    spent: Timings,
    each: ResultSink<'a>,
}

impl Batch<'_> {
    /// Makes what is made of `pixels`, which are those of the first level, and goes on with fewer of them. They are let go before the last
    /// of their pictures, which is the largest, is written.
    fn levels(&mut self, pixels: Raster, levels: &[Level<'_>]) -> ControlFlow<()> {
        let Some((level, further)) = levels.split_first() else {
            return ControlFlow::Continue(());
        };
        let Some((last, others)) = level.shared.split_last() else {
            return ControlFlow::Continue(());
        };
        for shared in others {
            self.files(Cow::Borrowed(&pixels), level.denominator, shared)?;
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
                let mut shared = further.iter().flat_map(|level| &level.shared);
                shared.try_for_each(|shared| self.refuse(shared, &error))
            }
            None => ControlFlow::Continue(()),
        }
    }

    /// Composes pixels, and makes the files of them.
    fn files(
        &mut self,
        pixels: Cow<'_, Raster>,
        denominator: u32,
        shared: &Shared<'_>,
    ) -> ControlFlow<()> {
        let started = Instant::now();
        let (plan, limits) = (&shared.plan, &self.budget.limits);
        let composed = self.budget.check().and_then(|()| {
            let scale = f64::from(self.denominator) / f64::from(denominator);
            let extent = (self.extent.0 * scale, self.extent.1 * scale);
            let recipes: Vec<&Recipe> = shared.files.iter().map(|file| file.recipe).collect();
            Composite::of(
                Pixels::Raster(pixels),
                extent,
                &self.space,
                plan,
                &recipes,
                limits,
            )
        });
        self.spent.resize += started.elapsed();
        let mut composed = match composed {
            Ok(composed) => Some(composed),
            Err(error) => {
                return self.refuse(shared, &error);
            }
        };
        let mut files = shared.files.iter().peekable();
        while let Some(file) = files.next() {
            let part = match files.peek() {
                Some(_) => composed
                    .as_ref()
                    .map(|composed| composed.copy_for(plan, file.recipe, limits)),
                None => composed.take().map(Ok),
            };
            let Some(part) = part else { continue };
            let mut made = part.and_then(|part| self.written(part, shared, file.recipe));
            if let Ok(made) = &mut made {
                made.timings.decode = mem::take(&mut self.spent.decode);
                made.timings.resize = mem::take(&mut self.spent.resize);
            }
            let Some((&first, others)) = file.items.split_first() else {
                continue;
            };
            for &at in others {
                (self.each)(at, made.as_ref().map_err(Clone::clone).and_then(copy))?;
            }
            (self.each)(first, made)?;
        }
        ControlFlow::Continue(())
    }

    /// Tells of an error whoever waits for a file.
    fn refuse(&mut self, shared: &Shared<'_>, error: &TransformError) -> ControlFlow<()> {
        let mut items = shared.files.iter().flat_map(|file| &file.items);
        items.try_for_each(|&at| (self.each)(at, Err(error.clone())))
    }

    fn written(
        &self,
        composed: Composite,
        shared: &Shared<'_>,
        recipe: &Recipe,
    ) -> Result<Encoded, TransformError> {
        self.budget.check()?;
        let started = Instant::now();
        let made = composed.finished(&shared.plan, recipe, &self.budget.limits)?;
        let mut file = still::written(
            self.source,
            self.header,
            made,
            recipe,
            &shared.plan,
            self.same_colors,
            self.budget,
        )?;
        file.warnings
            .extend(self.truncation.map(Truncation::warning));
        file.timings.encode = started.elapsed();
        Ok(file)
    }
}

/// The same file for another order, at no cost.
fn copy(made: &Encoded) -> Result<Encoded, TransformError> {
    Ok(Encoded {
        bytes: buffer::copied(&made.bytes)?,
        format: made.format,
        size: made.size,
        warnings: made.warnings.clone(),
        timings: Timings::default(),
    })
}

//! Renders the pictures of a batch, and hands each out as soon as it is there, so that nothing has to hold them all.

mod decode;

use std::ops::ControlFlow;

use crate::options::Gravity;

use crate::codecs::TransformError;
use crate::pixels::buffer;
use crate::transform::budget::Budget;
use crate::transform::encoded::Encoded;
use crate::transform::hints::Hints;
use crate::transform::plan::batch::{BatchItem, BatchPlan, is_alone, lacks_saliency_map};
use crate::transform::plan::saliency::SaliencyMap;
use crate::transform::plan::saliency_map;
use crate::transform::render::batch::decode::ResultSink;
use crate::transform::render::saliency_map::find;
use crate::transform::source::RasterSource;

impl BatchPlan {
    /// Makes the pictures, and gives each to `sink` with the number of its item. What fails, fails alone. The sink may break off; else it
    /// is called once for every item.
    ///
    /// All of it is within one budget: what is not made by its deadline is out of time. The timings of the pictures come to what was
    /// spent: the decode is with the first, resizing with the first of those that share it.
    pub fn render(
        &self,
        budget: &Budget,
        mut sink: impl FnMut(usize, Result<Encoded, TransformError>) -> ControlFlow<()>,
    ) {
        // Whether there was a break is of no interest to whoever broke.
        let _ = self.render_into(budget, &mut sink);
    }

    fn render_into(&self, budget: &Budget, sink: ResultSink<'_>) -> ControlFlow<()> {
        let Some(source) = self.source.raster() else {
            for (at, item) in self.items.iter().enumerate() {
                sink(at, self.render_alone(item, budget))?;
            }
            return ControlFlow::Continue(());
        };
        let (mut members, mut others) = (Vec::new(), Vec::new());
        let mut maps = SaliencyMaps::default();
        for (at, item) in self.items.iter().enumerate() {
            let planned = maps.of(source, item, budget).and_then(|saliency| {
                if is_alone(source, &item.recipe) {
                    others.push((at, saliency));
                    return Ok(None);
                }
                self.member(source, at, saliency.as_ref()).map(Some)
            });
            match planned {
                Ok(member) => members.extend(member),
                Err(error) => sink(at, Err(error))?,
            }
        }
        for part in self.parts(source, members) {
            match &part.members[..] {
                // It may have a reduced copy of the source, and need not leave anything for others.
                [only] => others.push((only.at, only.saliency.clone())),
                members => match buffer::check_room(part.cost.bytes) {
                    Ok(()) => decode::render_together(source, members, budget, sink)?,
                    Err(error) => {
                        for member in members {
                            sink(member.at, Err(TransformError::from(error.clone())))?;
                        }
                    }
                },
            }
        }
        for (at, saliency) in others {
            let BatchItem { recipe, hints } = self.items[at].clone();
            let hints = Hints { saliency, ..hints };
            sink(at, self.render_alone(&BatchItem { recipe, hints }, budget))?;
        }
        ControlFlow::Continue(())
    }

    fn render_alone(&self, item: &BatchItem, budget: &Budget) -> Result<Encoded, TransformError> {
        budget.check()?;
        let plan = self.source.plan(&item.recipe, &item.hints)?;
        plan.cost().within_bytes(self.most)?;
        plan.render(budget)
    }
}

/// The maps of a source: one for each gravity.
#[derive(Default)]
struct SaliencyMaps(Vec<(Gravity, Result<SaliencyMap, TransformError>)>);

impl SaliencyMaps {
    /// The map that an item brings, or the one that it needs; `None` where it needs none.
    fn of(
        &mut self,
        source: RasterSource<'_>,
        item: &BatchItem,
        budget: &Budget,
    ) -> Result<Option<SaliencyMap>, TransformError> {
        if !lacks_saliency_map(item) {
            return Ok(item.hints.saliency.clone());
        }
        let gravity = item.recipe.gravity;
        let known = self.0.iter().find(|(known, _)| *known == gravity);
        if let Some((_, map)) = known {
            return map.clone().map(Some);
        }
        let map = budget
            .check()
            .and_then(|()| saliency_map::thumbnail(source))
            .and_then(|thumbnail| find(source, gravity, &thumbnail));
        self.0.push((gravity, map.clone()));
        map.map(Some)
    }
}

#[cfg(test)]
mod tests;

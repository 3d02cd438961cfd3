//! The kinds of work.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::options::{Gravity, Recipe};
use crate::transform::{
    BatchItem, Budget, Cost, HintFiles, Hints, Limits, Source, SourceFormat, erase,
};
use crate::worker::Sink;
use crate::worker::answer::Answer;

/// One piece of work on one source. Its files go between processes by themselves: see [`Job::files`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Job {
    /// Reads the header of a source.
    Open {
        #[serde(skip)]
        bytes: Bytes,
        limits: Limits,
    },
    /// Makes a picture.
    Render {
        source: Source,
        recipe: Box<Recipe>,
        hints: HintFiles,
    },
    /// Makes the saliency map that a gravity needs.
    SaliencyMap { source: Source, gravity: Gravity },
    /// Makes a copy of a source that is so many times smaller.
    ReducedCopy { source: Source, denominator: u32 },
    /// Makes several pictures, which go to the sink.
    Batch(BatchJob),
    /// Takes metadata out of a file.
    Strip {
        #[serde(skip)]
        bytes: Bytes,
        format: SourceFormat,
    },
}

/// Several pictures of one source.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct BatchJob {
    pub source: Source,
    pub items: Vec<(Recipe, HintFiles)>,
    /// Bytes that may be held at once.
    pub most: u64,
}

impl Job {
    /// Every file that the job reads, always in the same order: the source first.
    pub(crate) fn files(&mut self) -> Vec<&mut Bytes> {
        match self {
            Job::Open { bytes, .. } | Job::Strip { bytes, .. } => vec![bytes],
            Job::Render { source, hints, .. } => {
                let mut files = vec![source.file()];
                files.extend(hints.files());
                files
            }
            Job::SaliencyMap { source, .. } | Job::ReducedCopy { source, .. } => {
                vec![source.file()]
            }
            Job::Batch(BatchJob { source, items, .. }) => {
                let mut files = vec![source.file()];
                files.extend(items.iter_mut().flat_map(|(_, hints)| hints.files()));
                files
            }
        }
    }

    /// Does the work here and now.
    pub(crate) fn run(self, budget: &Budget, sink: Sink<'_>) -> Answer {
        match self {
            Job::Open { bytes, limits } => Answer::Source(Source::open(bytes, &limits)),
            Job::Render {
                source,
                recipe,
                hints,
            } => {
                let plan = source.plan(&recipe, &hints.read());
                Answer::Encoded(plan.and_then(|plan| plan.render(budget)))
            }
            Job::SaliencyMap { source, gravity } => {
                let plan = source.plan_saliency_map(gravity);
                Answer::Encoded(plan.and_then(|plan| plan.render(budget)))
            }
            Job::ReducedCopy {
                source,
                denominator,
            } => {
                let plan = source.plan_reduced_copy(denominator);
                Answer::Encoded(plan.and_then(|plan| plan.render(budget)))
            }
            Job::Batch(batch) => {
                let BatchJob {
                    source,
                    items,
                    most,
                } = batch;
                let items = items.into_iter().map(|(recipe, hints)| BatchItem {
                    recipe,
                    hints: hints.read(),
                });
                let plan = source.plan_batch(items.collect(), most);
                plan.render(budget, sink);
                Answer::Done
            }
            Job::Strip { bytes, format } => Answer::Stripped(erase(bytes, format)),
        }
    }
}

impl BatchJob {
    /// The pictures as several jobs, each with the numbers of its pictures and its cost: see [`Source::plan_batches`]. No file is read for it, so that a
    /// picture with a saliency map counts as one that needs one.
    pub(crate) fn split(
        source: &Source,
        items: &[(Recipe, HintFiles)],
        usual: u64,
    ) -> Vec<(Vec<usize>, BatchJob, Cost)> {
        let unread = items.iter().map(|(recipe, _)| BatchItem {
            recipe: recipe.clone(),
            hints: Hints::default(),
        });
        let plans = source.plan_batches(unread.collect(), usual).into_iter();
        plans
            .map(|(numbers, plan)| {
                let chosen = numbers.iter().filter_map(|&number| items.get(number));
                let job = BatchJob {
                    source: source.clone(),
                    items: chosen.cloned().collect(),
                    most: plan.most(),
                };
                (numbers, job, plan.cost())
            })
            .collect()
    }
}

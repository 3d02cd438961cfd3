//! What comes of a job, and whether it can be believed.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::options::{Format, Output, Warning};
use crate::transform::{Encoded, Limits, Source, SourceFormat, Timings, TransformError, sniff};
use crate::worker::{BatchJob, Job};

/// What comes of a job, by its kind. Files go between processes by themselves.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// Of [`Job::Open`]. Between processes the source is without its file.
    Source(Result<Source, TransformError>),
    /// A file that was made.
    Encoded(Result<Encoded, TransformError>),
    /// All pictures of a batch went to the sink.
    Done,
    /// The file without its metadata; `None` where that cannot be done.
    Stripped(#[serde(skip)] Option<Vec<u8>>),
}

/// What a job may be answered with. A process that answers anything else has been taken over by a picture, or is broken.
#[derive(Debug)]
pub(super) struct Expectation {
    kind: Kind,
    /// The file of the source.
    source: Bytes,
    limits: Limits,
    /// The price of the job, in bytes.
    price: u64,
    /// How many pictures of a batch have come.
    items: usize,
}

/// The kinds of jobs, with what their answers depend on.
#[derive(Debug)]
enum Kind {
    Source,
    /// A file for one of these outputs; `None`: of this format.
    Pictures(Vec<Output>),
    File(Format),
    Stripped,
}

impl Expectation {
    pub(super) fn of(job: &mut Job, price: u64) -> Self {
        let (kind, limits) = match job {
            Job::Open { limits, .. } => (Kind::Source, *limits),
            Job::Render { source, recipe, .. } => {
                (Kind::Pictures(vec![recipe.output]), *source.limits())
            }
            Job::SaliencyMap { source, .. } => (Kind::File(Format::Png), *source.limits()),
            Job::ReducedCopy { source, .. } => (Kind::File(Format::Jpeg), *source.limits()),
            Job::Batch(BatchJob { source, items, .. }) => {
                let outputs = items.iter().map(|(recipe, _)| recipe.output);
                (Kind::Pictures(outputs.collect()), *source.limits())
            }
            Job::Strip { .. } => (Kind::Stripped, Limits::default()),
        };
        let source = job.files().first().map(|file| Bytes::clone(file));
        Expectation {
            kind,
            source: source.unwrap_or_default(),
            limits,
            price,
            items: 0,
        }
    }

    /// The longest file that may come.
    pub(super) fn most(&self) -> u64 {
        /// A container may grow by its boxes.
        const ROOM: u64 = 1 << 20;
        self.price
            .max(self.source.len() as u64)
            .saturating_add(ROOM)
    }

    /// A picture of a batch, with its file. There are no more of them than were asked for.
    pub(super) fn item(
        &mut self,
        index: u64,
        made: Result<Encoded, TransformError>,
        file: Option<Vec<u8>>,
        elapsed: Duration,
    ) -> Option<(usize, Result<Encoded, TransformError>)> {
        let index = usize::try_from(index).ok()?;
        let Kind::Pictures(outputs) = &self.kind else {
            return None;
        };
        let &output = outputs.get(index)?;
        self.items = self.items.saturating_add(1);
        if self.items > outputs.len() {
            return None;
        }
        let made = self.encoded(made, file, elapsed, |format| self.may_be(format, output))?;
        Some((index, made))
    }

    /// The answer, with its file.
    pub(super) fn answer(
        &self,
        answer: Answer,
        file: Option<Vec<u8>>,
        elapsed: Duration,
    ) -> Option<Answer> {
        Some(match (&self.kind, answer) {
            (Kind::Source, Answer::Source(opened)) => Answer::Source(match opened {
                Ok(source) => Ok(source.checked(self.source.clone(), &self.limits)?),
                Err(error) => Err(error.tamed()),
            }),
            (Kind::File(expected), Answer::Encoded(made)) => {
                Answer::Encoded(self.encoded(made, file, elapsed, |format| format == *expected)?)
            }
            (Kind::Pictures(outputs), Answer::Encoded(made)) => {
                let &[output] = &outputs[..] else {
                    return None;
                };
                Answer::Encoded(
                    self.encoded(made, file, elapsed, |format| self.may_be(format, output))?,
                )
            }
            (Kind::Pictures(_), Answer::Done) => Answer::Done,
            (Kind::Stripped, Answer::Stripped(_)) => {
                let is_same = file
                    .as_ref()
                    .is_none_or(|file| sniff(file) == sniff(&self.source));
                is_same.then_some(Answer::Stripped(file))?
            }
            _ => return None,
        })
    }

    fn encoded(
        &self,
        made: Result<Encoded, TransformError>,
        file: Option<Vec<u8>>,
        elapsed: Duration,
        may_be: impl FnOnce(Format) -> bool,
    ) -> Option<Result<Encoded, TransformError>> {
        let mut encoded = match made {
            Ok(encoded) => encoded,
            Err(error) => return Some(Err(error.tamed())),
        };
        encoded.bytes = file?;
        let Timings {
            decode,
            resize,
            encode,
        } = encoded.timings;
        encoded.timings = Timings {
            decode: decode.min(elapsed),
            resize: resize.min(elapsed),
            encode: encode.min(elapsed),
        };
        encoded.warnings.truncate(MAX_WARNINGS);
        let is_short = |warning: &Warning| warning.as_str().len() <= LONGEST_WARNING;
        encoded.warnings.retain(is_short);
        let side = u64::from(self.limits.output_side);
        let most = self.limits.source_pixels.max(side.saturating_mul(side));
        let is_right = may_be(encoded.format)
            && is_of(&encoded.bytes, encoded.format)
            && encoded.size.area() <= most;
        is_right.then_some(Ok(encoded))
    }

    /// Whether a picture for this output may have this format.
    fn may_be(&self, format: Format, output: Output) -> bool {
        match format {
            Format::Json => output == Output::Json,
            // A drawing that may not become pixels stays one, whatever is asked for.
            Format::Svg => output != Output::Json && sniff(&self.source) == Some(SourceFormat::Svg),
            _ => !matches!(output, Output::Json | Output::Svg),
        }
    }
}

/// The most warnings of a picture.
const MAX_WARNINGS: usize = 16;
/// The longest of them, in bytes: they go into a header.
const LONGEST_WARNING: usize = 400;

/// Whether the first bytes of a file are those of its format.
fn is_of(file: &[u8], format: Format) -> bool {
    match format {
        Format::Json => file.first() == Some(&b'{'),
        format => sniff(file).and_then(SourceFormat::as_output) == Some(format),
    }
}

#[cfg(test)]
mod tests;

//! Looks at an upload before it is stored: whether it is a picture that can be shown, whether it is within the limits, and what is known of it.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;

use crate::cpu::CpuError;
use crate::deadline::Stage;
use crate::error::Error;
use crate::hosted::{Config, Facts, SpooledFile, Verify};
use crate::options::{Output, Recipe};
use crate::pipeline::Pipeline;
use crate::pipeline::hosted::content;
use crate::pipeline::hosted::content::cost_of_copy;
use crate::pipeline::workers::Urgency;
use crate::source::{BusyReason, SourceError};
use crate::transform::{
    HintFiles, Limits, Source, SourceFormat, TransformError, TruncatedSources, sniff,
};
use crate::worker::{Job, WorkerError};

/// How long an upload may wait for a worker, and be decoded there.
pub(super) const TIMEOUT: Duration = Duration::from_secs(30);

/// The longest side of the picture that placeholders are made of.
const THUMBNAIL: u32 = 100;

/// Why an upload is not accepted.
#[derive(Clone, Debug)]
pub enum InspectError {
    /// It is no picture in any known format.
    NotAnImage,
    /// It is in a format that is not accepted.
    Format {
        /// The name of the format, as in [`Config::FORMATS`].
        name: &'static str,
        /// What would be right.
        reason: String,
    },
    /// It is damaged, or its end is missing.
    Damaged(String),
    /// There is too much of it.
    TooLarge(Excess),
    /// It could not be looked at now: too much else is going on. [`Error::retry_after`] says when to try again.
    Failed(Arc<Error>),
}

/// What there is too much of, and the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Excess {
    /// Bytes of the file.
    Bytes {
        /// How many there are.
        found: u64,
        /// How many there may be.
        limit: u64,
    },
    /// Pixels of the longer side.
    Side {
        /// How many there are.
        found: u32,
        /// How many there may be.
        limit: u32,
    },
    /// Pixels of the picture.
    Area {
        /// How many there are.
        found: u64,
        /// How many there may be.
        limit: u64,
    },
    /// Pixels of all frames of an animation.
    Frames {
        /// How many there are.
        found: u64,
        /// How many there may be.
        limit: u64,
    },
    /// Bytes of memory that its transformation would take.
    Memory {
        /// How many it would take.
        found: u64,
        /// How many it may take.
        limit: u64,
    },
}

impl fmt::Display for Excess {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Excess::Bytes { found, limit } => {
                write!(
                    out,
                    "the file has {found} bytes, at most {limit} are allowed"
                )
            }
            Excess::Side { found, limit } => write!(
                out,
                "the longer side has {found} pixels, at most {limit} are allowed"
            ),
            Excess::Area { found, limit } => {
                write!(
                    out,
                    "the picture has {found} pixels, at most {limit} are allowed"
                )
            }
            Excess::Frames { found, limit } => write!(
                out,
                "the frames of the animation have {found} pixels in all, at most {limit} are allowed"
            ),
            Excess::Memory { found, limit } => write!(
                out,
                "the picture would take {found} bytes of memory, at most {limit} are allowed"
            ),
        }
    }
}

impl fmt::Display for InspectError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InspectError::NotAnImage => out.write_str("the file is not an image"),
            InspectError::Format { name, reason } => {
                write!(
                    out,
                    "the file has the format `{name}`, which is not accepted: {reason}"
                )
            }
            InspectError::Damaged(reason) => write!(out, "the image is damaged: {reason}"),
            InspectError::TooLarge(excess) => excess.fmt(out),
            InspectError::Failed(error) => out.write_str(&error.public_message()),
        }
    }
}

impl std::error::Error for InspectError {}

impl From<Error> for InspectError {
    fn from(error: Error) -> Self {
        let error = match error {
            Error::Transform(error) => error,
            other => return InspectError::Failed(Arc::new(other)),
        };
        match error {
            TransformError::NotAnImage => InspectError::NotAnImage,
            TransformError::TooManyPixels { size, limit } => InspectError::TooLarge(Excess::Area {
                found: size.area(),
                limit,
            }),
            TransformError::TooCostly { bytes, limit } => InspectError::TooLarge(Excess::Memory {
                found: bytes,
                limit,
            }),
            TransformError::ZeroSized
            | TransformError::OutOfTime
            | TransformError::Decode(_)
            | TransformError::UnsupportedCoding(_)
            | TransformError::OutputTooLarge { .. } => InspectError::Damaged(error.to_string()),
            // This build has no decoder for it.
            TransformError::UnsupportedFormat(kind) => InspectError::Format {
                name: SourceFormat::Unsupported(kind).name(),
                reason: error.to_string(),
            },
            TransformError::Pixels(_)
            | TransformError::MetadataStays(_)
            | TransformError::NotWritten(_)
            | TransformError::NotADrawing
            | TransformError::Resize(_)
            | TransformError::Encode(_) => InspectError::Failed(Arc::new(error.into())),
        }
    }
}

/// What `format=json` says of a picture.
#[derive(Deserialize)]
struct Description {
    original: DescribedSize,
    dominant_color: Option<String>,
    thumbhash: Option<String>,
}

#[derive(Deserialize)]
struct DescribedSize {
    width: u32,
    height: u32,
}

impl Pipeline {
    /// Looks at an upload in its file: see [`inspect`](Self::inspect). While it is looked at, it takes of the memory that sources share.
    ///
    /// # Errors
    /// [`InspectError`].
    pub async fn inspect_file(self: &Arc<Self>, file: &SpooledFile) -> Result<Facts, InspectError> {
        self.check_length(file.bytes)?;
        let urgency = Urgency::foreground(TIMEOUT);
        let reserve = self.source_memory.reserve(file.bytes);
        let reservation = urgency.deadline.bound(Stage::Fetch, reserve).await;
        let reservation = reservation.map_err(|_| busy(BusyReason::Memory))?;
        let copy = file.file.try_clone().map_err(unreadable)?;
        let (file, length) = (copy, file.bytes);
        let (cost, workers) = (cost_of_copy(length), self.workers.clone());
        let read = move || content::read(file, length, &workers);
        let read = self.run_on_worker(cost, urgency, read).await?;
        let bytes = read.value.map_err(unreadable)?;
        self.inspect(reservation.hold(bytes)).await
    }

    /// Looks at an upload: its format and its limits by its header, and, unless `hosted.verify` is `header`, whether all of it can be decoded.
    ///
    /// # Errors
    /// [`InspectError`] tells apart what is no picture, what is damaged, what is too large, and what could not be looked at now.
    pub async fn inspect(self: &Arc<Self>, bytes: Bytes) -> Result<Facts, InspectError> {
        self.check_length(bytes.len() as u64)?;
        let format = sniff(&bytes).ok_or(InspectError::NotAnImage)?;
        let config = self.hosted().map(|hosted| hosted.config());
        check_format(format, config)?;
        let urgency = Urgency::foreground(TIMEOUT);
        let limits = Limits {
            truncated: TruncatedSources::Refuse,
            ..self.limits
        };
        let source = self.open_source(bytes, limits, urgency).await?;
        check_size(&source, config)?;
        let mut facts = facts(&source);
        let verify = config.map_or(Verify::Decode, |config| config.verify);
        // A drawing has no header: its size is known when it has been read.
        if verify == Verify::Decode || format == SourceFormat::Svg {
            let described = self.describe(&source, urgency).await?;
            (facts.width, facts.height) = (described.original.width, described.original.height);
            facts.thumbhash = placeholder(described.thumbhash);
            facts.color = placeholder(described.dominant_color);
        }
        Ok(facts)
    }

    pub(super) fn check_length(&self, found: u64) -> Result<(), InspectError> {
        let of_uploads = self
            .hosted()
            .map(|hosted| hosted.config().upload_bytes.bytes());
        let of_sources = self.source_memory.largest();
        let limit = of_uploads.map_or(of_sources, |limit| limit.min(of_sources));
        if found > limit {
            return Err(InspectError::TooLarge(Excess::Bytes { found, limit }));
        }
        Ok(())
    }

    /// Decodes all of a source, or cleans a drawing, and describes it.
    async fn describe(
        self: &Arc<Self>,
        source: &Source,
        urgency: Urgency,
    ) -> Result<Description, InspectError> {
        let recipe = Recipe {
            width: Some(THUMBNAIL),
            height: Some(THUMBNAIL),
            output: Output::Json,
            ..Recipe::default()
        };
        let hints = HintFiles::default();
        let cost = source.price(&recipe, &hints).map_err(Error::from)?;
        let job = Job::Render {
            source: source.clone(),
            recipe: Box::new(recipe),
            hints,
        };
        let encoded = self.render_on_worker(cost, urgency, job).await;
        let encoded = encoded.map_err(|error| match error {
            // A decoder that crashes on a file refuses it.
            Error::Cpu(CpuError::Panicked)
            | Error::Worker(WorkerError::Died(_) | WorkerError::Blocked) => {
                InspectError::Damaged("it could not be decoded".to_owned())
            }
            other => other.into(),
        })?;
        serde_json::from_slice(&encoded.bytes)
            .map_err(|error| InspectError::Failed(Arc::new(undescribed(&error))))
    }
}

/// A text that is not too long to be a placeholder. It comes from a process that the picture may have taken over, and is kept with the image.
fn placeholder(text: Option<String>) -> Option<String> {
    const LONGEST: usize = 64;
    text.filter(|text| text.len() <= LONGEST)
}

fn check_format(format: SourceFormat, config: Option<&Config>) -> Result<(), InspectError> {
    let accepted = config.map_or(&[][..], |config| &config.formats);
    let name = format.name();
    let reason = match format {
        SourceFormat::Unsupported(kind) => TransformError::UnsupportedFormat(kind).to_string(),
        _ if accepted.is_empty() || accepted.iter().any(|accepted| accepted == name) => {
            return Ok(());
        }
        _ => format!("use {}", accepted.join(", ")),
    };
    Err(InspectError::Format { name, reason })
}

fn check_size(source: &Source, config: Option<&Config>) -> Result<(), InspectError> {
    let (Some(size), Some(config)) = (source.upright_size(), config) else {
        return Ok(());
    };
    let (found, limit) = (size.width.max(size.height), config.upload_side.get());
    if found > limit {
        return Err(InspectError::TooLarge(Excess::Side { found, limit }));
    }
    let found = size.area().saturating_mul(u64::from(source.frames()));
    let limit = config.upload_animation_pixels;
    if source.frames() > 1 && found > limit {
        return Err(InspectError::TooLarge(Excess::Frames { found, limit }));
    }
    Ok(())
}

/// What the header says.
fn facts(source: &Source) -> Facts {
    let (format, size) = (source.format(), source.upright_size());
    Facts {
        format: format.name().to_owned(),
        mime: format.mime().to_owned(),
        extension: format.extension().to_owned(),
        width: size.map_or(0, |size| size.width),
        height: size.map_or(0, |size| size.height),
        frames: source.frames(),
        thumbhash: None,
        color: None,
    }
}

pub(super) fn busy(reason: BusyReason) -> InspectError {
    InspectError::Failed(Arc::new(SourceError::Busy(reason).into()))
}

pub(super) fn unreadable(error: io::Error) -> InspectError {
    InspectError::Failed(Arc::new(SourceError::Unreadable(error).into()))
}

fn undescribed(error: &serde_json::Error) -> Error {
    TransformError::Encode(error.to_string()).into()
}

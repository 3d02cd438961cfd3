//! Takes metadata such as GPS positions out of uploads before they are stored.

use std::io;
use std::sync::Arc;

use crate::deadline::Stage;
use crate::error::Error;
use crate::hosted::{SpooledFile, Strip};
use crate::pipeline::Pipeline;
use crate::pipeline::hosted::inspect::{InspectError, TIMEOUT, busy, unreadable};
use crate::pipeline::workers::{Urgency, run};
use crate::source::BusyReason;
use crate::transform::{Cost, Source, SourceFormat, sniff};
use crate::worker::{Answer, Job, WorkerError, no_sink};

/// What became of an upload.
enum Stripped {
    File(SpooledFile),
    /// Its metadata cannot be taken out.
    Stays(SourceFormat),
}

impl Pipeline {
    /// The upload without its metadata, where `hosted.strip` asks for that; else as it is. Pixels, colour profile and orientation stay. What is no
    /// picture passes, because it is refused later.
    ///
    /// # Errors
    /// [`InspectError::Format`] where metadata cannot be taken out, [`InspectError::TooLarge`], [`InspectError::Failed`].
    pub async fn strip_upload(
        self: &Arc<Self>,
        file: SpooledFile,
        by_creator: bool,
    ) -> Result<SpooledFile, InspectError> {
        let strip = self.hosted().map(|hosted| hosted.config().strip);
        match strip.unwrap_or(Strip::Nobody) {
            Strip::Nobody => return Ok(file),
            Strip::Creators if !by_creator => return Ok(file),
            Strip::Creators | Strip::Everybody => {}
        }
        self.check_length(file.bytes)?;
        let urgency = Urgency::foreground(TIMEOUT);
        let reserve = self.source_memory.reserve(file.bytes.saturating_mul(2));
        let reservation = urgency.deadline.bound(Stage::Fetch, reserve).await;
        let reservation = reservation.map_err(|_| busy(BusyReason::Memory))?;
        // The file and its copy are reserved with the sources; a process is allowed them too.
        let cost = Source::cost_of_open(&[]);
        let allowed = Cost {
            bytes: file.bytes.saturating_mul(2).saturating_add(cost.bytes),
            ..cost
        };
        let workers = self.workers.clone();
        let work = move || {
            let _reservation = reservation;
            strip_file(file, |job| {
                run(&workers, urgency.order(job, allowed), &mut no_sink)
            })
        };
        let done = self.run_on_worker(cost, urgency, work).await;
        let stripped = done?.value.map_err(unreadable)?;
        match stripped.map_err(Error::from)? {
            Stripped::File(file) => Ok(file),
            Stripped::Stays(format) => Err(InspectError::Format {
                name: format.name(),
                reason: "its metadata cannot be taken out: use JPEG, PNG, WebP or GIF".to_owned(),
            }),
        }
    }
}

fn strip_file(
    file: SpooledFile,
    run: impl FnOnce(Job) -> Result<Answer, WorkerError>,
) -> io::Result<Result<Stripped, WorkerError>> {
    let content = SpooledFile::read(file.file.try_clone()?, file.bytes)?;
    let format = match sniff(&content) {
        None | Some(SourceFormat::Unsupported(_)) => return Ok(Ok(Stripped::File(file))),
        Some(format) => format,
    };
    let job = Job::Strip {
        bytes: content.into(),
        format,
    };
    let answer = match run(job) {
        Ok(answer) => answer,
        Err(error) => return Ok(Err(error)),
    };
    Ok(Ok(match answer {
        Answer::Stripped(Some(stripped)) => Stripped::File(file.rewrite(&stripped)?),
        _ => Stripped::Stays(format),
    }))
}

//! Takes metadata such as GPS positions out of uploads before they are stored.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use crate::deadline::Stage;
use crate::error::Error;
use crate::hosted::{SpooledFile, Strip};
use crate::pipeline::Pipeline;
use crate::pipeline::hosted::content;
use crate::pipeline::hosted::content::cost_of_copy;
use crate::pipeline::hosted::inspect::{InspectError, TIMEOUT, busy, unreadable};
use crate::pipeline::workers::{Urgency, run};
use crate::source::BusyReason;
use crate::transform::{Cost, SourceFormat, sniff};
use crate::worker::{Answer, Job, WorkerError, Workers, no_sink};

/// How many times the content is copied, or read as slowly: into memory, without its metadata, from the process, into the file, and for its hash.
const COPYING: u64 = 5;

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
        let held = file.bytes.saturating_mul(copies(&self.workers));
        let reserve = self.source_memory.reserve(held);
        let reservation = urgency.deadline.bound(Stage::Fetch, reserve).await;
        let reservation = reservation.map_err(|_| busy(BusyReason::Memory))?;
        // The file and its copies are reserved with the sources; a process is allowed the file and one copy.
        let cost = cost_of_copy(file.bytes.saturating_mul(COPYING));
        let allowed = Cost {
            bytes: file.bytes.saturating_mul(2).saturating_add(cost.bytes),
            ..cost
        };
        let workers = self.workers.clone();
        let work = move || {
            let _reservation = reservation;
            let content = content::read(file.file.try_clone()?, file.bytes, &workers)?;
            strip_file(file, content, |job| {
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

/// How many times a file is in memory at once: as it was and as it becomes, and between two processes what it becomes twice.
fn copies(workers: &Workers) -> u64 {
    if workers.are_processes() { 3 } else { 2 }
}

fn strip_file(
    file: SpooledFile,
    content: Bytes,
    run: impl FnOnce(Job) -> Result<Answer, WorkerError>,
) -> io::Result<Result<Stripped, WorkerError>> {
    let format = match sniff(&content) {
        None | Some(SourceFormat::Unsupported(_)) => return Ok(Ok(Stripped::File(file))),
        Some(format) => format,
    };
    let job = Job::Strip {
        bytes: content,
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

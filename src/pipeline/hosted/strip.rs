//! Takes metadata such as GPS positions out of uploads before they are stored.

use std::io;
use std::sync::Arc;

use crate::deadline::Stage;
use crate::hosted::{SpooledFile, Strip};
use crate::pipeline::Pipeline;
use crate::pipeline::hosted::inspect::{InspectError, TIMEOUT, busy, unreadable};
use crate::pipeline::workers::Urgency;
use crate::source::BusyReason;
use crate::transform::{Source, SourceFormat, erase, sniff};

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
        let cost = Source::cost_of_open(&[]);
        let work = move || {
            let _reservation = reservation;
            strip_file(file)
        };
        let done = self.run_on_worker(cost, urgency, work).await;
        match done?.value.map_err(unreadable)? {
            Stripped::File(file) => Ok(file),
            Stripped::Stays(format) => Err(InspectError::Format {
                name: format.name(),
                reason: "its metadata cannot be taken out: use JPEG, PNG, WebP or GIF".to_owned(),
            }),
        }
    }
}

fn strip_file(file: SpooledFile) -> io::Result<Stripped> {
    let content = SpooledFile::read(file.file.try_clone()?, file.bytes)?;
    let format = match sniff(&content) {
        None | Some(SourceFormat::Unsupported(_)) => return Ok(Stripped::File(file)),
        Some(format) => format,
    };
    Ok(match erase(content, format) {
        Some(stripped) => Stripped::File(file.rewrite(&stripped)?),
        None => Stripped::Stays(format),
    })
}

//! Works on many images at once, until all are done, one fails for a reason that all share, or Ctrl-C.

use std::pin::pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use hyper::Method;

use super::api_error::ApiError;
use super::client::{ApiClient, in_path};
use super::form::UploadForm;
use super::progress::{ItemReport, Outcome, Progress};
use clap::Args;

/// The arguments of what works on many images.
#[derive(Debug, Args)]
pub(super) struct TransferArguments {
    /// How many images are worked on at once.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=32))]
    pub parallel: u8,
    /// Replace images that have the same name and another content, where they would else be failures.
    #[arg(long)]
    pub replace: bool,
}

/// Counts the bytes that were sent.
#[derive(Default)]
pub(super) struct SentBytes(Mutex<Vec<Arc<AtomicU64>>>);

impl SentBytes {
    /// A counter for one upload.
    pub(super) fn counter(&self) -> Arc<AtomicU64> {
        let counter = Arc::new(AtomicU64::new(0));
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that nobody else holds are finished, and can be one.
        let (over, mut open): (Vec<_>, Vec<_>) =
            all.drain(..).partition(|one| Arc::strong_count(one) == 1);
        let sum = over.iter().map(|one| one.load(Ordering::Relaxed)).sum();
        open.push(Arc::new(AtomicU64::new(sum)));
        open.push(Arc::clone(&counter));
        *all = open;
        counter
    }

    fn total(&self) -> u64 {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().map(|one| one.load(Ordering::Relaxed)).sum()
    }
}

/// Takes the reports of all items, and returns whether all was done.
pub(super) async fn run(
    reports: impl Stream<Item = ItemReport>,
    sent: &SentBytes,
    mut progress: Progress,
) -> bool {
    let mut reports = pin!(reports);
    let mut interrupted = pin!(tokio::signal::ctrl_c());
    let mut ticks = tokio::time::interval(Duration::from_millis(500));
    let stopped = loop {
        tokio::select! {
            next = reports.next() => match next {
                None => break None,
                Some(report) => if let Some(reason) = progress.take(report) {
                    break Some(reason);
                },
            },
            _ = &mut interrupted => break Some("interrupted".to_owned()),
            _ = ticks.tick() => progress.show_bytes(sent.total()),
        }
    };
    progress.end(stopped.as_deref())
}

/// An image that is to be on the server.
pub(super) struct ImageUpload {
    /// What people know it as.
    pub item: String,
    pub id: String,
    pub sha256: String,
    pub form: UploadForm,
}

/// Uploads an image, unless the server has it already.
pub(super) async fn put(
    client: &ApiClient,
    wanted: ImageUpload,
    replace: bool,
    sent: &SentBytes,
) -> ItemReport {
    let item = wanted.item.clone();
    match try_put(client, wanted, replace, sent).await {
        Ok(report) => report,
        Err(error) => failure(item, &error),
    }
}

/// The report of a failure.
pub(super) fn failure(item: String, error: &ApiError) -> ItemReport {
    let outcome = if error.is_fatal() {
        Outcome::Fatal(error.to_string())
    } else {
        Outcome::Failed(error.to_string())
    };
    ItemReport {
        item,
        outcome,
        image: None,
    }
}

async fn try_put(
    client: &ApiClient,
    wanted: ImageUpload,
    replace: bool,
    sent: &SentBytes,
) -> Result<ItemReport, ApiError> {
    let report = |outcome, image| ItemReport {
        item: wanted.item.clone(),
        outcome,
        image,
    };
    let found = client
        .find(&wanted.id)
        .await?
        .filter(|image| !image.is_draft());
    if let Some(image) = found {
        let sha256 = match image.sha256() {
            Some(sha256) => sha256.to_owned(),
            None => client.download(&wanted.id, || Ok(std::io::sink())).await?.1,
        };
        if sha256 == wanted.sha256 {
            return Ok(report(Outcome::Skipped, Some(image)));
        }
        if !replace {
            return Err(ApiError::local(format!(
                "`{}` is there with another content: `--replace` replaces it",
                wanted.id
            )));
        }
        let path = format!("v1/{}", in_path(&wanted.id));
        let form = UploadForm {
            fields: Vec::new(),
            filename: wanted.form.filename.clone(),
            path: wanted.form.path.clone(),
        };
        let image = client
            .upload(Method::PUT, &path, &form, &sent.counter())
            .await?;
        return Ok(report(Outcome::Done("replaced"), Some(image)));
    }
    let uploaded = client
        .upload(Method::POST, "v1", &wanted.form, &sent.counter())
        .await;
    match uploaded {
        Ok(image) => Ok(report(Outcome::Done("uploaded"), Some(image))),
        // The answer of a try before may have been lost.
        Err(error) if error.is_conflict() => {
            let found = client.find(&wanted.id).await?;
            let is_same = |image: &super::image::Image| image.sha256() == Some(&wanted.sha256);
            match found.filter(is_same) {
                Some(image) => Ok(report(Outcome::Done("uploaded"), Some(image))),
                None => Err(error),
            }
        }
        Err(error) => Err(error),
    }
}

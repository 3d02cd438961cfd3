//! What a command prints: a line for each image, failures, and a bar where a terminal is.

use std::io;
use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::image::Image;

/// How many failures are listed where there is no JSON.
const MAX_REPORTED: usize = 100;

/// Where a command prints.
#[derive(Clone, Copy)]
pub(super) struct Output {
    /// Prints a line of the result.
    pub print: fn(&str),
    /// Tells people something.
    pub say: fn(&str),
    pub json: bool,
}

/// What became of one image.
#[derive(Debug)]
pub(super) struct ItemReport {
    /// The file or image that was worked on.
    pub item: String,
    pub outcome: Outcome,
    /// The image, where the server described it.
    pub image: Option<Image>,
}

/// What became of one image.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It was done; the word says what.
    Done(&'static str),
    /// There was nothing to do.
    Skipped,
    Failed(String),
    /// It failed, and so would all others.
    Fatal(String),
}

/// Counts what was done.
pub(super) struct Progress {
    output: Output,
    bar: Option<ProgressBar>,
    done: usize,
    skipped: usize,
    failed: usize,
}

impl Progress {
    /// The progress of so many images, if that is known.
    pub(super) fn new(total: Option<u64>, output: Output) -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let bar = total.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
            let template = match total {
                Some(_) => "{wide_bar} {pos}/{len} images, {msg}, {eta} left",
                None => "{spinner} {pos} images, {msg}",
            };
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        Progress {
            output,
            bar,
            done: 0,
            skipped: 0,
            failed: 0,
        }
    }

    /// Shows how many bytes were sent.
    pub(super) fn show_bytes(&self, bytes: u64) {
        if let Some(bar) = &self.bar {
            let mib = bytes / (1 << 20);
            bar.set_message(format!("{}, {mib} MiB sent", self.counts()));
        }
    }

    /// Adds what became of one image, and returns why the command must stop, if it must.
    pub(super) fn take(&mut self, report: ItemReport) -> Option<String> {
        let (word, error) = match &report.outcome {
            Outcome::Done(word) => (*word, None),
            Outcome::Skipped => ("skipped", None),
            Outcome::Failed(error) | Outcome::Fatal(error) => ("failed", Some(error.clone())),
        };
        match report.outcome {
            Outcome::Done(_) => self.done += 1,
            Outcome::Skipped => self.skipped += 1,
            Outcome::Failed(_) | Outcome::Fatal(_) => self.failed += 1,
        }
        if self.output.json {
            let image = report.image.as_ref().map(|image| &image.0);
            let line = json!({"item": report.item, "result": word, "error": error, "image": image});
            self.line(self.output.print, &line.to_string());
        } else if let Some(error) = &error {
            if self.failed <= MAX_REPORTED && matches!(report.outcome, Outcome::Failed(_)) {
                self.line(
                    self.output.say,
                    &format!("failed: {}: {error}", report.item),
                );
            }
        } else if matches!(report.outcome, Outcome::Done(_)) {
            let url = report.image.as_ref().and_then(Image::url);
            self.line(
                self.output.print,
                format!("{word} {} {}", report.item, url.unwrap_or_default()).trim_end(),
            );
        }
        if let Some(bar) = &self.bar {
            bar.set_position((self.done + self.skipped + self.failed) as u64);
            bar.set_message(self.counts());
        }
        matches!(report.outcome, Outcome::Fatal(_)).then(|| error.unwrap_or_default())
    }

    /// Says the summary, and returns whether all was done.
    pub(super) fn end(&self, stopped: Option<&str>) -> bool {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        (self.output.say)(&self.counts());
        if let Some(reason) = stopped {
            (self.output.say)(&format!("stopped: {reason}"));
            (self.output.say)("run the same command again to do the rest");
        }
        self.failed == 0 && stopped.is_none()
    }

    fn counts(&self) -> String {
        format!(
            "{} done, {} skipped because they are there already, {} failed",
            self.done, self.skipped, self.failed
        )
    }

    fn line(&self, print: fn(&str), line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| print(line)),
            None => print(line),
        }
    }
}

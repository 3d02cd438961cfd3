//! Shows the progress: a bar on a terminal, or else a line every few seconds. Failures are shown at once.

use std::collections::HashSet;
use std::io;
use std::io::IsTerminal;
use std::time::Duration;

use indicatif::ProgressBar;
use indicatif::ProgressStyle;

use super::call::{RenditionReport, WarmResult};
use crate::telemetry::redacted;

/// The time between two lines where there is no bar.
pub(super) const REPORT_INTERVAL: Duration = Duration::from_secs(5);
/// How many failures are listed.
const MAX_REPORTED: usize = 100;

/// Counts of what was done.
pub(super) struct Progress {
    say: fn(&str),
    bar: Option<ProgressBar>,
    total: usize,
    sources: usize,
    made: usize,
    kept: usize,
    unstorable: usize,
    failed: usize,
    failures: usize,
    /// The codes of what failed.
    codes: HashSet<String>,
}

impl Progress {
    /// The progress of `total` sources.
    pub(super) fn new(total: usize, say: fn(&str)) -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(total as u64);
            if let Ok(style) = ProgressStyle::with_template(
                "{wide_bar} {pos}/{len} sources, {msg}, {per_sec}, {eta} left",
            ) {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(500));
            bar
        });
        let progress = Progress {
            say,
            bar,
            total,
            sources: 0,
            made: 0,
            kept: 0,
            unstorable: 0,
            failed: 0,
            failures: 0,
            codes: HashSet::new(),
        };
        progress.show();
        progress
    }

    /// Adds the result for a source, and returns whether none of its pictures failed.
    pub(super) fn take(&mut self, source: &str, renditions: &[RenditionReport]) -> bool {
        self.sources += 1;
        for rendition in renditions {
            *match rendition.result {
                WarmResult::Made => &mut self.made,
                WarmResult::Kept => &mut self.kept,
                WarmResult::Unstorable => &mut self.unstorable,
                WarmResult::Failed => &mut self.failed,
            } += 1;
        }
        let lines = failures(source, renditions);
        for line in &lines {
            self.failures += 1;
            if self.failures <= MAX_REPORTED {
                self.print_line(line);
            } else if self.failures == MAX_REPORTED + 1 {
                self.print_line("further failures are counted, but not listed");
            }
        }
        let failed = renditions
            .iter()
            .filter(|one| one.result == WarmResult::Failed);
        self.codes.extend(failed.map(|one| one.code.clone()));
        self.show();
        lines.is_empty()
    }

    /// Shows a line with the progress where there is no bar.
    pub(super) fn remind(&self) {
        if self.bar.is_none() {
            (self.say)(&format!(
                "{} of {} sources: {}",
                self.sources,
                self.total,
                self.counts()
            ));
        }
    }

    /// Removes the bar.
    pub(super) fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    /// The summary at the end.
    pub(super) fn summary(&self) -> String {
        format!(
            "warmed {} of {} sources: {}",
            self.sources,
            self.total,
            self.counts()
        )
    }

    /// Whether every source was done without a failure.
    pub(super) fn is_complete(&self) -> bool {
        self.sources == self.total && self.failed == 0
    }

    /// Whether something failed with this code.
    pub(super) fn has_failed_with(&self, code: &str) -> bool {
        self.codes.contains(code)
    }

    fn counts(&self) -> String {
        let Progress {
            made,
            kept,
            unstorable,
            failed,
            ..
        } = self;
        let mut counts = format!("{made} made, {kept} in the cache already, {failed} failed");
        if *unstorable > 0 {
            counts += &format!(", {unstorable} that must not be cached");
        }
        counts
    }

    fn show(&self) {
        if let Some(bar) = &self.bar {
            bar.set_position(self.sources as u64);
            bar.set_message(self.counts());
        }
    }

    fn print_line(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| (self.say)(line)),
            None => (self.say)(line),
        }
    }
}

/// The failures of a source: one line where all pictures failed for the same reason, else a line for each picture.
fn failures(source: &str, renditions: &[RenditionReport]) -> Vec<String> {
    let failed = renditions
        .iter()
        .filter(|one| one.result == WarmResult::Failed);
    let failed: Vec<&RenditionReport> = failed.collect();
    // These lines end up in the logs of whatever runs the command.
    let source = redacted(source);
    match failed.first() {
        Some(first)
            if failed.len() == renditions.len()
                && failed.iter().all(|one| one.error == first.error) =>
        {
            vec![format!("failed: {source}: {}", first.error)]
        }
        _ => failed
            .iter()
            .map(|one| {
                format!(
                    "failed: {source} with {} for {}: {}",
                    one.options, one.accept, one.error
                )
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::RenditionReport;
    use super::failures;

    #[test]
    fn failures_are_shown_without_passwords_and_signatures() {
        let failed =
            r#"{"options":"width=8","accept":"avif","result":"failed","error":"no such source"}"#;
        let made = r#"{"options":"width=9","accept":"avif","result":"made"}"#;
        let [failed, made] = [failed, made]
            .map(|line| serde_json::from_str::<RenditionReport>(line).expect("a line"));
        let source = "https://u:hunter2@h.test/a.jpg?X-Amz-Signature=hunter2";
        for renditions in [vec![failed.clone()], vec![failed, made]] {
            let lines = failures(source, &renditions);
            assert_eq!(lines.len(), 1);
            assert!(lines[0].contains("https://***h.test/a.jpg"), "{lines:?}");
            assert!(!lines[0].contains("hunter2"), "{lines:?}");
        }
    }
}

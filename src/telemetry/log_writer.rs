//! Writes log lines to standard error from a thread of its own, many at a time, so that no request waits for the reader of the log.
//!
//! In place of the non-blocking writer of `tracing-appender`, which makes one system call for each line, bounds what waits by its lines and not by
//! its bytes, and says nothing when it drops lines.

use std::io;
use std::io::Write;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use serde_json::json;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};

use super::config::LogFormat;

/// The most that may wait to be written, in bytes. Beyond it, because the reader is too slow, lines are lost and counted.
const MAX_BUFFERED_BYTES: usize = 4 << 20;

/// How long lines are collected before they are written. To wake the thread costs more than a line does.
const WRITE_INTERVAL: Duration = Duration::from_millis(10);

/// How long the end of the process waits for the last lines, if nobody reads them.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// Takes lines, and never waits.
#[derive(Clone)]
pub(super) struct LogWriter(Arc<LogBuffer>);

/// Writes the lines that wait when it is dropped. Later lines are written at once.
#[must_use = "the last lines are written when it is dropped"]
pub(crate) struct LogGuard(Arc<LogBuffer>);

#[derive(Default)]
struct LogBuffer {
    state: Mutex<BufferState>,
    changed: Condvar,
}

#[derive(Default)]
struct BufferState {
    text: Vec<u8>,
    lost: u64,
    /// Whether lines are written at once, by whoever logs them.
    is_direct: bool,
    /// Whether the thread ends when it has written what waits.
    is_ending: bool,
}

impl LogWriter {
    /// Starts the thread. Where the system gives none, lines are written at once, by whoever logs them. `format` is that of the lines.
    pub(super) fn start(
        to: impl Write + Send + 'static,
        format: LogFormat,
    ) -> (LogWriter, LogGuard) {
        let buffer = Arc::new(LogBuffer::default());
        let writing = Arc::clone(&buffer);
        let started = thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || write(&writing, to, format));
        buffer.lock().is_direct = started.is_err();
        (LogWriter(Arc::clone(&buffer)), LogGuard(buffer))
    }
}

impl LogBuffer {
    fn lock(&self) -> MutexGuard<'_, BufferState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes until the guard is dropped. Errors are ignored: there is no other place to report them.
fn write(buffer: &LogBuffer, mut to: impl Write, format: LogFormat) {
    let mut text = Vec::new();
    loop {
        let is_idle = |state: &mut BufferState| state.text.is_empty() && !state.is_ending;
        let state = buffer
            .changed
            .wait_while(buffer.lock(), is_idle)
            .unwrap_or_else(PoisonError::into_inner);
        let (mut state, _) = buffer
            .changed
            .wait_timeout_while(state, WRITE_INTERVAL, |state| !state.is_ending)
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(&mut text, &mut state.text);
        let lost = std::mem::take(&mut state.lost);
        let is_last = text.is_empty();
        state.is_direct |= is_last;
        drop(state);
        if is_last {
            buffer.changed.notify_all();
            return;
        }
        let _ = to.write_all(&text);
        if lost > 0 {
            let _ = to.write_all(loss(format, lost).as_bytes());
        }
        text.clear();
        text.shrink_to(MAX_BUFFERED_BYTES / 64);
    }
}

/// The line that says how many lines were lost, in the format of the others.
fn loss(format: LogFormat, lost: u64) -> String {
    const MESSAGE: &str = "log lines were lost: standard error was not read fast enough";
    let mut time = String::new();
    // A time that cannot be formatted is left empty.
    let _ = SystemTime.format_time(&mut Writer::new(&mut time));
    match format {
        LogFormat::Text => format!("{time}  WARN {MESSAGE} lost={lost}\n"),
        LogFormat::Json => {
            let line =
                json!({"timestamp": time, "level": "WARN", "message": MESSAGE, "lost": lost});
            format!("{line}\n")
        }
    }
}

impl Drop for LogGuard {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.is_ending = true;
        self.0.changed.notify_all();
        let is_busy = |state: &mut BufferState| !state.is_direct;
        let _ = self
            .0
            .changed
            .wait_timeout_while(state, FLUSH_TIMEOUT, is_busy);
    }
}

impl<'a> MakeWriter<'a> for LogWriter {
    type Writer = &'a LogWriter;

    fn make_writer(&'a self) -> &'a LogWriter {
        self
    }
}

impl Write for &LogWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut state = self.0.lock();
        if state.is_direct {
            drop(state);
            return io::stderr().write(line);
        }
        if state.text.len() + line.len() > MAX_BUFFERED_BYTES {
            state.lost += 1;
            return Ok(line.len());
        }
        let was_idle = state.text.is_empty();
        state.text.extend_from_slice(line);
        drop(state);
        if was_idle {
            self.0.changed.notify_all();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use serde_json::Value;

    use super::*;

    #[derive(Clone, Default)]
    struct MemoryWriter(Arc<Mutex<Vec<u8>>>);

    impl MemoryWriter {
        fn text(&self) -> String {
            let written = self.0.lock().expect("nobody panics with it");
            String::from_utf8(written.clone()).expect("whole lines")
        }
    }

    impl Write for MemoryWriter {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("nobody panics with it").write(text)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Takes nothing before the test lets it.
    struct BlockedWriter(mpsc::Receiver<()>, MemoryWriter);

    impl Write for BlockedWriter {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            // An error means that the test has let it go on.
            let _ = self.0.recv();
            self.1.write(text)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn every_line_is_written_whole_and_in_order() {
        let written = MemoryWriter::default();
        let (lines, logging) = LogWriter::start(written.clone(), LogFormat::Text);
        let expected: String = (0..1000).map(|number| format!("line {number}\n")).collect();
        for line in expected.split_inclusive('\n') {
            (&lines).write_all(line.as_bytes()).expect("there is room");
        }
        drop(logging);
        assert_eq!(written.text(), expected);
    }

    #[test]
    fn whoever_logs_does_not_wait_for_a_reader_that_has_stopped() {
        let written = MemoryWriter::default();
        let (go, held_back) = mpsc::channel();
        let writer = BlockedWriter(held_back, written.clone());
        let (lines, logging) = LogWriter::start(writer, LogFormat::Json);
        let line = format!("{{\"message\":\"{}\"}}\n", "x".repeat(1000));
        for _ in 0..3 * MAX_BUFFERED_BYTES / line.len() {
            (&lines)
                .write_all(line.as_bytes())
                .expect("it is taken or lost");
        }
        drop(go);
        drop(logging);
        let text = written.text();
        assert!(
            text.len() <= 2 * MAX_BUFFERED_BYTES + 1000,
            "{} bytes",
            text.len()
        );
        let lines: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).expect("every line is JSON"))
            .collect();
        let losses = lines.iter().filter_map(|line| line["lost"].as_u64());
        let written = lines.iter().filter(|line| line["lost"].is_null()).count();
        let sent = u64::try_from(3 * MAX_BUFFERED_BYTES / line.len()).expect("a small number");
        assert_eq!(losses.sum::<u64>() + written as u64, sent);
        assert!(text.contains("log lines were lost"), "{}", lines.len());
    }

    #[test]
    fn a_loss_is_reported_in_the_format_of_the_log() {
        let text = loss(LogFormat::Text, 7);
        assert!(text.ends_with(" lost=7\n") && text.contains("  WARN log lines were lost"));
        let line: Value = serde_json::from_str(&loss(LogFormat::Json, 7)).expect("is JSON");
        assert_eq!(
            (line["lost"].as_u64(), line["level"].as_str()),
            (Some(7), Some("WARN"))
        );
        assert!(
            line["timestamp"]
                .as_str()
                .is_some_and(|time| time.len() > 20)
        );
    }
}

//! Log lines on their way to standard error. They are collected and written by a thread of their own, many at a time, so that no request waits for
//! whoever reads them.

use std::io;
use std::io::Write;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::thread;
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// What may wait to be written, in bytes. Where the reader is slower than that, lines are lost, and counted.
const MAX_BUFFERED_BYTES: usize = 4 << 20;

/// How long lines are collected before they are written: waking the thread costs more than a line.
const WRITE_INTERVAL: Duration = Duration::from_millis(10);

/// How long the last lines are waited for at the end, if nobody reads them.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// Takes lines in.
#[derive(Clone)]
pub(super) struct LogWriter(Arc<LogBuffer>);

/// Writes what is left when it is dropped. Lines that come later are written at once.
#[must_use = "the last lines are written when it is dropped"]
pub struct LogGuard(Arc<LogBuffer>);

#[derive(Default)]
struct LogBuffer {
    state: Mutex<BufferState>,
    changed: Condvar,
}

#[derive(Default)]
struct BufferState {
    text: Vec<u8>,
    lost: u64,
    /// Everybody writes for themselves.
    is_direct: bool,
    /// No more lines are waited for.
    is_ending: bool,
}

impl LogWriter {
    /// Starts the thread. Where the system gives none, lines are written by whoever has something to say.
    pub(super) fn start(to: impl Write + Send + 'static) -> (LogWriter, LogGuard) {
        let buffer = Arc::new(LogBuffer::default());
        let writing = Arc::clone(&buffer);
        let started = thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || write(&writing, to));
        buffer.lock().is_direct = started.is_err();
        (LogWriter(Arc::clone(&buffer)), LogGuard(buffer))
    }
}

impl LogBuffer {
    fn lock(&self) -> MutexGuard<'_, BufferState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes until it is told to end. What cannot be written cannot be complained of either.
fn write(buffer: &LogBuffer, mut to: impl Write) {
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
            let _ = writeln!(to, "{lost} log lines were lost: nobody read them in time");
        }
        text.clear();
        text.shrink_to(MAX_BUFFERED_BYTES / 64);
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

    /// Does not take anything before it is told to.
    struct BlockedWriter(mpsc::Receiver<()>, MemoryWriter);

    impl Write for BlockedWriter {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            // An error means that nobody holds it back any more.
            let _ = self.0.recv();
            self.1.write(text)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_come_out_whole_in_order_and_to_the_last() {
        let written = MemoryWriter::default();
        let (lines, logging) = LogWriter::start(written.clone());
        let expected: String = (0..1000).map(|number| format!("line {number}\n")).collect();
        for line in expected.split_inclusive('\n') {
            (&lines).write_all(line.as_bytes()).expect("there is room");
        }
        drop(logging);
        assert_eq!(written.text(), expected);
    }

    #[test]
    fn whoever_logs_does_not_wait_for_a_reader_who_has_stopped() {
        let written = MemoryWriter::default();
        let (go, held_back) = mpsc::channel();
        let (lines, logging) = LogWriter::start(BlockedWriter(held_back, written.clone()));
        let line = [b'x'; 1023]
            .iter()
            .chain(b"\n")
            .copied()
            .collect::<Vec<u8>>();
        for _ in 0..3 * MAX_BUFFERED_BYTES / line.len() {
            (&lines).write_all(&line).expect("it is taken or lost");
        }
        drop(go);
        drop(logging);
        let text = written.text();
        assert!(
            text.len() <= 2 * MAX_BUFFERED_BYTES + 100,
            "{} bytes",
            text.len()
        );
        assert!(text.contains("log lines were lost"));
    }
}

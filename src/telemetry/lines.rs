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
const ROOM: usize = 4 << 20;

/// How long lines are collected before they are written: waking the thread costs more than a line.
const PAUSE: Duration = Duration::from_millis(10);

/// How long the last lines are waited for at the end, if nobody reads them.
const PATIENCE: Duration = Duration::from_secs(2);

/// Takes lines in.
#[derive(Clone)]
pub(super) struct Lines(Arc<Shared>);

/// Writes what is left when it is dropped. Lines that come later are written at once.
#[must_use = "the last lines are written when it is dropped"]
pub struct Logging(Arc<Shared>);

#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    text: Vec<u8>,
    lost: u64,
    /// Everybody writes for themselves.
    is_direct: bool,
    /// No more lines are waited for.
    is_ending: bool,
}

impl Lines {
    /// Starts the thread. Where the system gives none, lines are written by whoever has something to say.
    pub(super) fn start(to: impl Write + Send + 'static) -> (Lines, Logging) {
        let shared = Arc::new(Shared::default());
        let writing = Arc::clone(&shared);
        let started = thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || write(&writing, to));
        shared.lock().is_direct = started.is_err();
        (Lines(Arc::clone(&shared)), Logging(shared))
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes until it is told to end. What cannot be written cannot be complained of either.
fn write(shared: &Shared, mut to: impl Write) {
    let mut text = Vec::new();
    loop {
        let is_idle = |waiting: &mut Waiting| waiting.text.is_empty() && !waiting.is_ending;
        let waiting = shared
            .changed
            .wait_while(shared.lock(), is_idle)
            .unwrap_or_else(PoisonError::into_inner);
        let (mut waiting, _) = shared
            .changed
            .wait_timeout_while(waiting, PAUSE, |waiting| !waiting.is_ending)
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(&mut text, &mut waiting.text);
        let lost = std::mem::take(&mut waiting.lost);
        let is_last = text.is_empty();
        waiting.is_direct |= is_last;
        drop(waiting);
        if is_last {
            shared.changed.notify_all();
            return;
        }
        let _ = to.write_all(&text);
        if lost > 0 {
            let _ = writeln!(to, "{lost} log lines were lost: nobody read them in time");
        }
        text.clear();
        text.shrink_to(ROOM / 64);
    }
}

impl Drop for Logging {
    fn drop(&mut self) {
        let mut waiting = self.0.lock();
        waiting.is_ending = true;
        self.0.changed.notify_all();
        let is_busy = |waiting: &mut Waiting| !waiting.is_direct;
        let _ = self
            .0
            .changed
            .wait_timeout_while(waiting, PATIENCE, is_busy);
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = &'a Lines;

    fn make_writer(&'a self) -> &'a Lines {
        self
    }
}

impl Write for &Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut waiting = self.0.lock();
        if waiting.is_direct {
            drop(waiting);
            return io::stderr().write(line);
        }
        if waiting.text.len() + line.len() > ROOM {
            waiting.lost += 1;
            return Ok(line.len());
        }
        let was_idle = waiting.text.is_empty();
        waiting.text.extend_from_slice(line);
        drop(waiting);
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
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Written {
        fn text(&self) -> String {
            let written = self.0.lock().expect("nobody panics with it");
            String::from_utf8(written.clone()).expect("whole lines")
        }
    }

    impl Write for Written {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("nobody panics with it").write(text)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Does not take anything before it is told to.
    struct Stuck(mpsc::Receiver<()>, Written);

    impl Write for Stuck {
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
        let written = Written::default();
        let (lines, logging) = Lines::start(written.clone());
        let expected: String = (0..1000).map(|number| format!("line {number}\n")).collect();
        for line in expected.split_inclusive('\n') {
            (&lines).write_all(line.as_bytes()).expect("there is room");
        }
        drop(logging);
        assert_eq!(written.text(), expected);
    }

    #[test]
    fn whoever_logs_does_not_wait_for_a_reader_who_has_stopped() {
        let written = Written::default();
        let (go, held_back) = mpsc::channel();
        let (lines, logging) = Lines::start(Stuck(held_back, written.clone()));
        let line = [b'x'; 1023]
            .iter()
            .chain(b"\n")
            .copied()
            .collect::<Vec<u8>>();
        for _ in 0..3 * ROOM / line.len() {
            (&lines).write_all(&line).expect("it is taken or lost");
        }
        drop(go);
        drop(logging);
        let text = written.text();
        assert!(text.len() <= 2 * ROOM + 100, "{} bytes", text.len());
        assert!(text.contains("log lines were lost"));
    }
}

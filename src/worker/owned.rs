//! A child process that does not outlive its owner.

use std::io;
use std::process::{Child, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

/// How long a process may take to end after it has closed its socket, and how often it is looked at meanwhile.
const EXIT: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(1);

/// A child process that is killed when this is dropped, also while it is being started.
#[derive(Debug)]
pub(super) struct OwnedChild(Child);

impl OwnedChild {
    pub(super) fn new(child: Child) -> Self {
        OwnedChild(child)
    }

    pub(super) fn id(&self) -> u32 {
        self.0.id()
    }

    pub(super) fn is_alive(&mut self) -> bool {
        matches!(self.0.try_wait(), Ok(None))
    }

    /// Whether it ends by itself.
    pub(super) fn ends_soon(&mut self) -> bool {
        let until = Instant::now() + EXIT;
        while self.is_alive() {
            if Instant::now() >= until {
                return false;
            }
            thread::sleep(PAUSE);
        }
        true
    }

    /// Kills it if it still runs, and returns how it ended.
    pub(super) fn end(&mut self) -> io::Result<ExitStatus> {
        let _ = self.0.kill();
        self.0.wait()
    }
}

impl Drop for OwnedChild {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

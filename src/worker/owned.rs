//! A child process that does not outlive its owner.

use std::io;
use std::process::{Child, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use crate::worker::stat::Stat;

/// How long a process may take to begin its end after it has closed its socket, and how often it is looked at meanwhile.
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

    /// Whether it ends by itself. On a busy machine the end may take long, once it has begun.
    pub(super) fn ends_soon(&mut self) -> bool {
        let until = Instant::now() + EXIT;
        while self.is_alive() && !self.is_ending() {
            if Instant::now() >= until {
                return false;
            }
            thread::sleep(PAUSE);
        }
        true
    }

    fn is_ending(&self) -> bool {
        Stat::read(self.id()).is_ok_and(|stat| stat.is_ending)
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

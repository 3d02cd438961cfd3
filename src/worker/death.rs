//! How a worker process ended, and what that says of its job.

use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

/// Why a job has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkerError {
    /// The process that did it ended.
    Died(Death),
    /// Its source has ended several processes, and is not tried for a while.
    Blocked,
    /// Somebody else has killed the process that did it, or another one for the same source shortly before. So long the source is not tried.
    Killed(Duration),
    /// No process could be started.
    Unavailable,
}

/// How a worker process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Death {
    /// By a mistake in its memory, or an instruction that does not exist.
    Crash,
    /// By itself: a check has failed, or the stack was full.
    Abort,
    /// By the server, because the job has panicked: what is left of the process may be in disorder.
    Panic,
    /// It asked for more memory than its job may have, and could not go on without.
    Memory,
    /// It asked the system for something that a render does not need, or wrote more than it may.
    Forbidden,
    /// By somebody else, such as a system without memory.
    Killed,
    /// By the server, because its job took too long.
    Overdue,
    /// By the server, because its answer made no sense.
    Nonsense,
    /// It left.
    Exit,
}

impl Death {
    /// Every kind.
    pub const ALL: [Death; 9] = [
        Death::Crash,
        Death::Abort,
        Death::Panic,
        Death::Memory,
        Death::Forbidden,
        Death::Killed,
        Death::Overdue,
        Death::Nonsense,
        Death::Exit,
    ];

    /// How a process with this status ended, of which these are the last words.
    pub(super) fn of(status: ExitStatus, words: &str) -> Death {
        match status.signal() {
            Some(libc::SIGSEGV | libc::SIGBUS | libc::SIGILL | libc::SIGFPE) => Death::Crash,
            // What Rust says where memory cannot be had.
            Some(libc::SIGABRT) if words.contains("memory allocation of") => Death::Memory,
            Some(libc::SIGABRT) => Death::Abort,
            Some(libc::SIGSYS | libc::SIGXFSZ) => Death::Forbidden,
            Some(_) => Death::Killed,
            None => Death::Exit,
        }
    }

    /// The word for logs and metrics.
    pub const fn word(self) -> &'static str {
        match self {
            Death::Crash => "crash",
            Death::Abort => "abort",
            Death::Panic => "panic",
            Death::Memory => "memory",
            Death::Forbidden => "forbidden",
            Death::Killed => "killed",
            Death::Overdue => "overdue",
            Death::Nonsense => "nonsense",
            Death::Exit => "exit",
        }
    }
}

impl fmt::Display for WorkerError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WorkerError::Died(death) => write!(
                out,
                "the worker process ended during the transformation: {}",
                death.word()
            ),
            WorkerError::Blocked => {
                out.write_str("the source has ended worker processes, and is not tried for now")
            }
            WorkerError::Killed(rest) => write!(
                out,
                "the worker process was killed, maybe because the system has no memory left; the source is tried again after {} s",
                rest.as_millis().div_ceil(1000)
            ),
            WorkerError::Unavailable => out.write_str("no worker process could be started"),
        }
    }
}

impl std::error::Error for WorkerError {}

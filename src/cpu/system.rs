//! Calls of the operating system for workers: the priority of a thread, and its CPU time.
#![cfg_attr(
    target_os = "linux",
    expect(unsafe_code, reason = "calls setpriority and clock_gettime")
)]

use std::cell::Cell;
use std::time::Duration;

thread_local! {
    /// CPU time that another process has used for the calling thread.
    static CHARGED: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// Adds CPU time that another process has used for the job of the calling thread, which waited for it.
pub(crate) fn charge(time: Duration) {
    CHARGED.set(CHARGED.get().saturating_add(time));
}

/// Lowers the priority of the calling thread to this `nice` value. On Linux every thread has its own value, and needs no rights to raise it.
#[cfg(target_os = "linux")]
pub(super) fn lower_priority(nice: i32) {
    // SAFETY: the arguments are numbers, and 0 is the calling thread. Where the call is not permitted, nothing changes.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) };
}

/// Does nothing: on other systems the value is that of the whole process.
#[cfg(not(target_os = "linux"))]
pub(super) fn lower_priority(_nice: i32) {}

/// The CPU time that the calling thread has used, with what it was charged; `None` where the system does not tell.
#[cfg(target_os = "linux")]
pub(super) fn thread_time() -> Option<Duration> {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the call fills the structure, which is on our stack.
    let status = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    let seconds = u64::try_from(time.tv_sec).ok()?;
    let nanos = u32::try_from(time.tv_nsec).ok()?;
    (status == 0).then(|| Duration::new(seconds, nanos).saturating_add(CHARGED.get()))
}

#[cfg(not(target_os = "linux"))]
pub(super) fn thread_time() -> Option<Duration> {
    None
}

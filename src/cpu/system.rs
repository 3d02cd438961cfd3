//! What the operating system does for workers: threads that give way to others, and clocks that count the time of one thread alone.
#![cfg_attr(
    target_os = "linux",
    expect(unsafe_code, reason = "calls setpriority and clock_gettime")
)]

use std::time::Duration;

/// Makes the calling thread give way: the higher `nice`, the more. On Linux every thread has a value of its own, and anybody may raise it.
#[cfg(target_os = "linux")]
pub(super) fn lower_priority(nice: i32) {
    // SAFETY: plain numbers; 0 is the calling thread. Where it is not permitted, nothing changes.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) };
}

/// Elsewhere the value is that of the whole process.
#[cfg(not(target_os = "linux"))]
pub(super) fn lower_priority(_nice: i32) {}

/// Processor time that the calling thread has used; `None` where it is not told.
#[cfg(target_os = "linux")]
pub(super) fn thread_time() -> Option<Duration> {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the structure is ours and filled by the call.
    let status = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    let seconds = u64::try_from(time.tv_sec).ok()?;
    let nanos = u32::try_from(time.tv_nsec).ok()?;
    (status == 0).then(|| Duration::new(seconds, nanos))
}

#[cfg(not(target_os = "linux"))]
pub(super) fn thread_time() -> Option<Duration> {
    None
}

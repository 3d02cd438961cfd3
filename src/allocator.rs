//! Settings of the C library's allocator: it keeps memory while pictures are made and gives it back when none are. The C codecs allocate with it, so
//! another allocator in Rust would not reach them.
//!
//! With the defaults of glibc, 500 mixed transforms leave 54 MB behind. To map every large buffer leaves least, but the kernel then clears and takes
//! back pages for a tenth of the time of a small picture; so the process keeps buffers until it is idle, unless there is little memory.
#![cfg_attr(
    all(target_os = "linux", target_env = "gnu"),
    expect(unsafe_code, reason = "calls mallopt and malloc_trim")
)]

/// Sets the allocator up, in a process that may use `memory` bytes (`None`: unknown). Must be called once, before the first thread starts.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn set_up(memory: Option<u64>) {
    /// With less memory than this, in bytes, it matters more than the time for pages.
    const LITTLE: u64 = 1 << 30;
    let is_little = memory.is_some_and(|memory| memory < LITTLE);
    // How many arenas there are, so that two threads can allocate at once. More arenas keep more memory that they do not need, and each but the first
    // takes 64 MiB of the address space, which `ulimit -v` limits.
    let arenas = if is_little { 1 } else { 2 };
    // The size in bytes from which an allocation is a mapping of its own, which is given back when it is freed. 32 MiB is the largest value that
    // glibc takes.
    let mapped = if is_little { 1 << 20 } else { 32 << 20 };
    // How much free memory at the end of an arena is kept, in bytes.
    let kept = if is_little { 4 << 20 } else { 64 << 20 };
    // SAFETY: the arguments are numbers, and the process has one thread.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, arenas);
        libc::mallopt(libc::M_TRIM_THRESHOLD, kept);
        libc::mallopt(libc::M_MMAP_THRESHOLD, mapped);
    }
}

/// Lets all threads of the process allocate from one arena, where one thread does all work. Must be called before the second thread starts.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn use_one_arena() {
    // SAFETY: the arguments are numbers, and the process has one thread.
    unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) };
}

/// Gives free memory back to the system. This takes milliseconds, so it is done when there is nothing else to do.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn trim() {
    // SAFETY: may be called at any time and from any thread.
    unsafe { libc::malloc_trim(0) };
}

/// Does nothing: other C libraries have no such settings.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn set_up(_memory: Option<u64>) {}

/// Does nothing: other C libraries have no arenas.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn use_one_arena() {}

/// Does nothing: other C libraries give free memory back themselves.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn trim() {}

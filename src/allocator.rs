//! Settings of the C library's allocator: it keeps memory while pictures are made and gives it back when none are. The C codecs allocate with it, so
//! another allocator in Rust would not reach them.
//!
//! With the defaults of glibc, 500 mixed transforms leave 54 MB behind. To map every large buffer leaves least, but the kernel then clears and takes
//! back pages for a tenth of the time of a small picture; so the process keeps buffers until it is idle.
#![cfg_attr(
    all(target_os = "linux", target_env = "gnu"),
    expect(unsafe_code, reason = "calls mallopt and malloc_trim")
)]

/// Sets the allocator up. Must be called once, before the first thread starts.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn set_up() {
    /// How many arenas there are, so that two threads can allocate at once. More arenas keep more memory that they do not need.
    const ARENAS: i32 = 2;
    /// The size in bytes from which an allocation is a mapping of its own, which is given back when it is freed. This is the largest value that glibc takes.
    const MMAP_THRESHOLD: i32 = 32 << 20;
    /// How much free memory at the end of an arena is kept, in bytes.
    const TRIM_THRESHOLD: i32 = 64 << 20;
    // SAFETY: the arguments are numbers, and the process has one thread.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, ARENAS);
        libc::mallopt(libc::M_TRIM_THRESHOLD, TRIM_THRESHOLD);
        libc::mallopt(libc::M_MMAP_THRESHOLD, MMAP_THRESHOLD);
    }
}

/// Gives free memory back to the system. This takes milliseconds, so it is done when there is nothing else to do.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn trim() {
    // SAFETY: may be called at any time and from any thread.
    unsafe { libc::malloc_trim(0) };
}

/// Does nothing: other C libraries have no such settings.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn set_up() {}

/// Does nothing: other C libraries give free memory back themselves.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn trim() {}

//! The peak memory of this process, as Linux reports it. On other systems it is not known, and nothing is asserted.

use std::fs;

/// The peak of resident memory in MiB since [`reset_peak`], or since the process began if the peak cannot be reset.
pub fn peak() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes / 1024)
}

/// Starts a new measurement.
pub fn reset_peak() {
    // If this is not permitted, the peak is too high, which makes the assertion stricter.
    let _ = fs::write("/proc/self/clear_refs", "5");
}

//! How much memory this process has held, as Linux tells; elsewhere nothing is known, and nothing is asserted.

use std::fs;

/// The most mebibytes that were resident since [`forget_peak`], or since the process began where the peak cannot be forgotten.
pub fn peak() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes / 1024)
}

/// Begins a new measurement.
pub fn forget_peak() {
    // Where it is not permitted the peak only grows, which makes the assertion stricter.
    let _ = fs::write("/proc/self/clear_refs", "5");
}

//! `safelight worker`: makes pictures for the server that has started this process. Nobody else calls it.

use super::error::CommandError;

/// Does jobs until the server ends.
///
/// # Errors
/// No server has started this process.
#[cfg(target_os = "linux")]
pub fn serve_jobs() -> Result<(), CommandError> {
    crate::worker::serve_jobs().map_err(|error| {
        CommandError::new(format!(
            "`worker` is started by the server, never by hand: {error}"
        ))
    })
}

/// Only Linux has worker processes.
///
/// # Errors
/// Always.
#[cfg(not(target_os = "linux"))]
pub fn serve_jobs() -> Result<(), CommandError> {
    Err(CommandError::new("worker processes need Linux"))
}

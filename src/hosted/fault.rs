//! Points of a write at which tests kill the process, or let it fail. Only tests have them.

/// Kills the process at once if a test asked for that at this point.
#[cfg(not(test))]
pub(super) const fn point(_: &str) {}

/// Kills the process at once if a test asked for that at this point.
#[cfg(test)]
pub(super) fn point(name: &str) {
    let is_asked = AT.lock().is_ok_and(|at| at.as_deref() == Some(name));
    if is_asked {
        let _ =
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
}

/// Fails at once if a test asked for that at this point.
#[cfg(not(test))]
pub(super) const fn error(_: &str) -> std::io::Result<()> {
    Ok(())
}

/// Fails at once if a test asked for that at this point.
#[cfg(test)]
pub(super) fn error(name: &str) -> std::io::Result<()> {
    if let Ok(mut fails) = FAILS.lock()
        && let Some(at) = fails.iter().position(|at| *at == name)
    {
        fails.swap_remove(at);
        return Err(std::io::ErrorKind::Other.into());
    }
    Ok(())
}

/// The points that fail, each once.
#[cfg(test)]
pub(super) static FAILS: std::sync::Mutex<Vec<&str>> = std::sync::Mutex::new(Vec::new());

/// The point at which the process is killed.
#[cfg(test)]
pub(super) static AT: std::sync::Mutex<Option<String>> = std::sync::Mutex::new(None);

//! Which file has the settings.

use std::io;
use std::path::Path;

/// The name of the file, unless another one is named.
const CONFIG: &str = "config.toml";

/// The file that is named, or else `config.toml` if the current folder has one. A broken link is a file that cannot be read, and not the same as none:
/// a server must not start with other settings because of it.
pub(super) fn settings_file(named: Option<&Path>) -> Option<&Path> {
    if named.is_some() {
        return named;
    }
    let path = Path::new(CONFIG);
    match path.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        _ => Some(path),
    }
}

//! Where the programs of a user cache: the XDG Base Directory Specification.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

/// The folder for the caches of the user: `$XDG_CACHE_HOME`, or else `.cache` in the home folder. `None` where there is neither. As the specification
/// asks, a path that is not absolute counts as none.
#[expect(
    clippy::disallowed_methods,
    reason = "`config` alone reads the environment"
)]
pub fn user_cache_folder() -> Option<PathBuf> {
    cache_folder(env::var_os("XDG_CACHE_HOME"), env::var_os("HOME"))
}

fn cache_folder(xdg: Option<OsString>, home: Option<OsString>) -> Option<PathBuf> {
    let absolute = |path: OsString| Some(PathBuf::from(path)).filter(|path| path.is_absolute());
    xdg.and_then(absolute)
        .or_else(|| Some(home.and_then(absolute)?.join(".cache")))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::cache_folder;

    #[test]
    fn the_variable_of_xdg_goes_before_the_home_folder() {
        for (xdg, home, folder) in [
            (Some("/x"), Some("/home/a"), Some("/x")),
            (None, Some("/home/a"), Some("/home/a/.cache")),
            (Some(""), Some("/home/a"), Some("/home/a/.cache")),
            (Some("x/y"), Some("/home/a"), Some("/home/a/.cache")),
            (Some("x/y"), Some(""), None),
            (Some("/x"), None, Some("/x")),
            (None, Some("home"), None),
            (None, None, None),
        ] {
            let found = cache_folder(xdg.map(Into::into), home.map(Into::into));
            assert_eq!(found.as_deref(), folder.map(Path::new), "{xdg:?} {home:?}");
        }
    }
}

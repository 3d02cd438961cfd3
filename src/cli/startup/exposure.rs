//! Keeps the server from handing out its own files, among them secrets, where it serves all files of a folder.

use std::fs::canonicalize;
use std::path::Path;

use crate::cli::error::CommandError;
use crate::config::Config;
use crate::policy::{Originals, ZoneOrigin};

/// Checks that neither the settings nor the disk cache are among the files that are served as they are. Pictures alone never are.
///
/// # Errors
/// [`CommandError`] names what would be served.
pub(super) fn check(config: &Config, file: Option<&Path>) -> Result<(), CommandError> {
    let ZoneOrigin::Folder(folder) = &config.zone.origin else {
        return Ok(());
    };
    if config.zone.originals != Some(Originals::All) {
        return Ok(());
    }
    let Ok(folder) = canonicalize(folder) else {
        return Ok(());
    };
    let cache = &config.cache.disk.path;
    let cache = (!cache.as_os_str().is_empty()).then_some(cache.as_path());
    let own = [("the settings", file), ("the disk cache", cache)];
    for (what, path) in own {
        let Some(path) = path else { continue };
        if real_path(path).is_some_and(|path| path.starts_with(&folder)) {
            return Err(CommandError(format!(
                "with `zone.originals = \"all\"` everybody could read {what} `{}`, which is in the folder `{}`: keep it elsewhere, or serve pictures alone",
                path.display(),
                folder.display()
            )));
        }
    }
    Ok(())
}

/// The path without links. A folder that will be made is where its parent is.
fn real_path(path: &Path) -> Option<std::path::PathBuf> {
    if let Ok(real) = canonicalize(path) {
        return Some(real);
    }
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    Some(canonicalize(parent).ok()?.join(path.file_name()?))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn own_files_are_never_served() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("site")).expect("a folder");
        fs::write(at("site/config.toml"), "").expect("a file");
        fs::write(at("config.toml"), "").expect("a file");
        let check_with = |originals, file: &str, cache: PathBuf| {
            let mut config = Config::default();
            config.zone.origin = ZoneOrigin::Folder(at("site"));
            config.zone.originals = originals;
            config.cache.disk.path = cache;
            check(&config, Some(&at(file))).map_err(|error| error.to_string())
        };
        let all = Some(Originals::All);
        let elsewhere = at("cache");
        assert_eq!(check_with(all, "config.toml", elsewhere.clone()), Ok(()));
        assert_eq!(check_with(all, "config.toml", PathBuf::new()), Ok(()));
        assert_eq!(
            check_with(None, "site/config.toml", at("site/cache")),
            Ok(())
        );
        let error = check_with(all, "site/config.toml", elsewhere).expect_err("it is served");
        assert!(error.contains("the settings"), "{error}");
        let error = check_with(all, "config.toml", at("site/cache")).expect_err("it is served");
        assert!(error.contains("the disk cache"), "{error}");
    }
}

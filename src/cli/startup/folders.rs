//! Keeps the folders of a server apart: one of them can be deleted at any time, another is emptied when it is full, and the store must lose nothing.

use std::path::Path;

use super::real_path::real_path;
use crate::cli::error::CommandError;
use crate::config::Config;
use crate::hosted::Store;

/// Checks that the disk cache, the index and the store of hosted images are not among each other's files.
///
/// # Errors
/// [`CommandError`] has a line for each folder that is in the way of another.
pub(super) fn check(config: &Config) -> Result<(), CommandError> {
    if config.hosted.store == Store::Off {
        return Ok(());
    }
    let index = ("hosted.index", config.hosted.index.as_path());
    let cache = ("cache.disk.path", config.cache.disk.path.as_path());
    let mut wrong = Vec::new();
    if let Store::Folder(folder) = &config.hosted.store {
        let store = ("hosted.store", folder.as_path());
        // The index may be in the store, which passes over it.
        wrong.extend(clash(index, store, &[Place::Same, Place::Around]));
        wrong.extend(clash(cache, store, &Place::ALL));
    }
    wrong.extend(clash(cache, index, &Place::ALL));
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(CommandError(wrong.join("\n")))
    }
}

/// Where a folder is, as another sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Same,
    Inside,
    Around,
}

impl Place {
    const ALL: [Place; 3] = [Place::Same, Place::Inside, Place::Around];

    fn of(folder: &Path, other: &Path) -> Option<Place> {
        let (folder, other) = (real_path(folder), real_path(other));
        match (folder.starts_with(&other), other.starts_with(&folder)) {
            (true, true) => Some(Place::Same),
            (true, false) => Some(Place::Inside),
            (false, true) => Some(Place::Around),
            (false, false) => None,
        }
    }

    fn words(self) -> &'static str {
        match self {
            Place::Same => "is the folder of",
            Place::Inside => "is inside the folder of",
            Place::Around => "is around the folder of",
        }
    }
}

/// What is wrong, where a folder is at one of the places that it must not be at. An empty path is no folder.
fn clash(folder: (&str, &Path), other: (&str, &Path), refused: &[Place]) -> Option<String> {
    let ((name, path), (other, beside)) = (folder, other);
    if path.as_os_str().is_empty() {
        return None;
    }
    let place = Place::of(path, beside).filter(|place| refused.contains(place))?;
    Some(format!(
        "setting `{name}`: must be a folder of its own, but `{}` {} `{other}`, `{}`",
        path.display(),
        place.words(),
        beside.display()
    ))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::check;
    use crate::config::Config;
    use crate::hosted::Store;

    fn told(store: &str, index: &str, cache: &str) -> String {
        let mut config = Config::default();
        config.hosted.store = Store::try_from(store.to_owned()).expect("a store");
        config.hosted.index = PathBuf::from(index);
        config.cache.disk.path = PathBuf::from(cache);
        let checked = check(&config);
        checked
            .err()
            .map_or(String::new(), |error| error.to_string())
    }

    #[test]
    fn folders_are_kept_apart() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |path: &str| folder.path().join(path).display().to_string();
        std::fs::create_dir(folder.path().join("images")).expect("a fresh folder");
        std::os::unix::fs::symlink("images", folder.path().join("link")).expect("a fresh folder");
        for (store, index, cache, wrong) in [
            ("images", "index", "cache", &[][..]),
            ("images", "images/index", "cache", &[]),
            ("images", "images2", "images3", &[]),
            (
                "images",
                "images",
                "cache",
                &["`hosted.index`: is the folder of `hosted.store`"],
            ),
            (
                "images",
                "link",
                "cache",
                &["`hosted.index`: is the folder of `hosted.store`"],
            ),
            (
                "a/images",
                "a",
                "cache",
                &["`hosted.index`: is around the folder of `hosted.store`"],
            ),
            (
                "images",
                "index",
                "images",
                &["`cache.disk.path`: is the folder of `hosted.store`"],
            ),
            (
                "images",
                "index",
                "./new/../images/",
                &["`cache.disk.path`: is the folder of `hosted.store`"],
            ),
            (
                "images",
                "index",
                "link/cache",
                &["`cache.disk.path`: is inside the folder of `hosted.store`"],
            ),
            (
                "a/images",
                "index",
                "a",
                &["`cache.disk.path`: is around the folder of `hosted.store`"],
            ),
            (
                "images",
                "index",
                "index",
                &["`cache.disk.path`: is the folder of `hosted.index`"],
            ),
            (
                "images",
                "index",
                "index/a",
                &["`cache.disk.path`: is inside the folder of `hosted.index`"],
            ),
            (
                "images",
                "a/index",
                "a",
                &["`cache.disk.path`: is around the folder of `hosted.index`"],
            ),
            (
                "a/images",
                "a/index",
                "a",
                &[
                    "`cache.disk.path`: is around the folder of `hosted.store`",
                    "`cache.disk.path`: is around the folder of `hosted.index`",
                ],
            ),
        ] {
            let told = told(&format!("file:{}", at(store)), &at(index), &at(cache));
            let lines: Vec<&str> = told.lines().collect();
            assert_eq!(lines.len(), wrong.len(), "{told}");
            for (line, wrong) in lines.iter().zip(wrong) {
                let (setting, place) = wrong.split_once(": ").expect("two parts");
                assert!(line.starts_with(&format!("setting {setting}: ")), "{line}");
                assert!(line.contains(place), "{line}");
            }
        }
    }

    #[test]
    fn what_is_not_there_is_in_nobodys_way() {
        assert_eq!(told("", "x", "x"), "");
        assert_eq!(told("file:x", "y", ""), "");
        assert_eq!(told("bucket:x", "index", "cache"), "");
        assert_eq!(
            told("bucket:x", "x", "x"),
            "setting `cache.disk.path`: must be a folder of its own, but `x` is the folder of `hosted.index`, `x`"
        );
    }
}

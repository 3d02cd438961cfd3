//! Where the disk cache of a server without a file of settings is.
//!
//! What is cached does not name the zone, so a folder must not be used for two: each has a folder of its own.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use crate::bucket;
use crate::config::{Config, user_cache_folder};
use crate::files::DirHandle;
use crate::policy::ZoneOrigin;

/// The longest part of the name of a folder that says what is cached there.
const MAX_LABEL: usize = 40;

/// The folder of the cache for what the settings serve, in the cache folder of the user.
///
/// # Errors
/// Why there is no disk cache, for the terminal.
pub(super) fn in_user_cache(config: &Config) -> Result<PathBuf, String> {
    let user = user_cache_folder().ok_or(
        "nothing is cached on disk, because there is no home folder; `--cache DIR` names a folder",
    )?;
    let folder = own_folder(&user.join("safelight"), config);
    made(&folder).map_err(|reason| {
        format!("nothing is cached on disk, because {reason}; `--cache DIR` names another folder")
    })?;
    Ok(folder)
}

/// Creates a folder for a cache unless it is there.
///
/// # Errors
/// What the system says, with the path.
pub(super) fn made(folder: &Path) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("`{}` cannot be made: {error}", folder.display());
    DirHandle::make(folder).map_err(failed)
}

/// The folder below `folder` for what the settings serve.
pub(super) fn own_folder(folder: &Path, config: &Config) -> PathBuf {
    let (label, identity) = match &config.zone.origin {
        ZoneOrigin::Folder(path) => {
            // All ways to write the path of one folder are one.
            let path = fs::canonicalize(path).unwrap_or_else(|_| path.clone());
            let label = path.file_name().unwrap_or_default();
            (
                label.to_string_lossy().into_owned(),
                [b"folder ", path.as_os_str().as_bytes()].concat(),
            )
        }
        ZoneOrigin::Http(url) => (
            url.host_str().unwrap_or_default().to_owned(),
            format!("site {url}").into_bytes(),
        ),
        ZoneOrigin::Bucket(name) => {
            let section = config.bucket.iter().find(|known| known.name == *name);
            of_bucket(name, section)
        }
        ZoneOrigin::None => ("hosted".to_owned(), b"no zone".to_vec()),
    };
    let hash = blake3::hash(&identity).to_hex();
    folder.join(format!("{}-{}", readable(&label), &hash[..16]))
}

fn of_bucket(name: &str, section: Option<&bucket::Config>) -> (String, Vec<u8>) {
    let Some(section) = section else {
        return (name.to_owned(), format!("bucket {name}").into_bytes());
    };
    let bucket::Config {
        bucket,
        region,
        endpoint,
        ..
    } = section;
    let identity = format!("bucket {bucket} {region} {endpoint}");
    (bucket.clone(), identity.into_bytes())
}

/// A text as the beginning of the name of a folder.
fn readable(label: &str) -> String {
    let plain = label.chars().map(|letter| match letter {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '_' => letter,
        '.' => '.',
        _ => '_',
    });
    let plain: String = plain.take(MAX_LABEL).collect();
    let plain = plain.trim_start_matches('.');
    if plain.is_empty() { "root" } else { plain }.to_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::own_folder;
    use crate::config::Config;

    fn folder_of(origin: &str, rest: &str) -> String {
        let text = format!("[zone]\norigin = \"{origin}\"\n{rest}");
        let config = Config::parse(&text, []).expect("the table holds origins");
        let folder = own_folder(Path::new("/c"), &config);
        let name = folder.strip_prefix("/c").expect("it is below");
        name.to_str().expect("it is ASCII").to_owned()
    }

    #[test]
    fn everything_served_has_a_folder_of_its_own() {
        let bucket = |region: &str, endpoint: &str| {
            format!(
                "[[bucket]]\nname = \"p\"\nbucket = \"photos\"\nregion = \"{region}\"\nendpoint = \"{endpoint}\"\n"
            )
        };
        let mut known = BTreeSet::new();
        for (origin, rest, label) in [
            ("file:/nonexistent/photos", String::new(), "photos-"),
            ("file:/nonexistent/b/photos", String::new(), "photos-"),
            ("file:/nonexistent/a b/üé", String::new(), "__-"),
            ("file:/nonexistent/.hidden", String::new(), "hidden-"),
            ("file:/", String::new(), "root-"),
            ("https://www.example.com", String::new(), "www.example.com-"),
            ("http://www.example.com", String::new(), "www.example.com-"),
            (
                "https://www.example.com/a",
                String::new(),
                "www.example.com-",
            ),
            ("http://[::1]:9000", String::new(), "___1_-"),
            ("bucket:p", bucket("eu-west-1", ""), "photos-"),
            ("bucket:p", bucket("eu-west-2", ""), "photos-"),
            ("bucket:p", bucket("", "https://s3.test"), "photos-"),
        ] {
            let name = folder_of(origin, &rest);
            let hash = name.strip_prefix(label).expect(&name);
            assert_eq!(hash.len(), 16, "{name}");
            assert!(known.insert(name), "{origin} {rest}");
        }
    }

    #[test]
    fn all_ways_to_write_one_folder_are_one() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::create_dir(folder.path().join("a")).expect("a fresh folder");
        std::os::unix::fs::symlink("a", folder.path().join("link")).expect("a fresh folder");
        let of = |path: &str| folder_of(&format!("file:{}/{path}", folder.path().display()), "");
        for path in ["a/", "./a", "a/../a", "link"] {
            assert_eq!(of(path), of("a"), "{path}");
        }
        assert_ne!(of("."), of("a"));
    }

    #[test]
    fn a_long_name_is_cut() {
        let name = folder_of(&format!("file:/nonexistent/{}", "n".repeat(200)), "");
        assert_eq!(name.len(), 40 + 1 + 16);
    }
}

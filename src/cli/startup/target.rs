//! What the command line says is served: a folder, a site or a bucket.

use std::borrow::Cow;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf, absolute};

use crate::config::Config;
use crate::policy::{ZoneOrigin, ZoneOriginError};
use crate::telemetry::redacted;

use super::s3::S3Target;

/// What is served.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// A folder, as it was written.
    Folder(PathBuf),
    /// A site, or a bucket of the settings.
    Origin(ZoneOrigin),
    /// A bucket with its region or endpoint.
    S3(S3Target),
}

impl Target {
    /// Reads an argument. What is no URL is a folder.
    ///
    /// # Errors
    /// What is wrong, for the terminal.
    pub(super) fn parse(argument: &Path) -> Result<Target, String> {
        // A name that is not UTF-8 can only be a folder.
        let text = argument.to_str().unwrap_or_default();
        let Some((scheme, rest)) = text.split_once(':') else {
            return Ok(Target::Folder(argument.to_owned()));
        };
        let scheme = scheme.to_ascii_lowercase();
        match (scheme.as_str(), rest.strip_prefix("//")) {
            ("s3", Some(place)) => S3Target::parse(place).map(Target::S3),
            ("http" | "https", Some(_)) => site(text, format!("{scheme}:{rest}")),
            // As in `zone.origin`.
            ("file", _) if !rest.is_empty() => Ok(Target::Folder(PathBuf::from(rest))),
            ("bucket", None) if !rest.is_empty() => {
                Ok(Target::Origin(ZoneOrigin::Bucket(rest.to_owned())))
            }
            (_, None) if !is_scheme_of_urls(&scheme) => Ok(Target::Folder(argument.to_owned())),
            _ => Err(wrong(text)),
        }
    }

    /// Makes it the zone of the settings.
    ///
    /// # Errors
    /// What is wrong, for the terminal: there is no such folder, for example.
    pub(super) fn apply(self, config: &mut Config) -> Result<(), String> {
        config.zone.origin = match self {
            Target::Folder(folder) => ZoneOrigin::Folder(readable_folder(&folder)?),
            Target::Origin(origin) => origin,
            Target::S3(bucket) => ZoneOrigin::Bucket(bucket.add_to(&mut config.bucket)?),
        };
        Ok(())
    }
}

fn site(argument: &str, url: String) -> Result<Target, String> {
    match ZoneOrigin::try_from(url) {
        Ok(origin) => Ok(Target::Origin(origin)),
        Err(ZoneOriginError::Credentials) => {
            Err("TARGET must not hold a user or password".to_owned())
        }
        Err(ZoneOriginError::Malformed(_)) if argument.contains(['?', '#']) => Err(format!(
            "TARGET must be a site without query and fragment, as in `https://www.example.com/base`, got `{}`",
            shown(argument)
        )),
        Err(ZoneOriginError::Malformed(_)) => Err(wrong(argument)),
    }
}

fn wrong(argument: &str) -> String {
    format!(
        "TARGET must be a folder, a site as in `https://www.example.com`, or a bucket as in `s3://my-bucket?region=eu-west-1`, got `{}`",
        shown(argument)
    )
}

/// An argument without what may be secret in it.
fn shown(argument: &str) -> Cow<'_, str> {
    if argument.contains(['@', '?']) {
        redacted(argument)
    } else {
        Cow::Borrowed(argument)
    }
}

/// Whether what stands before a colon is meant as a scheme, although no slashes follow.
fn is_scheme_of_urls(scheme: &str) -> bool {
    matches!(scheme, "http" | "https" | "s3" | "file" | "bucket" | "ftp")
}

/// The absolute path of a folder whose files can be listed.
fn readable_folder(folder: &Path) -> Result<PathBuf, String> {
    let shown = folder.display();
    let problem = match fs::metadata(folder) {
        Ok(found) if found.is_dir() => {
            match fs::read_dir(folder).and_then(|_| absolute_path(folder)) {
                Ok(path) => return Ok(path),
                Err(error) => error,
            }
        }
        Ok(_) => {
            return Err(format!(
                "TARGET must be a folder, and `{shown}` is a file; `safelight transform` makes one picture without a server"
            ));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(format!(
                "TARGET must be an existing folder, or a site with `https://` before its name, got `{shown}`"
            ));
        }
        Err(error) => error,
    };
    Err(format!("the folder `{shown}` cannot be read: {problem}"))
}

/// Links stay in the path, so that a deployment may move them, unless it goes up.
fn absolute_path(folder: &Path) -> io::Result<PathBuf> {
    let goes_up = folder.components().any(|part| part == Component::ParentDir);
    if goes_up {
        return fs::canonicalize(folder);
    }
    // Without a slash at its end.
    Ok(absolute(folder)?.components().collect())
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;
    use std::path::{Path, PathBuf};

    use super::Target;
    use crate::config::Config;
    use crate::policy::ZoneOrigin;

    fn origin(text: &str) -> Target {
        Target::Origin(ZoneOrigin::try_from(text.to_owned()).expect("the table holds origins"))
    }

    #[test]
    fn folders_sites_and_buckets_are_told_apart() {
        let folder = |path: &str| Target::Folder(PathBuf::from(path));
        for (argument, target) in [
            ("photos", folder("photos")),
            ("./photos/", folder("./photos/")),
            ("/", folder("/")),
            (".", folder(".")),
            ("12:30", folder("12:30")),
            ("./http:x", folder("./http:x")),
            ("./s3:/x", folder("./s3:/x")),
            ("file:photos", folder("photos")),
            ("file:///srv/photos", folder("///srv/photos")),
            ("www.example.com", folder("www.example.com")),
            ("https://www.example.com", origin("https://www.example.com")),
            (
                "HTTPS://Example.com/base/",
                origin("https://example.com/base"),
            ),
            ("http://127.0.0.1:9000", origin("http://127.0.0.1:9000")),
            ("bucket:photos", origin("bucket:photos")),
        ] {
            assert_eq!(Target::parse(Path::new(argument)), Ok(target), "{argument}");
        }
        let odd = Path::new(OsStr::from_bytes(b"\xffhttps://a"));
        assert_eq!(Target::parse(odd), Ok(Target::Folder(odd.to_owned())));
        let s3 = Target::parse(Path::new("S3://b?region=eu-west-1"));
        assert!(matches!(s3, Ok(Target::S3(_))), "{s3:?}");
    }

    #[test]
    fn wrong_targets_are_named() {
        for (argument, message) in [
            ("ftp://x", "got `ftp://x`"),
            ("ftp:x", "got `ftp:x`"),
            ("gs://my-bucket", "got `gs://my-bucket`"),
            ("http:x", "got `http:x`"),
            ("https://", "got `https://`"),
            ("https://h:x/", "got `https://h:x/`"),
            ("s3:b", "got `s3:b`"),
            ("bucket:", "got `bucket:`"),
            ("bucket://b", "got `bucket://b`"),
            ("file:", "got `file:`"),
            ("https://h/?a=1", "without query and fragment"),
            ("https://h/#a", "without query and fragment"),
            ("https://u:hunter2@h/", "must not hold a user or password"),
        ] {
            let error = Target::parse(Path::new(argument)).expect_err(argument);
            assert!(error.starts_with("TARGET must"), "{error}");
            assert!(error.contains(message), "{error}");
        }
        for argument in [
            "https://u:hunter2@h/",
            "ftp://u:hunter2@h/",
            "s3://AK:hunter2@b",
        ] {
            let error = Target::parse(Path::new(argument)).expect_err(argument);
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_folder_must_be_there() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("cat.jpg");
        std::fs::write(&file, "x").expect("a fresh folder");
        let mut config = Config::default();
        for (path, message) in [
            (file.clone(), "is a file; `safelight transform`"),
            (folder.path().join("none"), "must be an existing folder"),
            (file.join("none"), "cannot be read"),
        ] {
            let error = Target::Folder(path).apply(&mut config).expect_err(message);
            assert!(error.contains(message), "{error}");
        }
        assert_eq!(config, Config::default());
        std::fs::create_dir(folder.path().join("a")).expect("a fresh folder");
        std::os::unix::fs::symlink("a", folder.path().join("link")).expect("a fresh folder");
        for (path, written) in [
            ("a", "a"),
            ("link/", "link"),
            ("./link", "link"),
            ("link/../a/", "a"),
        ] {
            let there = Target::Folder(folder.path().join(path));
            assert_eq!(there.apply(&mut config), Ok(()));
            let zone = ZoneOrigin::Folder(folder.path().join(written));
            assert_eq!(config.zone.origin, zone, "{path}");
        }
    }
}

//! What no URL may read as a source: the bucket of the cache, and where hosted images are kept.

use std::path::{Component, Path, PathBuf};

use percent_encoding::percent_decode_str;

use crate::policy::config::HostedStore;
use crate::policy::zone::ZoneOrigin;

/// A configured bucket that is no source, and the setting that says so.
#[derive(Clone, Copy, Debug)]
pub(super) struct PrivateBucket<'a> {
    pub(super) setting: &'static str,
    pub(super) name: &'a str,
}

impl<'a> PrivateBucket<'a> {
    pub(super) fn of_cache(name: &'a str) -> Self {
        PrivateBucket {
            setting: "cache.shared.bucket",
            name,
        }
    }

    pub(super) fn of_hosted(store: &'a HostedStore) -> Option<Self> {
        match store {
            HostedStore::Bucket { name, .. } => Some(PrivateBucket {
                setting: "hosted.store",
                name,
            }),
            HostedStore::Off | HostedStore::Folder(_) => None,
        }
    }
}

/// A folder below that of the zone, whose files are no sources: its path, segment by segment in lower case, because some file systems do not tell
/// `A` from `a`.
#[derive(Clone, Debug)]
pub(super) struct HiddenFolder(Vec<String>);

impl HiddenFolder {
    /// `None` where hosted images are kept somewhere else.
    pub(super) fn of(store: &HostedStore, zone: &ZoneOrigin) -> Option<Self> {
        let (HostedStore::Folder(hidden), ZoneOrigin::Folder(zone)) = (store, zone) else {
            return None;
        };
        let (hidden, zone) = (plain(hidden), plain(zone));
        let below = hidden.strip_prefix(&zone).ok()?;
        let segments = below.components();
        Some(HiddenFolder(
            segments
                .map(|segment| segment.as_os_str().to_string_lossy().to_lowercase())
                .collect(),
        ))
    }

    /// Whether a path of the zone, percent-encoded, leads into it.
    pub(super) fn has(&self, path: &str) -> bool {
        let path = percent_decode_str(path).decode_utf8_lossy().to_lowercase();
        let mut segments = path.split(['/', '\\']).filter(|text| !text.is_empty());
        self.0
            .iter()
            .all(|hidden| segments.next() == Some(hidden.as_str()))
    }
}

/// A path from the root without `.` and `..`. No file is looked at.
fn plain(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut plain = PathBuf::new();
    for component in absolute.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                plain.pop();
            }
            other => plain.push(other),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_below_the_zone_is_hidden_in_every_spelling() {
        let hidden = |store: &str, zone: &str| {
            let store = HostedStore::Folder(store.into());
            HiddenFolder::of(&store, &ZoneOrigin::Folder(zone.into()))
        };
        let below = hidden("/srv/www/./a/../my/Hosted", "/srv/www").expect("it is below");
        for path in [
            "my/hosted",
            "/my/hosted/keys.json",
            "/My/HOSTED/x.jpg",
            "/m%79/%68osted/x.jpg",
            "//my///hosted//x.jpg",
            "/my%2Fhosted/x.jpg",
            "/my\\hosted/x.jpg",
        ] {
            assert!(below.has(path), "{path}");
        }
        for path in ["/", "/my", "/my/hosted2/x", "/other/my/hosted/x", "/hosted"] {
            assert!(!below.has(path), "{path}");
        }
        assert!(hidden("/srv/other", "/srv/www").is_none());
        assert!(hidden("/srv", "/srv/www").is_none());
        assert!(hidden("/srv/www", "/srv/www").is_some_and(|all| all.has("/cat.jpg")));
        assert!(hidden("here/store", "here").is_some_and(|below| below.has("/store/x")));
    }
}

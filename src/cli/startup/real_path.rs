//! Where a path leads, whether or not something is there yet.

use std::fs::canonicalize;
use std::path::{Component, Path, PathBuf, absolute};

/// The path from the root without links, `.` and `..`. What does not exist yet is where the folder is that exists and is nearest to it.
pub(super) fn real_path(path: &Path) -> PathBuf {
    let path = absolute(path).unwrap_or_else(|_| path.to_owned());
    for above in path.ancestors() {
        if let (Ok(real), Ok(below)) = (canonicalize(above), path.strip_prefix(above)) {
            return below.components().fold(real, joined);
        }
    }
    path
}

fn joined(mut path: PathBuf, component: Component<'_>) -> PathBuf {
    match component {
        Component::ParentDir => {
            path.pop();
        }
        Component::CurDir => {}
        other => path.push(other),
    }
    path
}

#[cfg(test)]
mod tests {
    use super::real_path;

    #[test]
    fn all_ways_to_write_a_path_are_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().canonicalize().expect("it is there");
        std::fs::create_dir_all(root.join("a/b")).expect("a fresh folder");
        std::os::unix::fs::symlink("a/b", root.join("link")).expect("a fresh folder");
        for (path, real) in [
            ("a/b", "a/b"),
            ("a/./b/", "a/b"),
            ("a/../a/b", "a/b"),
            ("link", "a/b"),
            ("link/new/folder", "a/b/new/folder"),
            ("new/../a/b", "a/b"),
            ("new/./x/../y", "new/y"),
        ] {
            assert_eq!(real_path(&root.join(path)), root.join(real), "{path}");
        }
        let here = std::env::current_dir().expect("a folder");
        let here = here.canonicalize().expect("it is there");
        assert_eq!(real_path("nowhere/x".as_ref()), here.join("nowhere/x"));
        assert_eq!(real_path("/".as_ref()), std::path::Path::new("/"));
    }
}

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use tempfile::TempDir;

use crate::files::{DirHandle, beneath, is_link};

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn mode(path: &Path) -> u32 {
    let metadata = fs::symlink_metadata(path).expect("it is there");
    metadata.permissions().mode() & 0o777
}

#[test]
fn new_files_are_readable_for_their_owner_alone() {
    let place = folder();
    let path = place.path().join("a/b");
    DirHandle::make(&path).expect("a folder of ours");
    let made = DirHandle::open(&path).expect("it was made");
    made.make_folder("c").expect("a fresh folder");
    for name in ["new", "lock"] {
        let mut file = match name {
            "new" => made.new_file(name),
            _ => made.file_or_new(name),
        }
        .expect("a fresh folder");
        file.write_all(b"x").expect("a file of ours");
        assert_eq!(mode(&path.join(name)), 0o600, "{name}");
    }
    for folder in ["a", "a/b", "a/b/c"] {
        assert_eq!(mode(&place.path().join(folder)), 0o700, "{folder}");
    }
    assert!(!made.make_private().expect("it is ours"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is ours");
    assert!(made.make_private().expect("it is ours"));
    assert_eq!(mode(&path), 0o700);
}

#[test]
fn no_link_is_followed() {
    let outside = folder();
    let victim = outside.path().join("victim");
    fs::write(&victim, "untouched").expect("a file");
    let place = folder();
    let inside = place.path();
    symlink(&victim, inside.join("file")).expect("a link");
    symlink(outside.path(), inside.join("folder")).expect("a link");
    let opened = DirHandle::open(inside).expect("a folder");
    let errors = [
        opened.file("file").map(drop),
        opened.file_or_new("file").map(drop),
        opened.folder("folder").map(drop),
        DirHandle::open(&inside.join("folder")).map(drop),
    ];
    for error in errors {
        assert!(is_link(&error.expect_err("a link")));
    }
    let mut file = opened.new_file("file").expect("in place of the link");
    file.write_all(b"new").expect("a file of ours");
    opened.remove("folder").expect("the link goes");
    assert_eq!(fs::read(&victim).expect("it is there"), b"untouched");
    assert!(opened.names().expect("a folder").eq(&["file"]));
}

#[test]
fn a_folder_is_removed_with_its_content_and_no_link_is_followed() {
    let outside = folder();
    fs::write(outside.path().join("kept"), "x").expect("a file");
    let place = folder();
    let deep = place.path().join("x/y/z");
    fs::create_dir_all(&deep).expect("folders");
    fs::write(deep.join("file"), "x").expect("a file");
    symlink(outside.path(), deep.join("link")).expect("a link");
    let opened = DirHandle::open(place.path()).expect("a folder");
    opened.remove("x").expect("all of it");
    assert!(!opened.has("x") && outside.path().join("kept").exists());
    opened.remove("x").expect_err("it is gone");
}

#[test]
fn links_are_followed_inside_the_folder_and_not_out_of_it() {
    let outside = folder();
    fs::write(outside.path().join("secret"), "secret").expect("a file");
    let place = folder();
    // The path of the folder itself may have a link.
    let root = place.path().join("root");
    fs::create_dir_all(place.path().join("real/sub")).expect("folders");
    symlink("real", &root).expect("a link");
    let real = place.path().join("real");
    fs::write(real.join("sub/a"), "a").expect("a file");
    fs::write(place.path().join("beside"), "secret").expect("a file");
    for (name, target) in [
        ("relative", Path::new("sub/a")),
        ("absolute", &real.join("sub/a")),
        ("folder", Path::new("sub")),
        ("absolute-folder", &real.join("sub")),
        ("round", Path::new("../real/sub/a")),
        ("out", &outside.path().join("secret")),
        ("up", Path::new("../beside")),
        ("out-folder", outside.path()),
        ("loop", Path::new("loop")),
        ("root-of-all", Path::new("/")),
        ("process", Path::new("/proc/self/root")),
    ] {
        symlink(target, real.join(name)).expect("a link");
    }
    let opened = DirHandle::open_followed(&root).expect("a folder");
    let open = |way, name: &str| match way {
        "system" => opened.file_beneath(&root, Path::new(name)),
        _ => beneath::open_without_links(&opened.0, &root, Path::new(name)),
    };
    for way in ["system", "here"] {
        for name in [
            "sub/a",
            "relative",
            "absolute",
            "folder/a",
            "absolute-folder/a",
            "round",
        ] {
            let mut text = String::new();
            let mut file = open(way, name).unwrap_or_else(|error| panic!("{way} {name}: {error}"));
            file.read_to_string(&mut text).expect("a file");
            assert_eq!(text, "a", "{way} {name}");
        }
        for name in [
            "out",
            "up",
            "out-folder/secret",
            "loop",
            "root-of-all/etc/passwd",
            "process/etc/passwd",
            "none",
        ] {
            assert!(open(way, name).is_err(), "{way} {name}");
        }
    }
}

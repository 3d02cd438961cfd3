//! Links and modes in the folder of the cache: other users cannot read it, and no link in it is followed.

use std::fs;
use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::time::Duration;

use rustix::fs::Mode;
use rustix::process::umask;

use crate::cache::tests::{body, entries, folder, key, only, open, purge, render, store};
use crate::cache::tier::disk::layout::DiskLayout;
use crate::cache::tier::disk::recovery::scan;
use crate::cache::tier::disk::store::Store;
use crate::cache::{CacheStatus, DiskFault, RenditionKey, Target};

const BUDGET: u64 = 1 << 20;

/// Everything in a folder, with its mode.
fn modes(folder: &Path, into: &mut Vec<(String, u32)>) {
    for entry in fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("a readable folder").path();
        let metadata = fs::symlink_metadata(&path).expect("it is there");
        into.push((
            path.display().to_string(),
            metadata.permissions().mode() & 0o777,
        ));
        if metadata.is_dir() {
            modes(&path, into);
        }
    }
}

#[tokio::test]
async fn files_are_private_whatever_the_umask() {
    umask(Mode::empty());
    let place = folder();
    let path = place.path().join("cache");
    let cache = open(&path).await;
    render(&cache, RenditionKey::numbered(1), b"picture").await;
    purge(&cache, Target::Everything, false).await;
    render(&cache, RenditionKey::numbered(2), b"picture").await;
    assert!(cache.close(Duration::from_secs(60)).await);
    let mut found = Vec::new();
    modes(place.path(), &mut found);
    for part in [
        "/cache",
        "/renditions",
        "/sources",
        "/lock",
        "/purges",
        "/rendition-",
    ] {
        assert!(
            found.iter().any(|(path, _)| path.contains(part)),
            "{part}: {found:#?}"
        );
    }
    for (path, mode) in found {
        let expected = if Path::new(&path).is_dir() {
            0o700
        } else {
            0o600
        };
        assert_eq!(mode, expected, "{path}: {mode:o}");
    }
}

#[test]
fn the_mode_of_a_folder_that_others_can_read_is_changed() {
    let place = folder();
    let path = place.path().join("renditions");
    fs::create_dir(&path).expect("the test may write to its folder");
    fs::set_permissions(&path, Permissions::from_mode(0o777))
        .expect("the test may write to its folder");
    let store = store(&path, BUDGET);
    store.write(&key(1), b"", b"content");
    assert!(body(&store, key(1)).is_some());
    let mode = fs::metadata(&path)
        .expect("it is there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn a_link_in_place_of_the_incoming_file_is_not_followed() {
    let place = folder();
    let victim = place.path().join("victim");
    fs::write(&victim, "untouched").expect("the test may write to its folder");
    let store = store(&place.path().join("store"), BUDGET);
    symlink(&victim, place.path().join("store/incoming"))
        .expect("the test may write to its folder");
    store.write(&key(1), b"", b"content");
    assert_eq!(body(&store, key(1)).as_deref(), Some(&b"content"[..]));
    assert_eq!(fs::read(&victim).expect("it is there"), b"untouched");
}

#[tokio::test]
async fn an_entry_that_was_replaced_by_a_link_a_pipe_or_a_folder_is_rendered_again() {
    let place = folder();
    let cache = open(place.path()).await;
    render(&cache, RenditionKey::numbered(1), b"picture").await;
    assert!(cache.close(Duration::from_secs(60)).await);
    let entry = only(entries(&place.path().join("renditions")));
    let whole = fs::read(&entry).expect("just written");
    let victim = place.path().join("victim");
    // The link even leads to a whole entry.
    fs::write(&victim, &whole).expect("the test may write to its folder");
    for what in ["link", "pipe", "folder", "socket"] {
        fs::remove_file(&entry).expect("the test may write to its file");
        match what {
            "link" => symlink(&victim, &entry).expect("the test may write to its folder"),
            "folder" => {
                fs::create_dir(&entry).expect("the test may write to its folder");
                fs::write(entry.join("inside"), "x").expect("the test may write to its folder");
            }
            "pipe" => {
                let made = std::process::Command::new("mkfifo").arg(&entry).status();
                assert!(made.expect("every system has this command").success());
            }
            // The path of a socket must be short.
            _ => {
                let bound = std::os::unix::net::UnixListener::bind(place.path().join("s"));
                bound.expect("the test may write to its folder");
                fs::rename(place.path().join("s"), &entry)
                    .expect("the test may write to its folder");
            }
        }
        let cache = open(place.path()).await;
        let found = render(&cache, RenditionKey::numbered(1), b"picture").await;
        assert_eq!(found.outcome, CacheStatus::Miss, "{what}");
        assert!(cache.close(Duration::from_secs(60)).await);
        let metadata = fs::symlink_metadata(&entry).expect("it was made anew");
        assert!(metadata.is_file(), "{what}");
        assert_eq!(fs::read(&victim).expect("it is there"), whole, "{what}");
    }
}

#[test]
fn a_link_in_place_of_a_shard_is_not_followed() {
    let place = folder();
    let path = place.path().join("store");
    let outside = place.path().join("outside");
    fs::create_dir(&outside).expect("the test may write to its folder");
    fs::write(outside.join("photo.jpg"), "untouched").expect("the test may write to its folder");
    let shard = path.join(format!("{:02x}", DiskLayout::shard_of(&key(1))));
    let linked = || {
        fs::create_dir_all(&path).expect("the test may write to its folder");
        symlink(&outside, &shard).expect("the test may write to its folder");
    };
    linked();
    // The scan removes the link and nothing else.
    let store = store(&path, BUDGET);
    assert!(!shard.is_symlink());
    // A link that is created later is replaced.
    linked();
    assert_eq!(body(&store, key(1)), None);
    store.write(&key(1), b"", b"content");
    assert_eq!(body(&store, key(1)).as_deref(), Some(&b"content"[..]));
    assert!(!shard.is_symlink());
    store.remove(&key(1));
    let left = fs::read_dir(&outside).expect("it is there").count();
    assert_eq!(left, 1);
    assert!(outside.join("photo.jpg").exists());
}

#[test]
fn a_link_in_place_of_a_store_is_not_followed() {
    let place = folder();
    let outside = place.path().join("outside");
    fs::create_dir(&outside).expect("the test may write to its folder");
    symlink(&outside, place.path().join("store")).expect("the test may write to its folder");
    let store = Store::new(
        "renditions",
        DiskLayout::new(place.path().join("store")),
        BUDGET,
    );
    store.activate();
    assert_eq!(store.stats().fault, Some(DiskFault::NotAFolder));
    assert_eq!(fs::read_dir(&outside).expect("it is there").count(), 0);
    // The folders above belong to the operator, and may be links.
    symlink(&outside, place.path().join("mounted")).expect("the test may write to its folder");
    let store = Store::new(
        "renditions",
        DiskLayout::new(place.path().join("mounted/store")),
        BUDGET,
    );
    store.activate();
    scan(&store);
    store.write(&key(1), b"", b"content");
    assert!(body(&store, key(1)).is_some());
}

#[tokio::test]
async fn a_link_in_place_of_the_journal_is_not_followed() {
    let place = folder();
    let victim = place.path().join("victim");
    fs::write(&victim, "untouched").expect("the test may write to its folder");
    let path = place.path().join("cache");
    fs::create_dir(&path).expect("the test may write to its folder");
    for name in ["purges", "purges.new", "purges.unpublished"] {
        symlink(&victim, path.join(name)).expect("the test may write to its folder");
    }
    let cache = open(&path).await;
    let purged = cache
        .purge(vec![crate::cache::Purge::hard(Target::Everything)])
        .await;
    assert!(purged.is_err(), "it holds only until the end");
    assert!(cache.close(Duration::from_secs(60)).await);
    assert_eq!(fs::read(&victim).expect("it is there"), b"untouched");
}

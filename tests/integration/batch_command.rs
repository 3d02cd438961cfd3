//! `safelight transform` of many pictures, as people run it.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::process::run;
use crate::support::samples;

/// Runs it in a folder, and returns its exit code with what it printed.
async fn transform(folder: &Path, arguments: &[&str]) -> (i32, String) {
    let arguments = [&["transform"], arguments].concat();
    let output = run(folder, &arguments, &[]).await;
    let said = [output.stdout, output.stderr].concat();
    let code = output.status.code().expect("it ended");
    (code, String::from_utf8(said).expect("text"))
}

fn manifest(path: &Path) -> Value {
    let text = fs::read(path).expect("a manifest");
    serde_json::from_slice(&text).expect("JSON")
}

/// A folder `photos` with a picture of 64x48, one of 32x24 in a folder, and a text.
fn photos() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().join("photos");
    fs::create_dir_all(root.join("cats & dogs")).expect("a fresh folder");
    fs::write(root.join("a.png"), samples::png(64, 48)).expect("a fresh folder");
    fs::write(root.join("cats & dogs/b.jpg"), samples::jpeg(32, 24)).expect("a fresh folder");
    fs::write(root.join("notes.txt"), "no picture").expect("a fresh folder");
    folder
}

#[tokio::test]
async fn a_folder_becomes_files_of_several_widths_and_formats() {
    let folder = photos();
    let arguments = [
        "photos",
        "quality=80",
        "--srcset=32,16,640",
        "--format=webp,jpeg",
        "-o",
        "out",
    ];
    let (code, said) = transform(folder.path(), &arguments).await;
    assert_eq!(
        (code, said.as_str()),
        (0, "out/manifest.json: 2 made, 0 up to date, 0 failed\n")
    );
    for (path, size) in [
        ("a-16.webp", (16, 12)),
        ("a-32.webp", (32, 24)),
        ("a-16.jpg", (16, 12)),
        ("a-32.jpg", (32, 24)),
        ("cats & dogs/b-16.webp", (16, 12)),
        ("cats & dogs/b-32.jpg", (32, 24)),
    ] {
        let bytes = fs::read(folder.path().join("out").join(path)).expect(path);
        assert_eq!(samples::size_of(&bytes), size, "{path}");
    }
    // Neither is as wide as 640.
    assert!(!folder.path().join("out/a-640.webp").exists());
    let written = manifest(&folder.path().join("out/manifest.json"));
    let first = &written["pictures"][0];
    assert_eq!(
        (&first["source"], &first["width"], &first["height"]),
        (&json!("a.png"), &json!(64), &json!(48))
    );
    assert!(
        first["thumbhash"]
            .as_str()
            .is_some_and(|hash| hash.len() > 10),
        "{first}"
    );
    assert_eq!(first["files"].as_array().map(Vec::len), Some(4));
    let html = first["html"].as_str().unwrap_or_default();
    assert!(
        html.starts_with(
            "<picture><source type=\"image/webp\" srcset=\"a-16.webp 16w, a-32.webp 32w\""
        ),
        "{html}"
    );
    assert_eq!(written["pictures"][1]["source"], "cats & dogs/b.jpg");
}

#[tokio::test]
async fn what_is_up_to_date_is_left_alone() {
    let folder = photos();
    let arguments = ["photos", "width=16", "-o", "out"];
    let (_, said) = transform(folder.path(), &arguments).await;
    assert!(said.ends_with("2 made, 0 up to date, 0 failed\n"), "{said}");
    let (_, again) = transform(folder.path(), &arguments).await;
    assert!(
        again.ends_with("0 made, 2 up to date, 0 failed\n"),
        "{again}"
    );
    fs::write(folder.path().join("photos/a.png"), samples::png(48, 48)).expect("a folder of ours");
    let (_, changed) = transform(folder.path(), &arguments).await;
    assert!(
        changed.ends_with("1 made, 1 up to date, 0 failed\n"),
        "{changed}"
    );
    let (_, others) = transform(folder.path(), &["photos", "width=8", "-o", "out"]).await;
    assert!(
        others.ends_with("2 made, 0 up to date, 0 failed\n"),
        "{others}"
    );
    let (_, forced) = transform(
        folder.path(),
        &["photos", "width=8", "-o", "out", "--force"],
    )
    .await;
    assert!(
        forced.ends_with("2 made, 0 up to date, 0 failed\n"),
        "{forced}"
    );
}

#[tokio::test]
async fn a_pattern_a_name_and_a_manifest_are_taken() {
    let folder = photos();
    let arguments = [
        "photos/**/*.jpg",
        "width=16",
        "--format=webp",
        "--name=all/{name}-{width}x{height}.{extension}",
        "--manifest=made.json",
        "-o",
        "out",
    ];
    let (code, said) = transform(folder.path(), &arguments).await;
    assert_eq!(
        (code, said.as_str()),
        (0, "made.json: 1 made, 0 up to date, 0 failed\n")
    );
    assert!(folder.path().join("out/all/b-16x12.webp").exists());
    let (code, said) = transform(folder.path(), &["photos/*.gif", "width=16", "-o", "out"]).await;
    assert_eq!(code, 2, "{said}");
    assert!(
        said.contains("there is no picture in `photos/*.gif`"),
        "{said}"
    );
}

#[tokio::test]
async fn one_picture_that_fails_stops_no_other() {
    let folder = photos();
    fs::write(
        folder.path().join("photos/broken.png"),
        &samples::png(64, 48)[..60],
    )
    .expect("a folder of ours");
    let (code, said) = transform(folder.path(), &["photos", "width=16", "-o", "out"]).await;
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("failed: `broken.png`: "), "{said}");
    assert!(said.ends_with("2 made, 0 up to date, 1 failed\n"), "{said}");
    // Two pictures cannot be one file.
    let same = [
        "photos/**/[ab].*",
        "width=16,format=jpeg",
        "--name=x.{extension}",
        "-o",
        "other",
    ];
    let (code, said) = transform(folder.path(), &same).await;
    assert_eq!(code, 1, "{said}");
    assert!(
        said.contains("use a `--name` that tells them apart"),
        "{said}"
    );
    for (arguments, message) in [
        (["photos", "width=0", "-o", "out"], "width"),
        (["photos", "quality=0", "-o", "out"], "from 1 to 100"),
    ] {
        let (code, said) = transform(folder.path(), &arguments).await;
        assert_eq!(code, 2, "{said}");
        assert!(said.contains(message), "{said}");
    }
}

#[tokio::test]
async fn what_was_made_is_no_source_of_the_next_run() {
    let folder = photos();
    for output in ["photos/out", "photos"] {
        let arguments = ["photos", "width=8", "--format=webp", "-o", output];
        let (code, said) = transform(folder.path(), &arguments).await;
        let made = format!("{output}/manifest.json: 2 made, 0 up to date, 0 failed\n");
        assert_eq!((code, said), (0, made));
        let (code, said) = transform(folder.path(), &arguments).await;
        let skipped = format!("{output}/manifest.json: 0 made, 2 up to date, 0 failed\n");
        assert_eq!((code, said), (0, skipped));
        fs::remove_dir_all(folder.path().join("photos/out")).expect("a folder of ours");
        fs::create_dir(folder.path().join("photos/out")).expect("a folder of ours");
    }
}

#[tokio::test]
async fn a_source_is_never_replaced() {
    let folder = photos();
    let source = folder.path().join("photos/a.png");
    let before = fs::read(&source).expect("a picture");
    let arguments = ["photos", "width=8", "--format=png", "-o", "photos"];
    let (code, said) = transform(folder.path(), &arguments).await;
    assert_eq!(code, 1, "{said}");
    assert!(
        said.contains("`photos/a.png` is a source and would be replaced"),
        "{said}"
    );
    assert!(said.ends_with("1 made, 0 up to date, 1 failed\n"), "{said}");
    assert_eq!(fs::read(&source).expect("a picture"), before);
}

#[tokio::test]
async fn two_sizes_never_have_one_name() {
    let folder = photos();
    let arguments = [
        "photos/a.png",
        "quality=80",
        "--srcset=8,16",
        "--format=webp",
        "--name={name}.{extension}",
        "-o",
        "out",
    ];
    let (code, said) = transform(folder.path(), &arguments).await;
    assert_eq!(code, 1, "{said}");
    let reason = "`a.webp` would be made in two sizes: use a `--name` with {width}";
    assert!(said.contains(reason), "{said}");
}

#[tokio::test]
async fn a_file_above_the_limit_is_not_read() {
    let folder = photos();
    let config = folder.path().join("config.toml");
    fs::write(&config, "[limits]\nsource_bytes = \"10 B\"\n").expect("a folder of ours");
    let arguments = ["photos", "width=8", "-o", "out", "--config", "config.toml"];
    let (code, said) = transform(folder.path(), &arguments).await;
    assert_eq!(code, 1, "{said}");
    assert!(
        said.contains("more than `limits.source_bytes` allows"),
        "{said}"
    );
}

#[tokio::test]
async fn other_defaults_make_other_pictures() {
    let folder = photos();
    let arguments = ["photos", "width=8", "-o", "out", "--config", "config.toml"];
    for (quality, made) in [(50, 2), (50, 0), (60, 2)] {
        let text = format!("[defaults]\nquality = {quality}\n");
        fs::write(folder.path().join("config.toml"), text).expect("a folder of ours");
        let (_, said) = transform(folder.path(), &arguments).await;
        let expected = format!("{made} made, {} up to date, 0 failed\n", 2 - made);
        assert!(said.ends_with(&expected), "{quality}: {said}");
    }
}

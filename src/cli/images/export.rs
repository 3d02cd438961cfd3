//! `safelight images export`: originals into a folder, with a manifest. Files that are there already, by the manifest, are not fetched again.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use clap::Args;
use data_encoding::HEXLOWER;
use futures_util::{StreamExt, TryStreamExt, future, stream};
use hyper::Method;
use serde_json::Map;
use sha2::{Digest, Sha256};

use super::api_error::ApiError;
use super::client::ApiClient;
use super::folder::sha256_of;
use super::image::Image;
use super::manifest::{ExportedImage, MANIFEST, Manifest};
use super::progress::{ItemReport, Outcome, Output, Progress};
use super::show::download;
use super::transfer::{SentBytes, run};
use crate::cli::error::CommandError;

/// The longest part of a path that every file system takes.
const MAX_PART: usize = 200;

/// The extensions of pictures that a file keeps.
const EXTENSIONS: [&str; 18] = [
    "jpg", "jpeg", "jpe", "jfif", "png", "webp", "gif", "avif", "heic", "heif", "svg", "jxl",
    "tif", "tiff", "bmp", "ico", "qoi", "pnm",
];

/// The arguments of `images export`.
#[derive(Debug, Args)]
pub(super) struct ExportArguments {
    /// The folder. It is made if it is missing.
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
    /// Images of this creator only.
    #[arg(long, value_name = "NAME")]
    creator: Option<String>,
    /// Images whose names begin with this only.
    #[arg(long, value_name = "TEXT", default_value = "")]
    prefix: String,
    /// How many images are fetched at once.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=32))]
    parallel: u8,
}

/// What is there already, and what was exported.
struct Export<'a> {
    client: &'a ApiClient,
    folder: &'a Path,
    before: HashMap<String, ExportedImage>,
    files: Mutex<HashSet<String>>,
    done: Mutex<Manifest>,
}

/// Exports, and returns whether all was done.
pub(super) async fn export(
    client: &ApiClient,
    arguments: &ExportArguments,
    output: Output,
) -> Result<bool, CommandError> {
    let folder = arguments.folder.as_path();
    fs::create_dir_all(folder).map_err(|error| {
        CommandError::new(format!("`{}` cannot be made: {error}", folder.display()))
    })?;
    let stats = client.call(Method::GET, "v1/stats", None).await;
    let stats = stats.map_err(CommandError::new)?;
    let before = Manifest::read(folder)?.unwrap_or_default().images;
    let mut manifest = Manifest::new(&client.account);
    let variants = client.call(Method::GET, "v1/variants", None).await;
    let variants = variants.map_err(CommandError::new)?;
    let variants = variants["variants"].as_object();
    manifest.variants = variants
        .into_iter()
        .flat_map(Map::values)
        .cloned()
        .collect();
    let export = Export {
        client,
        folder,
        before: before
            .into_iter()
            .map(|one| (one.id.clone(), one))
            .collect(),
        files: Mutex::default(),
        done: Mutex::new(manifest),
    };
    let is_all = arguments.prefix.is_empty() && arguments.creator.is_none();
    let total = stats["count"]["current"].as_u64().filter(|_| is_all);
    let progress = Progress::new(total, output);
    let mut query = vec![("sort_order".to_owned(), "asc".to_owned())];
    if !arguments.prefix.is_empty() {
        query.push(("prefix".to_owned(), arguments.prefix.clone()));
    }
    if let Some(creator) = &arguments.creator {
        query.push(("creator".to_owned(), creator.clone()));
    }
    let prefix = arguments.prefix.as_str();
    let export = Arc::new(export);
    let images = client
        .images(query)
        .map_ok(|page| stream::iter(page.into_iter().map(Ok::<_, ApiError>)))
        .try_flatten()
        .filter(|image| {
            // Cloudflare knows no prefix, and lists all.
            future::ready(
                !image
                    .as_ref()
                    .is_ok_and(|image| !image.id().starts_with(prefix)),
            )
        });
    let reports = images
        .map(|image| {
            let export = Arc::clone(&export);
            async move {
                match image {
                    Ok(image) => export.take(image).await,
                    Err(error) => ItemReport {
                        item: "the list of images".to_owned(),
                        outcome: Outcome::Fatal(error.to_string()),
                        image: None,
                    },
                }
            }
        })
        .buffer_unordered(arguments.parallel.into());
    let is_complete = run(reports, &SentBytes::default(), progress).await;
    let manifest = export.done.lock().unwrap_or_else(PoisonError::into_inner);
    manifest.write(folder).map_err(|error| {
        CommandError::new(format!(
            "`{}` cannot be written: {error}",
            folder.join(MANIFEST).display()
        ))
    })?;
    Ok(is_complete)
}

impl Export<'_> {
    async fn take(&self, image: Image) -> ItemReport {
        let item = image.id().to_owned();
        let (outcome, entry) = match self.fetch(&image).await {
            Ok((true, entry)) => (Outcome::Done("exported"), Some(entry)),
            Ok((false, entry)) => (Outcome::Skipped, Some(entry)),
            Err(report) => return report,
        };
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        done.images.extend(entry);
        ItemReport {
            item,
            outcome,
            image: None,
        }
    }

    /// The entry of an image in the manifest, and whether its file was fetched for it.
    async fn fetch(&self, image: &Image) -> Result<(bool, ExportedImage), ItemReport> {
        let mut entry = self.entry(image);
        let path = self.folder.join(&entry.file);
        if let Some(before) = self.before.get(image.id()) {
            let known = image.sha256().unwrap_or(&before.sha256);
            let is_same = before.uploaded == entry.uploaded && before.file == entry.file;
            if is_same && sha256_of(&path).is_ok_and(|found| found == known) {
                entry.sha256 = known.to_owned();
                return Ok((false, entry));
            }
        }
        let failed = |outcome| ItemReport {
            item: image.id().to_owned(),
            outcome,
            image: None,
        };
        let parent = path.parent().unwrap_or(self.folder);
        fs::create_dir_all(parent).map_err(|error| {
            failed(Outcome::Fatal(format!(
                "`{}` cannot be made: {error}",
                parent.display()
            )))
        })?;
        match download(self.client, image.id(), &path).await {
            Ok(sha256) => {
                entry.sha256 = sha256;
                Ok((true, entry))
            }
            Err(error) => Err(failed(Outcome::Failed(error.to_string()))),
        }
    }

    fn entry(&self, image: &Image) -> ExportedImage {
        ExportedImage {
            id: image.id().to_owned(),
            file: self.file_of(image),
            sha256: String::new(),
            filename: image.text("filename").map(str::to_owned),
            creator: image.text("creator").map(str::to_owned),
            meta: image.metadata(),
            require_signed_urls: image.is_private(),
            uploaded: image.text("uploaded").unwrap_or_default().to_owned(),
        }
    }

    /// The path of the file: the name of the image, with an extension, where no other file needs it; else a hash.
    fn file_of(&self, image: &Image) -> String {
        let extension = image
            .text("filename")
            .and_then(|name| Some(name.rsplit_once('.')?.1.to_ascii_lowercase()))
            // Whoever uploads chooses the name of the file.
            .filter(|text| EXTENSIONS.contains(&text.as_str()))
            .map(|text| format!(".{text}"))
            .unwrap_or_default();
        let mut file = image.id().to_owned();
        if !file.to_ascii_lowercase().ends_with(&extension) {
            file += &extension;
        }
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let folded = file.to_lowercase();
        let is_free = is_plain(&file)
            && !files.contains(&folded)
            // No folder may have the name of a file.
            && !files.contains(&format!("{folded}/"))
            && !parents(&folded).any(|parent| files.contains(parent));
        if !is_free {
            let hash = HEXLOWER.encode(&Sha256::digest(image.id().as_bytes()));
            return format!("~/{hash}{extension}");
        }
        for parent in parents(&folded) {
            files.insert(format!("{parent}/"));
        }
        files.insert(folded);
        file
    }
}

/// `a` and `a/b` of `a/b/c`.
fn parents(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(at, _)| &path[..at])
}

/// Whether a name is a harmless path below a folder, on every system.
pub(super) fn is_plain(path: &str) -> bool {
    let is_relative = Path::new(path)
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    is_relative
        && !path
            .split('/')
            .next()
            .is_some_and(|first| first.eq_ignore_ascii_case(MANIFEST))
        && path.split('/').all(|part| {
            !part.is_empty()
                && part.len() <= MAX_PART
                && !part.starts_with(['.', '~'])
                && !part.ends_with(['.', ' '])
                && !part.contains(|found: char| found.is_control() || "\\:*?\"<>|".contains(found))
        })
}

#[cfg(test)]
mod tests {
    use super::is_plain;

    #[test]
    fn only_harmless_names_are_paths() {
        for path in ["cat.jpg", "users/7/é ü.webp", "a..b"] {
            assert!(is_plain(path), "{path}");
        }
        let long = "x".repeat(201);
        for path in [
            "../a",
            "/etc/passwd",
            "a//b",
            "a/../b",
            ".a",
            "~/a",
            "a:b",
            "a\\b",
            "a/",
            "manifest.json",
            "Manifest.JSON/x",
            &long,
        ] {
            assert!(!is_plain(path), "{path}");
        }
    }
}

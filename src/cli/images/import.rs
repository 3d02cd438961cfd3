//! `safelight images import`: images from an exported folder or any other, from a bucket, or from an account of Cloudflare.

use std::io::Write;
use std::path::Path;

use clap::Args;
use data_encoding::HEXLOWER;
use futures_util::{StreamExt, TryStreamExt, stream};
use hyper::Method;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

use super::api_error::ApiError;
use super::client::ApiClient;
use super::export::is_plain;
use super::folder::local_files;
use super::form::UploadForm;
use super::image::Image;
use super::manifest::{ExportedImage, Manifest};
use super::names::NameTemplate;
use super::progress::{ItemReport, Outcome, Output, Progress};
use super::server::cloudflare;
use super::transfer::{ImageUpload, SentBytes, TransferArguments, failure, put, run};
use super::upload::{name_fields, upload_files};
use super::variants::create;
use crate::bucket::{Bucket, Conditions, GetResponse, Timeouts};
use crate::cli::error::CommandError;
use crate::cli::extensions::is_picture_path;
use crate::config::Config;

/// The arguments of `images import`.
#[derive(Debug, Args)]
pub(super) struct ImportArguments {
    /// A folder, exported or not, or bucket:NAME/PREFIX with a [[bucket]] of the settings.
    #[arg(
        value_name = "SOURCE",
        required_unless_present = "from_cloudflare",
        conflicts_with = "from_cloudflare"
    )]
    source: Option<String>,
    /// An account of Cloudflare Images, with its names, variants, metadata and privacy; its token is CLOUDFLARE_API_TOKEN.
    #[arg(long, value_name = "ACCOUNT")]
    from_cloudflare: Option<String>,
    /// The names of images from a folder that was not exported, or from a bucket: {path}, {folder}, {file}, {name}, {extension}, {sha256}.
    #[arg(long, value_name = "TEMPLATE", default_value = "{path}")]
    id: NameTemplate,
    #[command(flatten)]
    transfer: TransferArguments,
}

/// Imports, and returns whether all was done.
pub(super) async fn import(
    client: &ApiClient,
    arguments: &ImportArguments,
    config: &Config,
    output: Output,
) -> Result<bool, CommandError> {
    if let Some(account) = &arguments.from_cloudflare {
        let from = cloudflare(account, output.say)?;
        return from_api(client, &from, &arguments.transfer, output).await;
    }
    let source = arguments.source.as_deref().unwrap_or_default();
    if let Some(place) = source.strip_prefix("bucket:") {
        return from_bucket(client, place, arguments, config, output).await;
    }
    let folder = Path::new(source);
    match Manifest::read(folder)? {
        Some(manifest) => from_export(client, folder, manifest, arguments, output).await,
        None => {
            let files = local_files(folder)?;
            let transfer = &arguments.transfer;
            Ok(upload_files(client, files, &arguments.id, Vec::new(), transfer, output).await)
        }
    }
}

/// Creates variants that are missing. One that is there stays as it is.
async fn copy_variants(
    client: &ApiClient,
    variants: &[Value],
    output: Output,
) -> Result<(), CommandError> {
    for variant in variants.iter().filter(|variant| variant["id"] != "public") {
        let name = &variant["id"];
        match create(client, variant).await {
            Ok(true) => (output.say)(&format!("created the variant {name}")),
            Ok(false) => {}
            Err(error) if error.is_fatal() => return Err(CommandError::new(error)),
            Err(error) => (output.say)(&format!("the variant {name} is left out: {error}")),
        }
    }
    Ok(())
}

/// What is sent of an image, other than its file.
fn fields(id: &str, image: &ExportedImage) -> Vec<(&'static str, String)> {
    let mut fields = name_fields(id);
    if !image.meta.is_empty() {
        fields.push(("metadata", Value::Object(image.meta.clone()).to_string()));
    }
    if let Some(creator) = &image.creator {
        fields.push(("creator", creator.clone()));
    }
    if image.require_signed_urls {
        fields.push(("requireSignedURLs", "true".to_owned()));
    }
    fields
}

async fn from_export(
    client: &ApiClient,
    folder: &Path,
    manifest: Manifest,
    arguments: &ImportArguments,
    output: Output,
) -> Result<bool, CommandError> {
    // A manifest may come from anywhere, and must not name files outside of its folder.
    let is_inside = |one: &ExportedImage| {
        is_plain(&one.file) || one.file.strip_prefix("~/").is_some_and(is_plain)
    };
    if let Some(wrong) = manifest.images.iter().find(|one| !is_inside(one)) {
        return Err(CommandError::new(format!(
            "the manifest must name files in its folder, got `{}`",
            wrong.file
        )));
    }
    copy_variants(client, &manifest.variants, output).await?;
    let sent = SentBytes::default();
    let progress = Progress::new(Some(manifest.images.len() as u64), output);
    let (sent_bytes, replace) = (&sent, arguments.transfer.replace);
    let reports = stream::iter(manifest.images)
        .map(|image| async move {
            let wanted = ImageUpload {
                item: image.id.clone(),
                id: image.id.clone(),
                sha256: image.sha256.clone(),
                form: UploadForm {
                    fields: fields(&image.id, &image),
                    filename: image.filename.clone().unwrap_or_else(|| image.file.clone()),
                    path: folder.join(&image.file),
                },
            };
            put(client, wanted, replace, sent_bytes).await
        })
        .buffer_unordered(arguments.transfer.parallel.into());
    Ok(run(reports, &sent, progress).await)
}

async fn from_api(
    client: &ApiClient,
    from: &ApiClient,
    transfer: &TransferArguments,
    output: Output,
) -> Result<bool, CommandError> {
    let stats = from.call(Method::GET, "v1/stats", None).await;
    let stats = stats.map_err(CommandError::new)?;
    let variants = from.call(Method::GET, "v1/variants", None).await;
    let variants = variants.map_err(CommandError::new)?;
    let variants = variants["variants"].as_object();
    let variants: Vec<Value> = variants
        .into_iter()
        .flat_map(Map::values)
        .cloned()
        .collect();
    copy_variants(client, &variants, output).await?;
    let sent = SentBytes::default();
    let progress = Progress::new(stats["count"]["current"].as_u64(), output);
    let sent_bytes = &sent;
    let query = vec![("sort_order".to_owned(), "asc".to_owned())];
    let images = from
        .images(query)
        .map_ok(|page| stream::iter(page.into_iter().map(Ok::<_, ApiError>)))
        .try_flatten();
    let reports = images
        .map(|image| async move {
            let copied = match &image {
                Ok(image) => copy(client, from, image, sent_bytes).await,
                Err(error) => Err(error.clone()),
            };
            copied.unwrap_or_else(|error| {
                let is_list = image.is_err();
                let item = image.map_or_else(
                    |_| "the list of images".to_owned(),
                    |image| image.id().to_owned(),
                );
                match failure(item, &error) {
                    report if !is_list => report,
                    report => ItemReport {
                        outcome: Outcome::Fatal(error.to_string()),
                        ..report
                    },
                }
            })
        })
        .buffer_unordered(transfer.parallel.into());
    Ok(run(reports, &sent, progress).await)
}

/// Copies an image. One whose name is there already was copied before: Cloudflare never changes the content of an image.
async fn copy(
    client: &ApiClient,
    from: &ApiClient,
    image: &Image,
    sent: &SentBytes,
) -> Result<ItemReport, ApiError> {
    let id = image.id().to_owned();
    if let Some(found) = client.find(&id).await?.filter(|image| !image.is_draft()) {
        return Ok(ItemReport {
            item: id,
            outcome: Outcome::Skipped,
            image: Some(found),
        });
    }
    let (file, sha256) = from.download(&id, NamedTempFile::new).await?;
    let exported = ExportedImage {
        id: id.clone(),
        file: String::new(),
        sha256: sha256.clone(),
        filename: image.text("filename").map(str::to_owned),
        creator: image.text("creator").map(str::to_owned),
        meta: image.metadata(),
        require_signed_urls: image.is_private(),
        uploaded: String::new(),
    };
    let wanted = ImageUpload {
        item: id.clone(),
        sha256,
        form: UploadForm {
            fields: fields(&id, &exported),
            filename: exported.filename.clone().unwrap_or_else(|| id.clone()),
            path: file.path().to_owned(),
        },
        id,
    };
    Ok(put(client, wanted, false, sent).await)
}

async fn from_bucket(
    client: &ApiClient,
    place: &str,
    arguments: &ImportArguments,
    config: &Config,
    output: Output,
) -> Result<bool, CommandError> {
    let (name, prefix) = place.split_once('/').unwrap_or((place, ""));
    let found = config.bucket.iter().find(|bucket| bucket.name == name);
    let found = found.ok_or_else(|| {
        CommandError::new(format!(
            "`bucket:` must name a configured [[bucket]], got `{name}`"
        ))
    })?;
    let timeouts = Timeouts {
        connect: config.fetch.connect_timeout.duration(),
        first_byte: config.fetch.first_byte_timeout.duration(),
        total: config.fetch.total_timeout.duration(),
    };
    let bucket = Bucket::open(found, timeouts).map_err(CommandError::new)?;
    let mut keys: Vec<String> = Vec::new();
    loop {
        let page = bucket.list(prefix, keys.last().map(String::as_str)).await;
        let page = page.map_err(CommandError::new)?;
        if page.is_empty() {
            break;
        }
        keys.extend(page);
    }
    keys.retain(|key| is_picture_path(key));
    let sent = SentBytes::default();
    let progress = Progress::new(Some(keys.len() as u64), output);
    let (bucket, sent_bytes) = (&bucket, &sent);
    // The names begin after the last folder of the prefix.
    let folder = prefix.rfind('/').map_or(0, |at| at + 1);
    let reports = stream::iter(keys)
        .map(|key| async move {
            let (file, sha256) = match spool(bucket, &key).await {
                Ok(spooled) => spooled,
                Err(reason) => {
                    return ItemReport {
                        item: key,
                        outcome: Outcome::Failed(reason),
                        image: None,
                    };
                }
            };
            let path = key.get(folder..).unwrap_or(&key);
            let id = arguments.id.name(path, &sha256);
            let filename = path.rsplit('/').next().unwrap_or_default().to_owned();
            let wanted = ImageUpload {
                form: UploadForm {
                    fields: name_fields(&id),
                    filename,
                    path: file.path().to_owned(),
                },
                item: key,
                id,
                sha256,
            };
            put(client, wanted, arguments.transfer.replace, sent_bytes).await
        })
        .buffer_unordered(arguments.transfer.parallel.into());
    Ok(run(reports, &sent, progress).await)
}

/// An object as a file, and its SHA-256.
async fn spool(bucket: &Bucket, key: &str) -> Result<(NamedTempFile, String), String> {
    let conditions = Conditions {
        etag: None,
        last_modified: None,
    };
    let found = bucket.get(key, conditions).await;
    let GetResponse::Object(mut object) = found.map_err(|error| error.to_string())? else {
        return Err("the bucket sent no content".to_owned());
    };
    let unwritten = |error: std::io::Error| format!("the file cannot be written: {error}");
    let mut file = NamedTempFile::new().map_err(unwritten)?;
    let mut hash = Sha256::new();
    while let Some(piece) = object.body.next().await {
        let piece = piece.map_err(|error| error.to_string())?;
        hash.update(&piece);
        file.write_all(&piece).map_err(unwritten)?;
    }
    file.flush().map_err(unwritten)?;
    Ok((file, HEXLOWER.encode(&hash.finalize())))
}

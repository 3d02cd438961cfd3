//! `safelight images list`, `get`, `delete` and `info`.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::pin::pin;

use clap::Args;
use futures_util::StreamExt;
use hyper::Method;
use serde_json::{Value, json};

use super::client::{ApiClient, in_path};
use super::image::Image;
use super::progress::{ItemReport, Outcome, Output, Progress};
use super::transfer::failure;
use crate::cli::error::CommandError;

/// The arguments of `images list`.
#[derive(Debug, Args)]
pub(super) struct ListArguments {
    /// Images whose names begin with this.
    #[arg(long, value_name = "TEXT")]
    prefix: Option<String>,
    /// Images of this creator; an empty text: of none.
    #[arg(long, value_name = "NAME")]
    creator: Option<String>,
    /// A filter on metadata as in the API, as in `meta.status[eq]=active`; may be given several times.
    #[arg(long, value_name = "FILTER")]
    filter: Vec<String>,
    /// The most images.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// The oldest come first, in place of the newest.
    #[arg(long)]
    oldest_first: bool,
}

/// Prints the images that are asked for.
pub(super) async fn list(
    client: &ApiClient,
    arguments: &ListArguments,
    output: Output,
) -> Result<bool, CommandError> {
    let order = if arguments.oldest_first {
        "asc"
    } else {
        "desc"
    };
    let mut filters = Vec::new();
    for filter in &arguments.filter {
        let pair = filter
            .split_once('=')
            .filter(|(name, _)| name.starts_with("meta."));
        filters.push(pair.ok_or_else(|| {
            CommandError::new(format!(
                "a filter must be as in `meta.status[eq]=active`, got `{filter}`"
            ))
        })?);
    }
    let prefix = arguments.prefix.as_deref().unwrap_or_default();
    let mut query = vec![("sort_order".to_owned(), order.to_owned())];
    if !prefix.is_empty() {
        query.push(("prefix".to_owned(), prefix.to_owned()));
    }
    if let Some(creator) = &arguments.creator {
        query.push(("creator".to_owned(), creator.clone()));
    }
    let filters = filters.into_iter();
    query.extend(filters.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let mut left = arguments.limit.unwrap_or(usize::MAX);
    let mut pages = pin!(client.images(query));
    while left > 0
        && let Some(page) = pages.next().await
    {
        // Cloudflare knows no prefix, and lists all.
        let images = page.map_err(CommandError::new)?.into_iter();
        for image in images
            .filter(|image| image.id().starts_with(prefix))
            .take(left)
        {
            left -= 1;
            let line = if output.json {
                image.0.to_string()
            } else {
                row(&image)
            };
            (output.print)(&line);
        }
    }
    Ok(true)
}

/// Name, size, bytes, time and creator, with tabs between them.
fn row(image: &Image) -> String {
    let size = image.size();
    let size = size.map_or_else(
        || "-\t-".to_owned(),
        |(width, height, bytes)| format!("{width}x{height}\t{bytes}"),
    );
    let uploaded = image.text("uploaded").unwrap_or("-");
    let creator = image.text("creator").unwrap_or("-");
    // A name may hold anything but control characters, and others might send those.
    let id = image.id().replace(char::is_control, "\u{fffd}");
    format!("{id}\t{size}\t{uploaded}\t{creator}")
}

/// Prints what is known of an image, or writes its original to a file.
pub(super) async fn get(
    client: &ApiClient,
    id: &str,
    file: Option<&PathBuf>,
    output: Output,
) -> Result<bool, CommandError> {
    let image = client.find(id).await.map_err(CommandError::new)?;
    let image = image.ok_or_else(|| CommandError::new(format!("there is no image `{id}`")))?;
    if let Some(file) = file {
        download(client, id, file).await?;
    }
    if output.json {
        (output.print)(&image.0.to_string());
        return Ok(true);
    }
    if file.is_some() {
        return Ok(true);
    }
    for (name, value) in image.0.as_object().into_iter().flatten() {
        match value {
            Value::String(text) => (output.print)(&format!("{name}: {text}")),
            Value::Array(list) if name == "variants" => {
                for url in list.iter().filter_map(Value::as_str) {
                    (output.print)(&format!("variant: {url}"));
                }
            }
            value => (output.print)(&format!("{name}: {value}")),
        }
    }
    Ok(true)
}

/// Writes an original to a file, which appears when it is complete.
pub(super) async fn download(
    client: &ApiClient,
    id: &str,
    file: &Path,
) -> Result<String, CommandError> {
    let folder = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let unwritten = |reason: &dyn std::fmt::Display| {
        CommandError::new(format!("`{}` cannot be written: {reason}", file.display()))
    };
    let open = || tempfile::NamedTempFile::new_in(folder);
    let (written, sha256) = client.download(id, open).await.map_err(CommandError::new)?;
    let written: File = written
        .persist(file)
        .map_err(|error| unwritten(&error.error))?;
    written.sync_all().map_err(|error| unwritten(&error))?;
    Ok(sha256)
}

/// Deletes images.
pub(super) async fn delete(client: &ApiClient, ids: &[String], output: Output) -> bool {
    let mut progress = Progress::new(Some(ids.len() as u64), output);
    for id in ids {
        let path = format!("v1/{}", in_path(id));
        let report = match client.call(Method::DELETE, &path, None).await {
            Ok(_) => ItemReport {
                item: id.clone(),
                outcome: Outcome::Done("deleted"),
                image: None,
            },
            Err(error) => failure(id.clone(), &error),
        };
        if let Some(reason) = progress.take(report) {
            return progress.end(Some(&reason));
        }
    }
    progress.end(None)
}

/// Prints account, hash, delivery URLs and a command that uploads.
pub(super) async fn info(
    client: &ApiClient,
    hash: Option<&str>,
    output: Output,
) -> Result<bool, CommandError> {
    let stats = client.call(Method::GET, "v1/stats", None).await;
    let stats = stats.map_err(CommandError::new)?;
    let variants = client.call(Method::GET, "v1/variants", None).await;
    let variants = variants.map_err(CommandError::new)?;
    let names: Vec<&str> = variants["variants"]
        .as_object()
        .into_iter()
        .flat_map(|variants| variants.keys().map(String::as_str))
        .collect();
    let newest = client.call(Method::GET, "v2?per_page=10", None).await;
    let newest = newest.map_err(CommandError::new)?;
    let example = Image(newest["images"][0].clone());
    let delivery = example
        .url()
        .and_then(|url| delivery_base(url, example.id()));
    let hash = delivery
        .and_then(|base| base.rsplit('/').next())
        .or(hash)
        .unwrap_or("HASH");
    let delivery = match delivery {
        Some(base) => format!("{base}/ID/VARIANT"),
        None => format!("…/cdn-cgi/imagedelivery/{hash}/ID/VARIANT"),
    };
    let curl = format!(
        "curl -H \"Authorization: Bearer $SAFELIGHT_TOKEN\" -F file=@cat.jpg -F id=cat {}",
        client.url("v1")
    );
    let count = &stats["count"]["current"];
    if output.json {
        let info = json!({
            "api": client.api, "account": client.account, "hash": hash, "images": count,
            "delivery": delivery, "variants": names, "upload": curl,
        });
        (output.print)(&info.to_string());
        return Ok(true);
    }
    for (name, value) in [
        ("API", client.api.as_str()),
        ("account", &client.account),
        ("account hash", hash),
        ("images", &count.to_string()),
        ("delivery URLs", &delivery),
        ("variants", &names.join(", ")),
        ("upload", &curl),
    ] {
        (output.print)(&format!("{name:<14} {value}"));
    }
    Ok(true)
}

/// A delivery URL up to the account hash.
fn delivery_base<'a>(url: &'a str, id: &str) -> Option<&'a str> {
    let (url, _) = url.rsplit_once('/')?;
    let segments = id.split('/').count();
    (0..segments).try_fold(url, |url, _| Some(url.rsplit_once('/')?.0))
}

#[cfg(test)]
mod tests {
    use super::delivery_base;

    #[test]
    fn the_hash_is_before_the_name_in_a_delivery_url() {
        for (url, id) in [
            ("http://h.test/cdn-cgi/imagedelivery/HASH/cat/public", "cat"),
            (
                "http://h.test/cdn-cgi/imagedelivery/HASH/a%20b/c/public",
                "a b/c",
            ),
        ] {
            let base = delivery_base(url, id);
            assert_eq!(base, Some("http://h.test/cdn-cgi/imagedelivery/HASH"));
        }
        assert_eq!(delivery_base("x", "cat"), None);
    }
}

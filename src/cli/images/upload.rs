//! `safelight images upload`: files, and the pictures in folders.

use std::path::PathBuf;

use clap::Args;
use futures_util::{StreamExt, stream};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::client::ApiClient;
use super::folder::{LocalFile, local_files, sha256_of};
use super::form::UploadForm;
use super::names::NameTemplate;
use super::progress::{ItemReport, Outcome, Output, Progress};
use super::transfer::{ImageUpload, SentBytes, TransferArguments, put, run};
use crate::cli::error::CommandError;

/// The arguments of `images upload`.
#[derive(Debug, Args)]
pub(super) struct UploadArguments {
    /// Files, and folders of which all pictures are uploaded.
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
    /// The names of the images, made of the path of the file below what was named: {path}, {folder}, {file}, {name}, {extension}, {sha256}.
    #[arg(long, value_name = "TEMPLATE", default_value = "{path}")]
    id: NameTemplate,
    /// To whom the images belong.
    #[arg(long, value_name = "NAME")]
    creator: Option<String>,
    /// What is stored with each image: an object of JSON.
    #[arg(long, value_name = "JSON", value_parser = object)]
    metadata: Option<Map<String, Value>>,
    /// Only signed URLs show the images.
    #[arg(long)]
    private: bool,
    #[command(flatten)]
    transfer: TransferArguments,
}

fn object(text: &str) -> Result<Map<String, Value>, String> {
    serde_json::from_str(text).map_err(|error| format!("it must be an object of JSON: {error}"))
}

/// Uploads, and returns whether all was done.
pub(super) async fn upload(
    client: &ApiClient,
    arguments: &UploadArguments,
    output: Output,
) -> Result<bool, CommandError> {
    let mut files = Vec::new();
    for path in &arguments.paths {
        files.extend(local_files(path)?);
    }
    if files.is_empty() {
        return Err(CommandError::new("there are no pictures in these folders"));
    }
    let mut fields = Vec::new();
    if let Some(creator) = &arguments.creator {
        fields.push(("creator", creator.clone()));
    }
    if let Some(metadata) = &arguments.metadata {
        fields.push(("metadata", Value::Object(metadata.clone()).to_string()));
    }
    if arguments.private {
        fields.push(("requireSignedURLs", "true".to_owned()));
    }
    Ok(upload_files(
        client,
        files,
        &arguments.id,
        fields,
        &arguments.transfer,
        output,
    )
    .await)
}

/// What gives an image its name. A UUID is accepted as a name only where it says that it is an import.
pub(super) fn name_fields(id: &str) -> Vec<(&'static str, String)> {
    let mut fields = vec![("id", id.to_owned())];
    if Uuid::try_parse(id).is_ok() {
        fields.push(("import", "true".to_owned()));
    }
    fields
}

/// Uploads files with the same fields.
pub(super) async fn upload_files(
    client: &ApiClient,
    files: Vec<LocalFile>,
    names: &NameTemplate,
    fields: Vec<(&'static str, String)>,
    transfer: &TransferArguments,
    output: Output,
) -> bool {
    let sent = SentBytes::default();
    let progress = Progress::new(Some(files.len() as u64), output);
    let (fields, sent_bytes) = (&fields, &sent);
    let reports = stream::iter(files)
        .map(|file| async move {
            let sha256 = match sha256_of(&file.path) {
                Ok(sha256) => sha256,
                Err(error) => {
                    return ItemReport {
                        item: file.relative,
                        outcome: Outcome::Failed(format!("the file cannot be read: {error}")),
                        image: None,
                    };
                }
            };
            let id = names.name(&file.relative, &sha256);
            let mut fields = fields.clone();
            fields.extend(name_fields(&id));
            let filename = file.relative.rsplit('/').next().unwrap_or_default();
            let wanted = ImageUpload {
                id,
                sha256,
                form: UploadForm {
                    fields,
                    filename: filename.to_owned(),
                    path: file.path,
                },
                item: file.relative,
            };
            put(client, wanted, transfer.replace, sent_bytes).await
        })
        .buffer_unordered(transfer.parallel.into());
    run(reports, &sent, progress).await
}

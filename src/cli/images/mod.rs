//! `safelight images`: works on hosted images, by the HTTP API of this server or of any other that speaks Cloudflare's.

mod api_error;
mod client;
mod export;
pub(super) mod folder;
mod form;
mod image;
mod import;
mod manifest;
mod names;
mod progress;
mod server;
mod show;
mod transfer;

mod upload;
mod variants;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::cli::error::CommandError;
use export::ExportArguments;
use import::ImportArguments;
use progress::Output;
use server::ApiArguments;
use show::ListArguments;
use upload::UploadArguments;
use variants::VariantsCommand;

/// The arguments of `images`.
#[derive(Debug, Args)]
pub struct ImagesArguments {
    #[command(flatten)]
    api: ApiArguments,
    #[command(subcommand)]
    command: ImagesCommand,
}

/// What is done with hosted images.
#[derive(Debug, Subcommand)]
enum ImagesCommand {
    /// Upload files, and the pictures in folders. What is there with the same content is skipped.
    Upload(UploadArguments),
    /// List images: name, size, bytes, time and creator.
    List(ListArguments),
    /// Show what is known of an image, or write its original to a file.
    Get {
        /// The name of the image.
        id: String,
        /// The file for the original.
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Delete images.
    Delete {
        /// The names of the images.
        #[arg(value_name = "ID", required = true)]
        ids: Vec<String>,
    },
    /// List variants, or change them.
    Variants {
        #[command(subcommand)]
        command: Option<VariantsCommand>,
    },
    /// Write originals to a folder, with a manifest that `import` reads.
    Export(ExportArguments),
    /// Upload images from a folder, a bucket, or an account of Cloudflare. What is there already is skipped.
    Import(ImportArguments),
    /// Show the account, its hash, delivery URLs, and a command that uploads.
    Info,
}

/// Carries the command out, and returns whether all was done. `print` gets the result, and `say` what only people read.
///
/// # Errors
/// [`CommandError`] where nothing was begun: an argument is wrong, or the server does not answer or refuses.
pub async fn images(
    arguments: &ImagesArguments,
    print: fn(&str),
    say: fn(&str),
) -> Result<bool, CommandError> {
    let config = arguments.api.settings()?;
    let client = arguments.api.client(&config, say)?;
    let output = Output {
        print,
        say,
        json: arguments.api.json,
    };
    match &arguments.command {
        ImagesCommand::Upload(upload) => upload::upload(&client, upload, output).await,
        ImagesCommand::List(list) => show::list(&client, list, output).await,
        ImagesCommand::Get { id, output: file } => {
            show::get(&client, id, file.as_ref(), output).await
        }
        ImagesCommand::Delete { ids } => Ok(show::delete(&client, ids, output).await),
        ImagesCommand::Variants { command } => {
            variants::variants(&client, command.as_ref(), output).await
        }
        ImagesCommand::Export(export) => export::export(&client, export, output).await,
        ImagesCommand::Import(import) => import::import(&client, import, &config, output).await,
        ImagesCommand::Info => {
            let hash = Some(config.hosted.hash.as_str()).filter(|_| !arguments.api.is_elsewhere());
            show::info(&client, hash, output).await
        }
    }
}

//! The commands of the binary. They print nothing themselves; `main` prints what they return.

mod admin_client;
mod batch;
mod check;
mod error;
mod extensions;
mod health;
mod images;
mod placeholders;
mod purge;
mod reload;
mod serve;
mod settings_file;
mod sign;
mod startup;
mod transform;
mod warm;
mod worker;

use std::path::PathBuf;

use clap::Parser;
use clap::Subcommand;

use crate::cpu::MemoryLimit;

pub use batch::{BatchArguments, BatchOutcome, batch};
pub use check::{CheckArguments, CheckOutcome, check};
pub use error::CommandError;
pub use health::HealthArguments;
pub use health::health;
pub use images::ImagesArguments;
pub use images::images;
pub use purge::PurgeArguments;
pub use purge::purge;
pub use serve::serve;
pub use sign::SignArguments;
pub use sign::sign;
pub use startup::{ServeArguments, ServeOptions};
pub use transform::transform;
pub use warm::WarmArguments;
pub use warm::WarmReport;
pub use warm::warm;
pub use worker::serve_jobs;

/// How many bytes of memory this process may use, where the system tells.
pub fn memory() -> Option<u64> {
    MemoryLimit::of_system().map(|memory| memory.bytes)
}

/// An image transformation proxy that speaks Cloudflare's URL dialect.
#[derive(Debug, Parser)]
#[command(version, about, args_conflicts_with_subcommands = true)]
pub struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    options: ServeOptions,
}

impl Arguments {
    /// The command; without one, `serve`.
    pub fn into_command(self) -> Command {
        let Arguments { command, options } = self;
        let target = None;
        command.unwrap_or(Command::Serve(ServeArguments { target, options }))
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve pictures until SIGTERM or Ctrl-C, as in `serve ./photos` or `serve https://www.example.com`.
    Serve(ServeArguments),
    /// Purge the cache of a running server, as in `purge --source https://b.com/cat.jpg` or `purge --prefix /uploads/ --soft`.
    Purge(PurgeArguments),
    /// Let a running server make pictures ahead of requests, while it has nothing else to do, as in
    /// `warm --sitemap https://b.com/sitemap.xml --options width=640,format=auto`.
    Warm(Box<WarmArguments>),
    /// Say how a URL is understood, whether it is allowed, and what would be made for it, without doing it: the exit code is 0 if it is allowed, and 1 if not.
    Check(Box<CheckArguments>),
    /// Ask a running server whether it is ready: the exit code is 0 if it is, and 1 if not.
    Health(HealthArguments),
    /// Upload, list, export and import hosted images, as in `images upload ./photos` or `images list --json`.
    Images(Box<ImagesArguments>),
    /// Sign URLs with a key of the settings, as in `sign --expires-in "7 d" /cdn-cgi/image/width=640/cat.jpg`.
    Sign(SignArguments),
    /// Make pictures for the server that starts this process.
    #[command(hide = true)]
    Worker,
    /// Transform pictures without a server, as in `transform cat.jpg width=800,format=webp -o cat.webp` or
    /// `transform photos quality=80 --srcset 320,640,1280 --format avif,jpeg -o public`.
    Transform {
        /// The file with the source; or a folder, or a pattern in quotes, as in 'photos/**/*.jpg', for all pictures there.
        input: PathBuf,
        /// The options, as in a URL.
        options: String,
        /// The file for the result; if the options have no `format`, its extension chooses the format. For many pictures, the folder for the results.
        #[arg(short, long, value_name = "PATH")]
        output: PathBuf,
        /// What is for many pictures.
        #[command(flatten)]
        batch: BatchArguments,
        /// A file with settings, of which limits and defaults apply; without it, their defaults.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
}

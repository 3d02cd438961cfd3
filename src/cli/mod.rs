//! The command line: what can be asked of the binary, and doing it. It prints nothing; `main` does.

mod admin_client;
mod purge;
mod serve;
mod transform;
mod warm;

use std::fmt;
use std::path::PathBuf;

use clap::Parser;
use clap::Subcommand;

pub use purge::PurgeArguments;
pub use purge::purge;
pub use serve::ServerAddresses;
pub use serve::serve;
pub use transform::transform;
pub use warm::WarmArguments;
pub use warm::WarmReport;
pub use warm::warm;

/// An image transformation proxy that speaks Cloudflare's URL dialect.
#[derive(Debug, Parser)]
#[command(version, about)]
pub struct Arguments {
    /// What to do; `serve` where nothing is said.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve pictures until SIGTERM or Ctrl-C.
    Serve {
        /// The settings.
        #[arg(long, default_value = "config.toml", value_name = "FILE")]
        config: PathBuf,
    },
    /// Have a running server take back what it keeps: as in `purge --source https://b.com/cat.jpg` or `purge --prefix /uploads/ --soft`.
    Purge(PurgeArguments),
    /// Have a running server make pictures before anybody asks, with what its processors have to spare: as in
    /// `warm --sitemap https://b.com/sitemap.xml --options width=640,format=auto`.
    Warm(Box<WarmArguments>),
    /// Transform one picture, without a server: as in `transform cat.jpg width=800,format=webp -o cat.webp`.
    Transform {
        /// The source, a file.
        input: PathBuf,
        /// The options, as in a URL.
        options: String,
        /// Where the result goes; without `format` among the options, its extension says what it will be.
        #[arg(short, long, value_name = "FILE")]
        output: PathBuf,
        /// The settings that hold (limits and defaults); without, their defaults.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
}

/// Why a command did not do what it was asked to: a sentence for the person at the terminal.
#[derive(Debug)]
pub struct CommandError(String);

impl CommandError {
    fn new(reason: impl fmt::Display) -> Self {
        CommandError(reason.to_string())
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for CommandError {}

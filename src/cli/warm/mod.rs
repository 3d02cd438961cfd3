//! `safelight warm`: lets a running server make pictures ahead of requests. This command collects the sources, asks for the pictures of each, and
//! remembers which are done; the server does the work, at idle priority.

mod call;
mod lists;
mod progress;
mod sitemap;
mod sources;
mod state;

use std::path::PathBuf;
use std::pin::pin;

use clap::Args;
use futures_util::StreamExt;
use futures_util::stream;

use super::admin_client::ServerArguments;
use super::error::CommandError;
use call::TIMEOUT;
use call::WarmClient;
use progress::Progress;
use progress::REPORT_INTERVAL;
use sources::SourceArguments;
use sources::collect;
use sources::read_file;
use state::StateFile;
use state::mark;

/// The arguments of `warm`.
#[derive(Debug, Args)]
pub struct WarmArguments {
    #[command(flatten)]
    sources: SourceArguments,
    /// Options as in a URL; may be given several times.
    #[arg(long, value_name = "OPTIONS", required_unless_present = "presets")]
    options: Vec<String>,
    /// A file with options on each line.
    #[arg(long, value_name = "FILE")]
    presets: Option<String>,
    /// The clients for which format=auto chooses a format: jxl for those that show JPEG XL, AVIF and WebP, avif for those that show the last two, webp for those that show only WebP, none for others.
    #[arg(long, value_name = "CLIENTS", value_delimiter = ',', value_parser = ["jxl", "avif", "webp", "none"], default_value = "jxl,avif,none")]
    accept: Vec<String>,
    /// The host under which clients know the zone: URLs on this host are paths of the zone.
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    #[command(flatten)]
    server: ServerArguments,
    /// Remember in this file which sources are done, so that the same command continues where it stopped.
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// How many sources are done at once.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=16))]
    parallel: u8,
}

/// The result of the command.
#[derive(Debug)]
pub struct WarmReport {
    /// The lines to print.
    pub lines: Vec<String>,
    /// Whether every source was done without a failure.
    pub is_complete: bool,
}

/// Lets the server make the pictures, until all are made, the server fails, or Ctrl-C. `say` gets the progress.
///
/// # Errors
/// [`CommandError`] where nothing was started: there is no server or no token, or an argument is wrong.
pub async fn warm(arguments: &WarmArguments, say: fn(&str)) -> Result<WarmReport, CommandError> {
    let config = arguments.server.settings()?;
    let options = options(arguments)?;
    let WarmArguments { accept, host, .. } = arguments;
    let mut state = match &arguments.state {
        Some(path) => {
            let mark = mark(&options, accept, host.as_deref());
            Some(StateFile::open(path, mark)?)
        }
        None => None,
    };
    let warmer = WarmClient {
        admin_client: arguments.server.admin_client(&config, "/warm", TIMEOUT)?,
        options,
        accept: accept.clone(),
        host: host.clone(),
    };
    warmer.check().await?;
    let sources = collect(&arguments.sources, &config).await?;
    let found = sources.len();
    let is_left = |source: &String| !state.as_ref().is_some_and(|state| state.is_done(source));
    let left: Vec<String> = sources.into_iter().filter(is_left).collect();
    let before = found - left.len();

    let mut progress = Progress::new(left.len(), say);
    let stopped = run(&warmer, left, arguments.parallel, &mut progress, &mut state).await;
    progress.end();
    let mut lines = vec![progress.summary()];
    if before > 0 {
        lines.push(format!(
            "{before} more sources were done before, according to the state file"
        ));
    }
    if host.is_none() && progress.has_failed_with("source-denied") {
        lines.push(
            "hint: if clients know the zone under that host, name it with `--host`".to_owned(),
        );
    }
    let is_complete = progress.is_complete() && stopped.is_none();
    if let Some(reason) = stopped {
        lines.push(format!("stopped: {reason}"));
    }
    if !is_complete {
        lines.push(match state {
            Some(_) => "run the same command again to do the rest".to_owned(),
            None => "run the same command again to do the rest; with `--state FILE` it skips the sources that are done".to_owned(),
        });
    }
    Ok(WarmReport { lines, is_complete })
}

/// The options of the command line and of the file, without duplicates.
fn options(arguments: &WarmArguments) -> Result<Vec<String>, CommandError> {
    let mut options = arguments.options.clone();
    if let Some(file) = &arguments.presets {
        let text = String::from_utf8(read_file(file)?)
            .map_err(|_| CommandError::new(format!("the presets `{file}` must be UTF-8")))?;
        let found = options.len();
        options.extend(lists::lines(&text).map(str::to_owned));
        if options.len() == found {
            return Err(CommandError::new(format!(
                "the presets `{file}` must have options on a line, as in `width=320,format=auto`"
            )));
        }
    }
    let mut known = std::collections::HashSet::new();
    options.retain(|one| known.insert(one.clone()));
    Ok(options)
}

/// Lets the server make everything, and returns why it stopped early, if it did.
async fn run(
    warmer: &WarmClient,
    sources: Vec<String>,
    parallel: u8,
    progress: &mut Progress,
    state: &mut Option<StateFile>,
) -> Option<String> {
    let calls = stream::iter(sources).map(|source| async move {
        let warmed = warmer.warm(&source).await;
        (source, warmed)
    });
    let mut calls = pin!(calls.buffer_unordered(parallel.into()));
    let mut interrupted = pin!(tokio::signal::ctrl_c());
    let mut reminders = tokio::time::interval(REPORT_INTERVAL);
    // The first tick comes at once.
    reminders.tick().await;
    loop {
        tokio::select! {
            next = calls.next() => match next {
                None => return None,
                Some((_, Err(failure))) => return Some(failure.to_string()),
                Some((source, Ok(renditions))) => {
                    let is_done = progress.take(&source, &renditions);
                    if let Some(state) = state.as_mut().filter(|_| is_done)
                        && let Err(error) = state.finish(&source)
                    {
                        return Some(format!("the state file cannot be written: {error}"));
                    }
                }
            },
            _ = &mut interrupted => return Some("interrupted".to_owned()),
            _ = reminders.tick() => progress.remind(),
        }
    }
}

//! `safelight warm`: has a running server make pictures before anybody asks, source by source. It collects the sources, asks for the pictures of
//! each, and remembers what is done; the server does the work, at idle priority.

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

use super::CommandError;
use super::admin_client::ServerArguments;
use call::TIMEOUT;
use call::WarmClient;
use progress::Progress;
use progress::REPORT_INTERVAL;
use sources::SourceArguments;
use sources::collect;
use sources::read_file;
use state::StateFile;
use state::mark;

/// What to make, of what, and where.
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
    /// For which clients format=auto decides: those that show AVIF and WebP, WebP alone, or neither.
    #[arg(long, value_name = "CLIENTS", value_delimiter = ',', value_parser = ["avif", "webp", "none"], default_value = "avif,none")]
    accept: Vec<String>,
    /// What clients call the zone: URLs on this host are paths of the zone.
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    #[command(flatten)]
    server: ServerArguments,
    /// Remember what is done in this file, so that the same command goes on where it stopped.
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// Sources at once.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=16))]
    parallel: u8,
}

/// What came of it.
#[derive(Debug)]
pub struct WarmReport {
    /// What is to be said, a line each.
    pub lines: Vec<String>,
    /// Every picture is there that may be.
    pub is_complete: bool,
}

/// Has the server make the pictures, until all are there, something stands in the way, or Ctrl-C. `say` is told how far it is.
///
/// # Errors
/// [`CommandError`] where nothing was begun: no server, no token, or something that makes no sense.
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
        lines.push(format!("{before} more were done before, as the state says"));
    }
    if host.is_none() && progress.has_failed_with("source-denied") {
        lines.push(
            "hint: if that host is what clients call the zone, say so with `--host`".to_owned(),
        );
    }
    let is_complete = progress.is_complete() && stopped.is_none();
    if let Some(reason) = stopped {
        lines.push(format!("stopped: {reason}"));
    }
    if !is_complete {
        lines.push(match state {
            Some(_) => "the same command goes on with what is left".to_owned(),
            None => "the same command goes on: what is there is left alone; with `--state FILE` it is not even asked for".to_owned(),
        });
    }
    Ok(WarmReport { lines, is_complete })
}

/// Those of the command line and those of the file, each once.
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

/// Has everything made, and returns why it stopped before.
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
    // The first comes at once.
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
                        return Some(format!("the state cannot be written: {error}"));
                    }
                }
            },
            _ = &mut interrupted => return Some("interrupted".to_owned()),
            _ = reminders.tick() => progress.remind(),
        }
    }
}

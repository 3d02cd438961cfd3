//! `safelight transform` of many pictures: every picture of a folder or of a glob, in several widths and formats, with a manifest for build tools.

mod manifest;
mod sources;
mod template;
mod wanted;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::Args;
use futures_util::{StreamExt as _, stream};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use super::error::CommandError;
use crate::config::Config;
use crate::cpu;
use crate::cpu::{CpuPool, Priority};
use crate::options::{Options, Width};
use crate::policy::Policy;
use crate::request::Accept;
use crate::transform::{Budget, Encoded, Hints, Limits, Source};
use crate::units::ByteSize;

use manifest::{MadeFile, Manifest, Picture};
use sources::BatchSource;
use template::{NameParts, NameTemplate};
use wanted::{Wishes, facts_options};

/// The longest that one picture may take. Nobody waits for an answer.
const PATIENCE: Duration = Duration::from_secs(3600);
/// How many failures are listed.
const MAX_REPORTED: usize = 100;

/// The arguments of `transform` that are for many pictures.
#[derive(Debug, Args)]
pub struct BatchArguments {
    /// Widths in pixels, as in 320,640,1280: each picture is made in all that are not wider than it is.
    #[arg(long, value_name = "WIDTHS", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..))]
    srcset: Vec<u32>,
    /// Formats, the best first, as in avif,webp,jpeg: each picture is made in all of them.
    #[arg(long, value_name = "FORMATS", value_delimiter = ',', value_parser = ["avif", "jxl", "webp", "jpeg", "png"])]
    format: Vec<String>,
    /// The paths of the files below the folder, made of {folder}, {name}, {width}, {height} and {extension}; without it, {folder}/{name}.{extension}, and with
    /// `--srcset` {folder}/{name}-{width}.{extension}.
    #[arg(long, value_name = "TEMPLATE")]
    name: Option<NameTemplate>,
    /// The file with what was made, as JSON; without it, manifest.json in the folder of the results.
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// Make also what is up to date.
    #[arg(long)]
    force: bool,
}

/// The result of the command.
#[derive(Debug)]
pub struct BatchOutcome {
    /// The lines to print.
    pub lines: Vec<String>,
    /// Whether every picture was made.
    pub is_complete: bool,
}

/// What is made of each picture.
struct Batch {
    wishes: Wishes,
    template: NameTemplate,
    policy: Policy,
    limits: Limits,
    /// The largest file that is read.
    source_bytes: ByteSize,
    cpu: CpuPool,
    output: PathBuf,
    /// The files that are never replaced.
    sources: BTreeSet<PathBuf>,
    made_by: String,
    known: Manifest,
    /// The files that are made, each with its source.
    owners: Mutex<BTreeMap<String, String>>,
}

/// What became of a picture.
enum Outcome {
    Made(Picture),
    UpToDate(Picture),
    Failed(String, String),
}

impl BatchArguments {
    /// Whether many pictures are asked for: a folder or a glob is named, or several files of each.
    pub fn is_for(&self, input: &Path) -> bool {
        input.is_dir()
            || sources::is_glob(input)
            || !self.srcset.is_empty()
            || !self.format.is_empty()
    }
}

/// Transforms every picture that `input` names into the folder `output`.
///
/// # Errors
/// [`CommandError`] where nothing was started: an argument is wrong, or there is no picture.
pub async fn batch(
    arguments: &BatchArguments,
    input: &Path,
    options: &str,
    output: &Path,
    config: Option<&Path>,
) -> Result<BatchOutcome, CommandError> {
    let config = config
        .map_or_else(|| Ok(Config::default()), Config::load)
        .map_err(CommandError::new)?;
    let path = arguments.manifest.clone();
    let path = path.unwrap_or_else(|| output.join("manifest.json"));
    let known = Manifest::read(&path);
    let sources = sources::find(input, output, &known)?;
    fs::create_dir_all(output).map_err(|error| named(output, &error))?;
    let known = match arguments.force {
        true => Manifest::default(),
        false => known,
    };
    let mut batch = Batch::open(arguments, options, output, &config, known)?;
    batch.sources = sources::real_paths(&sources);
    let batch = Arc::new(batch);
    let bar = bar(sources.len());
    let at_once = batch.cpu.workers().saturating_add(1);
    let work = sources.into_iter().map(|source| {
        let batch = Arc::clone(&batch);
        async move { batch.picture(source).await }
    });
    let mut outcomes = stream::iter(work).buffer_unordered(at_once);
    let mut manifest = Manifest {
        made_by: batch.made_by.clone(),
        pictures: Vec::new(),
    };
    let (mut made, mut skipped, mut failures) = (0, 0, BTreeMap::new());
    while let Some(outcome) = outcomes.next().await {
        bar.inc(1);
        match outcome {
            Outcome::Made(picture) => {
                made += 1;
                manifest.pictures.push(picture);
            }
            Outcome::UpToDate(picture) => {
                skipped += 1;
                manifest.pictures.push(picture);
            }
            Outcome::Failed(source, reason) => {
                failures.insert(source, reason);
            }
        }
    }
    bar.finish_and_clear();
    manifest
        .pictures
        .sort_by(|one, other| one.source.cmp(&other.source));
    manifest
        .write(&path)
        .map_err(|error| named(&path, &error))?;
    let failed = failures.len();
    let failures = failures.into_iter().take(MAX_REPORTED);
    let failures = failures.map(|(source, reason)| format!("failed: `{source}`: {reason}"));
    let mut lines: Vec<String> = failures.collect();
    lines.push(format!(
        "{}: {made} made, {skipped} up to date, {failed} failed",
        path.display()
    ));
    Ok(BatchOutcome {
        lines,
        is_complete: failed == 0,
    })
}

impl Batch {
    fn open(
        arguments: &BatchArguments,
        options: &str,
        output: &Path,
        config: &Config,
        known: Manifest,
    ) -> Result<Self, CommandError> {
        let (parsed, warnings) = Options::parse(options).map_err(CommandError::new)?;
        if let Some(warning) = warnings.first() {
            return Err(CommandError::new(format!("options `{options}`: {warning}")));
        }
        let policy = Policy::new(&config.policy(), Config::default().zone, Vec::new())
            .map_err(CommandError::new)?;
        let mut widths = arguments.srcset.clone();
        widths.sort_unstable();
        widths.dedup();
        let template = match (&arguments.name, widths.is_empty()) {
            (Some(template), _) => template.clone(),
            (None, true) => "{folder}/{name}.{extension}"
                .parse()
                .map_err(CommandError::new)?,
            (None, false) => "{folder}/{name}-{width}.{extension}"
                .parse()
                .map_err(CommandError::new)?,
        };
        let render_memory = config.limits.render_memory(super::memory());
        let cpu = CpuPool::new(
            config.limits.workers,
            usize::MAX >> 1,
            0,
            render_memory.bytes(),
            || {},
        )
        .map_err(CommandError::new)?;
        let limits = config.limits.of_render(render_memory);
        Ok(Batch {
            made_by: format!(
                "safelight {} options={options} srcset={widths:?} format={:?} name={template:?} defaults={:?} limits={}",
                env!("CARGO_PKG_VERSION"),
                arguments.format,
                config.defaults,
                limits.render_fingerprint()
            ),
            limits,
            source_bytes: config.limits.source_bytes,
            wishes: Wishes {
                options: parsed,
                widths,
                formats: arguments.format.clone(),
            },
            template,
            policy,
            cpu,
            output: output.to_owned(),
            sources: BTreeSet::new(),
            known,
            owners: Mutex::default(),
        })
    }

    async fn picture(&self, source: BatchSource) -> Outcome {
        let picture = Picture {
            source: source.relative.clone(),
            bytes: source.bytes,
            modified: source.modified,
            ..Picture::default()
        };
        if let Some(known) = self.known.up_to_date(&self.made_by, &picture, &self.output) {
            let claimed = known
                .files
                .iter()
                .try_for_each(|file| self.claim(&file.path, &known.source));
            return match claimed {
                Ok(()) => Outcome::UpToDate(known),
                Err(reason) => Outcome::Failed(source.relative, reason),
            };
        }
        match self.make(&source.path, picture).await {
            Ok(picture) => Outcome::Made(picture),
            Err(reason) => Outcome::Failed(source.relative, reason),
        }
    }

    /// Makes all files of one picture.
    async fn make(&self, path: &Path, mut picture: Picture) -> Result<Picture, String> {
        if picture.bytes > self.source_bytes.bytes() {
            return Err(format!(
                "it has {} bytes, more than `limits.source_bytes` allows",
                picture.bytes
            ));
        }
        let bytes = fs::read(path).map_err(|error| error.to_string())?;
        let limits = self.limits;
        let source = tokio::task::block_in_place(|| Source::open(bytes.into(), &limits));
        let source = source.map_err(|error| error.to_string())?;
        let facts = self.render(&source, &facts_options()).await?;
        let facts: Value = serde_json::from_slice(&facts.bytes).unwrap_or_default();
        let side = |name: &str| {
            let side = facts["original"][name].as_u64();
            side.and_then(|side| u32::try_from(side).ok()).unwrap_or(0)
        };
        (picture.width, picture.height) = (side("width"), side("height"));
        let text = |name: &str| facts[name].as_str().unwrap_or_default().to_owned();
        (picture.thumbhash, picture.dominant_color) = (text("thumbhash"), text("dominant_color"));
        for options in self.wishes.of(picture.width) {
            let made = self.render(&source, &options).await?;
            let file = self.file(&picture.source, &options, &made);
            match picture.files.iter().find(|other| other.path == file.path) {
                None => self.write(&picture.source, &file, &made.bytes)?,
                // What was too large for AVIF became WebP, and there is one already.
                Some(other) if other.width == file.width => continue,
                Some(_) => {
                    return Err(format!(
                        "`{}` would be made in two sizes: use a `--name` with {{width}}",
                        file.path
                    ));
                }
            }
            picture.files.push(file);
        }
        Ok(picture.with_html(&self.wishes.formats))
    }

    /// Renders within the memory that all renders share.
    async fn render(&self, source: &Source, options: &Options) -> Result<Encoded, String> {
        let accept = Accept {
            jxl: true,
            avif: true,
            webp: true,
        };
        let decided = self.policy.decide(options, accept);
        let (recipe, _) = decided.map_err(|error| error.to_string())?;
        let plan = source.plan(&recipe, &Hints::default());
        let plan = plan.map_err(|error| error.to_string())?;
        let deadline = Instant::now() + PATIENCE;
        let cost = plan.cost();
        let cost = cpu::Cost {
            bytes: cost.bytes,
            time: cost.cpu,
            deadline,
            priority: Priority::Foreground,
            client: None,
            reads_header: false,
        };
        let work = move || plan.render(&Budget::until(deadline));
        let done = self.cpu.run(cost, work).await;
        let made = done.map_err(|error| error.to_string())?.value;
        let made = made.map_err(|error| error.to_string())?;
        let allowed = self.policy.check_output(options, made.format);
        allowed.map_err(|error| error.to_string())?;
        Ok(made)
    }

    /// Notes that a file is made of a source, unless it is made of another one.
    fn claim(&self, path: &str, source: &str) -> Result<(), String> {
        let mut owners = self.owners.lock().unwrap_or_else(PoisonError::into_inner);
        let owner = owners
            .entry(path.to_owned())
            .or_insert_with(|| source.to_owned());
        if owner == source {
            return Ok(());
        }
        Err(format!(
            "`{path}` is made of `{owner}` as well: use a `--name` that tells them apart"
        ))
    }

    /// What a file is called, and what is in it.
    fn file(&self, source: &str, options: &Options, made: &Encoded) -> MadeFile {
        let width = match options.width {
            Some(Width::Pixels(width)) => width.get(),
            Some(Width::Auto) | None => made.size.width,
        };
        let path = self.template.path(NameParts {
            source,
            width,
            height: made.size.height,
            extension: made.format.extension(),
        });
        MadeFile {
            path,
            format: made.format.to_string(),
            width: made.size.width,
            height: made.size.height,
            bytes: made.bytes.len() as u64,
        }
    }

    fn write(&self, source: &str, file: &MadeFile, bytes: &[u8]) -> Result<(), String> {
        self.claim(&file.path, source)?;
        let path = self.output.join(&file.path);
        if fs::canonicalize(&path).is_ok_and(|path| self.sources.contains(&path)) {
            return Err(format!(
                "`{}` is a source and would be replaced: use another folder or a `--name`",
                path.display()
            ));
        }
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|error| named(folder, &error).to_string())?;
        }
        fs::write(&path, bytes).map_err(|error| named(&path, &error).to_string())
    }
}

fn named(path: &Path, error: &std::io::Error) -> CommandError {
    CommandError::new(format!("`{}`: {error}", path.display()))
}

/// A bar where somebody sees it.
fn bar(count: usize) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(count as u64);
    match ProgressStyle::with_template("{bar:30} {pos} of {len} pictures, {eta} left") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

//! Pictures of every kind with their bytes changed, at random and always the same way, rendered as a request would be: each is a picture or
//! a clear error, within bounded time and memory, and nothing panics. `make asan` does it with many more of them, and with the C codecs
//! compiled to find what they read or write out of bounds.
//!
//! `SAFELIGHT_MUTATIONS` is how many files are made, `SAFELIGHT_SEED` which ones. The file at work is kept in `target/tmp/mutations`, so that
//! one which ends the process can be looked at.

mod changes;
mod seeds;

use std::env;
use std::fs;
use std::panic;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::process;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use safelight::config::Config;
use safelight::error::Error;
use safelight::options::Options;
use safelight::policy::Policy;
use safelight::request::Accept;
use safelight::transform::Budget;
use safelight::transform::Encoded;
use safelight::transform::Hints;
use safelight::transform::Limits;
use safelight::transform::Source;
use safelight::units::ByteSize;

use changes::Dice;
use seeds::Seed;

/// What no file may take: in a build without optimisation, with checks of every access, on a busy machine.
const LONGEST: Duration = Duration::from_secs(10);
/// When a file is taken for one that never ends.
const STUCK: Duration = Duration::from_secs(90);
/// Enough for each codec and each thing that is done with pixels before they are written.
const OPTIONS: &[&str] = &[
    "width=48,format=png",
    "width=32,format=webp",
    "width=24,format=webp,quality=100",
    "fit=cover,width=20,height=90,gravity=auto,format=jpeg",
    "trim=border,width=30,format=baseline-jpeg",
    "format=json",
    "format=avif,width=40",
    "format=png-force",
    "width=90,metadata=keep,format=jpeg,anim=false",
    "width=16,blur=3,rotate=90,format=png-force",
];

#[test]
fn changed_files_are_pictures_or_errors() {
    let (count, seed) = (
        number("SAFELIGHT_MUTATIONS", 300),
        number("SAFELIGHT_SEED", 1),
    );
    let work = Work::begin(seed);
    let files = seeds::all(|bytes, options| {
        rendered(bytes, options)
            .map(|made| made.bytes)
            .unwrap_or_else(|error| panic!("a good source: {error}"))
    });
    for (at, file) in files.iter().enumerate() {
        for step in [0, 3, 7] {
            work.on(file, OPTIONS[(at + step) % OPTIONS.len()]);
        }
    }
    let mut dice = Dice::new(seed);
    for _ in 0..count {
        let file = changes::changed(&files, &mut dice);
        work.on(&file, OPTIONS[dice.roll(OPTIONS.len())]);
    }
    let odd = work
        .odd
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    assert!(odd.is_empty(), "{} of them:\n{}", odd.len(), odd.join("\n"));
}

/// A number that a run of the tests is started with.
#[expect(
    clippy::disallowed_methods,
    reason = "a switch of the tests, no setting of the program"
)]
fn number(name: &str, default: u64) -> u64 {
    env::var(name).map_or(default, |number| {
        number
            .parse()
            .unwrap_or_else(|_| panic!("{name} is no number"))
    })
}

/// What is done, and what was odd about it.
struct Work {
    folder: PathBuf,
    seed: u64,
    begun: Arc<Mutex<Option<Instant>>>,
    odd: Mutex<Vec<String>>,
}

impl Work {
    fn begin(seed: u64) -> Work {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("mutations");
        fs::create_dir_all(&folder).expect("a folder for files");
        let begun = Arc::new(Mutex::new(None));
        let watched = Arc::clone(&begun);
        thread::spawn(move || watch(&watched));
        Work {
            folder,
            seed,
            begun,
            odd: Mutex::default(),
        }
    }

    /// Renders a file, and keeps it where that is odd.
    fn on(&self, file: &Seed, options: &str) {
        let current = self.folder.join(format!("current-{}", self.seed));
        fs::write(&current, &file.bytes).expect("a file can be written");
        let started = Instant::now();
        *self.begun.lock().unwrap_or_else(PoisonError::into_inner) = Some(started);
        let outcome = panic::catch_unwind(AssertUnwindSafe(|| rendered(&file.bytes, options)));
        *self.begun.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let elapsed = started.elapsed();
        let reason = match outcome {
            Err(_) => "panics".to_owned(),
            Ok(Err(error)) if !error.info().status.is_client_error() => error.to_string(),
            Ok(_) if elapsed > LONGEST => format!("takes {elapsed:?}"),
            Ok(_) => return,
        };
        let mut odd = self.odd.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = self.folder.join(format!("odd-{}-{}", self.seed, odd.len()));
        fs::write(&kept, &file.bytes).expect("a file can be written");
        odd.push(format!(
            "{} by {options} {reason}: {}",
            file.name,
            kept.display()
        ));
    }
}

/// Ends the process where a file never ends: a thread cannot be ended.
fn watch(begun: &Mutex<Option<Instant>>) {
    loop {
        thread::sleep(Duration::from_secs(1));
        let begun = *begun.lock().unwrap_or_else(PoisonError::into_inner);
        if begun.is_some_and(|begun| begun.elapsed() > STUCK) {
            eprintln!("the current file never ends");
            process::abort();
        }
    }
}

/// Renders as a request is, within less: a small file is enough to find what is wrong, and ten thousand of them have to be made.
fn rendered(bytes: &[u8], options: &str) -> Result<Encoded, Error> {
    let config = Config::default();
    let policy = Policy::new(&config.policy(), config.zone.origin, Vec::new())
        .expect("the shipped settings are right");
    let (parsed, _) = Options::parse(options).expect("known options");
    let accept = Accept {
        avif: true,
        webp: true,
    };
    let (recipe, _) = policy.decide(&parsed, accept).map_err(Error::from)?;
    let limits = Limits {
        source_pixels: 2_000_000,
        animation_pixels: 2_000_000,
        render_memory: ByteSize::mib(192),
        rasterize_svg: true,
        ..Limits::default()
    };
    let budget = Budget::until(Instant::now() + LONGEST);
    let source = Source::open(bytes.to_vec().into(), &limits).map_err(Error::from)?;
    let plan = source
        .plan(&recipe, &Hints::default())
        .map_err(Error::from)?;
    plan.render(&budget).map_err(Error::from)
}

//! Renders files of every kind whose bytes were changed at random (with fixed seeds): each render must end in a picture or a clear error,
//! within bounded time and memory, and without a panic. `make asan` does the same with many more files, and with C codecs that are compiled
//! to detect accesses out of bounds.
//!
//! `SAFELIGHT_MUTATIONS` sets the number of small files, `SAFELIGHT_LARGE` that of large ones, `SAFELIGHT_SEED` selects which ones. The current
//! file is saved in `target/tmp/mutations`, so that a file which ends the process can be examined.

mod changes;
mod seeds;

use std::env;
use std::fs;
use std::panic;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::process;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use safelight::config::Config;
use safelight::error::Error;
use safelight::options::Options;
use safelight::policy::Policy;
use safelight::request::Accept;
use safelight::transform::{Budget, Encoded, Hints, Limits, Source};
use safelight::units::ByteSize;

use changes::Dice;
use seeds::Seed;

/// Options that cover each encoder and each step between decoder and encoder.
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

/// The same for large files: at all fractions of the size that the decoders offer.
const LARGE_OPTIONS: &[&str] = &[
    "width=120,format=png-force",
    "width=700,format=webp,quality=100",
    "fit=cover,width=640,height=480,gravity=auto,format=avif",
    "width=3000,metadata=keep,format=jpeg",
    "width=500,anim=false,format=baseline-jpeg",
    "format=webp",
];

#[test]
fn changed_files_are_pictures_or_errors() {
    let work = Work::begin("small", Bounds::small());
    let files = seeds::all(|bytes, options| {
        rendered(bytes, options, &work.bounds)
            .map(|made| made.bytes)
            .unwrap_or_else(|error| panic!("a good source: {error}"))
    });
    for (at, file) in files.iter().enumerate() {
        for step in [0, 3, 7] {
            work.on(file, OPTIONS[(at + step) % OPTIONS.len()]);
        }
    }
    work.on_changed(&files, number("SAFELIGHT_MUTATIONS", 300), OPTIONS);
    work.finish();
}

/// Only where it is asked for: it takes minutes, and the tests of the corpus have the same files as they are.
#[test]
fn large_files_are_pictures_or_errors() {
    let count = number("SAFELIGHT_LARGE", 0);
    let files = seeds::large();
    if count == 0 || files.is_empty() {
        return;
    }
    let work = Work::begin("large", Bounds::large());
    for file in &files {
        for options in LARGE_OPTIONS {
            work.on(file, options);
        }
    }
    work.on_changed(&files, count, LARGE_OPTIONS);
    work.finish();
}

/// For fuzzers, which begin with them: each with the byte before it that says by which options it is rendered.
#[test]
fn seeds_are_written_where_they_are_wanted() {
    let Some(folder) = folder_of_seeds() else {
        return;
    };
    let bounds = Bounds::small();
    let files = seeds::all(|bytes, options| {
        let made = rendered(bytes, options, &bounds);
        made.map(|made| made.bytes).expect("a good source")
    });
    for (at, file) in (0u8..).zip(&files) {
        let name = file.name.replace('/', "-");
        fs::write(folder.join(name), [&[at], &*file.bytes].concat()).expect("it can be written");
    }
}

/// Where seeds are wanted.
#[expect(
    clippy::disallowed_methods,
    reason = "a switch of the tests, no setting of the program"
)]
fn folder_of_seeds() -> Option<PathBuf> {
    env::var_os("SAFELIGHT_SEEDS").map(PathBuf::from)
}

/// A number from the environment.
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

/// What one render may spend.
struct Bounds {
    limits: Limits,
    /// The longest time, in a build without optimisation and with all checks, on a busy machine.
    longest: Duration,
}

impl Bounds {
    /// Less than a server allows: small files are enough to find faults, and ten thousand of them are rendered.
    fn small() -> Bounds {
        Bounds {
            limits: Limits {
                source_pixels: 2_000_000,
                animation_pixels: 2_000_000,
                render_memory: ByteSize::mib(192),
                rasterize_svg: true,
                ..Limits::default()
            },
            longest: Duration::from_secs(10),
        }
    }

    /// What a server allows.
    fn large() -> Bounds {
        Bounds {
            limits: Limits {
                rasterize_svg: true,
                ..Limits::default()
            },
            longest: Duration::from_secs(180),
        }
    }
}

/// The current work, and the failures so far.
struct Work {
    name: &'static str,
    bounds: Bounds,
    folder: PathBuf,
    seed: u64,
    /// When the file that is being rendered is taken for one that never ends.
    end: Arc<Mutex<Option<Instant>>>,
    odd: Mutex<Vec<String>>,
}

impl Work {
    fn begin(name: &'static str, bounds: Bounds) -> Work {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("mutations");
        fs::create_dir_all(&folder).expect("a folder for files");
        let end = Arc::new(Mutex::new(None));
        let watched = Arc::clone(&end);
        thread::spawn(move || watch(&watched));
        Work {
            name,
            bounds,
            folder,
            seed: number("SAFELIGHT_SEED", 1),
            end,
            odd: Mutex::default(),
        }
    }

    /// Renders changed copies of the files.
    fn on_changed(&self, files: &[Seed], count: u64, options: &[&str]) {
        let mut dice = Dice::new(self.seed);
        for _ in 0..count {
            let file = changes::changed(files, &mut dice);
            self.on(&file, options[dice.roll(options.len())]);
        }
    }

    /// Renders a file, and saves it if something is wrong.
    fn on(&self, file: &Seed, options: &str) {
        let (name, seed) = (self.name, self.seed);
        let current = self.folder.join(format!("current-{name}-{seed}"));
        fs::write(&current, &file.bytes).expect("a file can be written");
        let started = Instant::now();
        *self.end.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(started + self.bounds.longest * 6);
        let outcome = panic::catch_unwind(AssertUnwindSafe(|| {
            rendered(&file.bytes, options, &self.bounds)
        }));
        *self.end.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let elapsed = started.elapsed();
        let reason = match outcome {
            Err(_) => "panics".to_owned(),
            Ok(Err(error)) if !error.info().status.is_client_error() => error.to_string(),
            Ok(_) if elapsed > self.bounds.longest => format!("takes {elapsed:?}"),
            Ok(_) => return,
        };
        let mut odd = self.odd.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = self.folder.join(format!("odd-{name}-{seed}-{}", odd.len()));
        fs::write(&kept, &file.bytes).expect("a file can be written");
        odd.push(format!(
            "{} by {options} {reason}: {}",
            file.name,
            kept.display()
        ));
    }

    fn finish(self) {
        let odd = self
            .odd
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        assert!(odd.is_empty(), "{} of them:\n{}", odd.len(), odd.join("\n"));
    }
}

/// Ends the process if a render never ends, because a thread cannot be stopped.
fn watch(end: &Mutex<Option<Instant>>) {
    loop {
        thread::sleep(Duration::from_secs(1));
        let end = *end.lock().unwrap_or_else(PoisonError::into_inner);
        if end.is_some_and(|end| end < Instant::now()) {
            eprintln!("the current file never ends");
            process::abort();
        }
    }
}

/// Renders like a request.
fn rendered(bytes: &[u8], options: &str, bounds: &Bounds) -> Result<Encoded, Error> {
    let config = Config::default();
    let policy = Policy::new(&config.policy(), config.zone, Vec::new())
        .expect("the shipped settings are right");
    let (parsed, _) = Options::parse(options).expect("known options");
    let accept = Accept {
        avif: true,
        webp: true,
        ..Accept::default()
    };
    let (recipe, _) = policy.decide(&parsed, accept).map_err(Error::from)?;
    let budget = Budget::until(Instant::now() + bounds.longest);
    let source = Source::open(bytes.to_vec().into(), &bounds.limits).map_err(Error::from)?;
    let plan = source
        .plan(&recipe, &Hints::default())
        .map_err(Error::from)?;
    plan.render(&budget).map_err(Error::from)
}

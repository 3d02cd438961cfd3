//! Compares the memory that a render is estimated to hold with what it holds. Each render has a process of its own: in a process that has
//! rendered before, the allocator has free memory, and the peak does not show. A tiny picture of the same kind is rendered first, so that
//! code, tables and fonts that every picture needs are not counted.

mod exhaustion;
pub mod pictures;

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use bytes::Bytes;
use safelight::allocator;
use safelight::options::{Effort, Recipe};
use safelight::transform::{Budget, Hints, Limits, Source, TransformError};
use tempfile::TempDir;

use self::pictures::Kind;
use crate::support::samples::recipe;

/// The variable that names the folder of a process that renders one picture.
const FOLDER: &str = "SAFELIGHT_TEST_COSTS";

/// Stands in place of options: the header is read, and nothing is rendered.
const OPEN: &str = "open";

/// The size of the pictures: large enough to measure, small enough for code that is not optimised.
const SIZE: (u32, u32) = (1000, 720);
/// The size of the tiny pictures.
const TINY: (u32, u32) = (24, 16);

/// How far a render may exceed its estimate, in percent. The codecs of the portable build were measured less often.
const ROOM: u64 = if cfg!(feature = "native") { 0 } else { 25 };
/// The largest ratio of an estimate to what was held, apart from what is reserved for every picture.
const WASTE: u64 = 4;
/// The bytes that are reserved for every picture.
const FIXED: u64 = 8 << 20;

/// Fails with all errors together.
#[track_caller]
fn conclude(wrong: impl Iterator<Item = Option<String>>) {
    let wrong: Vec<String> = wrong.flatten().collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Compares the estimate and the peak of a render, and returns what is wrong.
fn check(what: &str, tiny: &[u8], source: &[u8], options: &str) -> Option<String> {
    let folder = made_alone(tiny, source, options, Memory::Enough);
    let answer = fs::read_to_string(folder.path().join("held")).expect("it answered");
    let numbers: Vec<u64> = answer
        .split_whitespace()
        .filter_map(|number| number.parse().ok())
        .collect();
    // Only Linux reports what was held.
    let &[cost, held] = &numbers[..] else {
        return None;
    };
    let kib = |bytes: u64| bytes >> 10;
    let report = format!(
        "{what}, {options}: {} KiB held, the estimate is {} KiB",
        kib(held),
        kib(cost)
    );
    let is_short = held > cost + cost / 100 * ROOM;
    let is_wasteful = cost > WASTE * held + FIXED;
    (is_short || is_wasteful).then_some(report)
}

/// The memory that a process may use for a picture.
#[derive(Clone, Copy, Debug)]
enum Memory {
    Enough,
    /// This many bytes more than it has already.
    Room(u64),
    /// Enough memory, but one buffer is refused: each of them in turn.
    Refused,
}

/// Renders a picture in another process, which leaves its results in a folder.
#[track_caller]
fn made_alone(tiny: &[u8], source: &[u8], options: &str, memory: Memory) -> TempDir {
    let made = try_made_alone(tiny, source, options, memory);
    made.unwrap_or_else(|wrong| panic!("{options}, {memory:?}: {wrong}"))
}

/// The same, or how the process ended before it answered.
fn try_made_alone(
    tiny: &[u8],
    source: &[u8],
    options: &str,
    memory: Memory,
) -> Result<TempDir, String> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, content: &[u8]| fs::write(folder.path().join(name), content);
    write("tiny", tiny).expect("a fresh folder");
    write("source", source).expect("a fresh folder");
    write("options", options.as_bytes()).expect("a fresh folder");
    match memory {
        Memory::Enough => Ok(()),
        Memory::Room(room) => write("room", room.to_string().as_bytes()),
        Memory::Refused => write("refused", b""),
    }
    .expect("a fresh folder");
    let program = env::current_exe().expect("it runs");
    let mut command = Command::new(program);
    command
        .args(["--exact", "costs::in_a_process_of_its_own", "--nocapture"])
        .env(FOLDER, folder.path());
    if let Memory::Room(_) = memory {
        // Each other arena begins with 64 MiB of the address space, in which a picture would fit.
        command.env("GLIBC_TUNABLES", "glibc.malloc.arena_max=1");
    }
    let made = command.output().expect("it can run again");
    if made.status.success() {
        return Ok(folder);
    }
    let report = String::from_utf8_lossy(&made.stderr);
    Err(format!("{} {report}", made.status))
}

/// Checks every kind of source with every string of options.
#[track_caller]
fn check_all(kinds: &[Kind], size: (u32, u32), options: &[&str]) {
    let mut wrong = Vec::new();
    for kind in kinds {
        let (tiny, source) = (kind.picture(TINY), kind.picture(size));
        let report = |options: &&str| check(&format!("{kind:?}"), &tiny, &source, options);
        wrong.extend(options.iter().map(report));
    }
    conclude(wrong.into_iter());
}

/// The entry point of the process that [`check`] starts. When it runs as a test, it does nothing.
#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "a variable is how a test tells another process what to do"
)]
fn in_a_process_of_its_own() {
    let Some(folder) = env::var_os(FOLDER) else {
        return;
    };
    let folder = Path::new(&folder);
    let read = |name: &str| fs::read(folder.join(name)).expect("it was written");
    let options = String::from_utf8(read("options")).expect("it was text");
    allocator::set_up(None);
    if options == OPEN {
        open(&read("tiny").into());
        return write_held(folder, &read("source").into(), open);
    }
    let recipe = recipe(&options);
    render(&read("tiny").into(), &recipe);
    let source = Bytes::from(read("source"));
    if let Ok(room) = fs::read_to_string(folder.join("room")) {
        let room = room.parse().expect("it was a number");
        let made = within(room, || try_render(&source, &recipe));
        let answer = made.map_or_else(|error| error.to_string(), |_| String::new());
        return fs::write(folder.join("refusal"), answer).expect("the folder is there");
    }
    if folder.join("refused").exists() {
        // It is rendered many times.
        let recipe = Recipe {
            effort: Effort::Quick,
            ..recipe
        };
        let refusals = exhaustion::refuse_each(|| Ok(try_render(&source, &recipe)?.1));
        return fs::write(folder.join("refusals"), refusals.to_string())
            .expect("the folder is there");
    }
    write_held(folder, &source, |source| render(source, &recipe));
}

/// Writes the estimate of `work` with a source, and what it held, into files.
fn write_held(folder: &Path, source: &Bytes, work: impl FnOnce(&Bytes) -> u64) {
    // If the peak cannot be reset, it is too high, which makes the check stricter.
    let _ = fs::write("/proc/self/clear_refs", "5");
    let (before, files_before) = (resident("VmRSS:"), resident("RssFile:"));
    let cost = work(source);
    let (peak, files) = (resident("VmHWM:"), resident("RssFile:"));
    // Pages of the program are there or not by what the system has read of its file.
    let files = files.unwrap_or(0).saturating_sub(files_before.unwrap_or(0));
    let answer = match before.zip(peak) {
        Some((before, peak)) => {
            let held = peak.saturating_sub(before + files) + source.len() as u64;
            format!("{cost} {held}")
        }
        None => String::new(),
    };
    fs::write(folder.join("held"), answer).expect("the folder is there");
}

/// Runs `work` while the address space of this process may grow by `room` bytes at most.
#[expect(unsafe_code, reason = "calls setrlimit")]
fn within<T>(room: u64, work: impl FnOnce() -> T) -> T {
    let used = resident("VmSize:").expect("only asked for where it is known");
    let set = |bytes: u64| {
        let limit = libc::rlimit {
            rlim_cur: bytes,
            rlim_max: libc::RLIM_INFINITY,
        };
        // SAFETY: the structure is ours and is only read.
        assert_eq!(
            unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) },
            0
        );
    };
    set(used + room);
    let made = work();
    set(libc::RLIM_INFINITY);
    made
}

/// Renders a picture and returns its estimate.
fn render(source: &Bytes, recipe: &Recipe) -> u64 {
    try_render(source, recipe).expect("a picture").0
}

/// Reads a header and returns the estimate for that. The content of the header does not matter.
fn open(source: &Bytes) -> u64 {
    let limits = Limits {
        rasterize_svg: true,
        ..Limits::default()
    };
    let _ = Source::open(source.clone(), &limits);
    Source::cost_of_open(source).bytes
}

/// The estimate of a render, and the picture.
fn try_render(source: &Bytes, recipe: &Recipe) -> Result<(u64, Vec<u8>), TransformError> {
    let limits = Limits {
        rasterize_svg: true,
        ..Limits::default()
    };
    let budget = Budget::until(Instant::now() + Duration::from_secs(300));
    let source = Source::open(source.clone(), &limits)?;
    let plan = source.plan(recipe, &Hints::default())?;
    let made = plan.render(&budget)?;
    assert!(!made.bytes.is_empty());
    Ok((plan.cost().bytes, made.bytes))
}

/// A value of `/proc/self/status` in bytes; `None` if the system has none.
fn resident(name: &str) -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes << 10)
}

/// Options for which the decoder needs the most memory.
const DECODED: [&str; 2] = ["width=400,format=jpeg", "width=100,format=json"];

#[test]
fn sources_of_browsers_stay_within_their_costs() {
    check_all(&Kind::OF_BROWSERS, SIZE, &DECODED);
}

#[test]
fn sources_of_cameras_and_desktops_stay_within_their_costs() {
    check_all(&Kind::OF_DESKTOPS, SIZE, &DECODED);
}

#[test]
fn jpeg_and_webp_stay_within_their_costs() {
    let options = [
        "width=990,format=jpeg,quality=95",
        "width=990,format=baseline-jpeg,quality=95",
        "width=990,format=webp,quality=95",
        "width=990,format=webp,quality=100",
    ];
    check_all(&[Kind::Jpeg, Kind::PngAlpha], SIZE, &options);
}

#[test]
fn avif_stays_within_its_cost() {
    // The portable encoder takes ten times as long.
    let size = if cfg!(feature = "native") {
        SIZE
    } else {
        (400, 300)
    };
    let options = ["width=990,format=avif,quality=95"];
    check_all(&[Kind::Png, Kind::PngAlpha], size, &options);
}

#[cfg(feature = "native")]
#[test]
fn jxl_stays_within_its_cost() {
    let options = [
        "width=990,format=jxl,quality=95",
        "width=990,format=jxl,quality=100",
    ];
    check_all(&[Kind::Png, Kind::PngAlpha], SIZE, &options);
    let options = ["rotate=90,format=jxl,quality=98"];
    check_all(&[Kind::Rgba16], SIZE, &options);
}

#[test]
fn png_stays_within_its_cost() {
    let options = ["width=990,format=png-force", "width=990,format=png"];
    check_all(&[Kind::Png, Kind::PngAlpha], SIZE, &options);
    let options = ["rotate=90,format=png-force"];
    check_all(&[Kind::Gray16, Kind::Rgba16], SIZE, &options);
    let options = ["width=490,format=png-force,quality=80"];
    check_all(&[Kind::PngAlpha], (500, 360), &options);
}

#[test]
fn steps_between_decoder_and_encoder_stay_within_their_costs() {
    let options = [
        "width=990,trim=border,format=png-force",
        "width=600,height=600,fit=cover,gravity=auto,format=jpeg",
        "width=990,height=990,fit=pad,background=red,format=jpeg",
        "width=990,blur=2,format=webp",
        "width=990,sharpen=3,contrast=1.2,saturation=0.5,format=jpeg",
        "width=1300,fit=contain,format=webp",
        "width=990,border.width=20,border.color=red,format=jpeg",
    ];
    check_all(&[Kind::PngAlpha], SIZE, &options);
    check_all(&[Kind::JpegProgressive], SIZE, &options[..2]);
}

#[test]
fn a_search_for_a_quality_stays_within_its_cost() {
    let options = [
        "width=700,auto-quality=70,format=webp",
        "width=700,auto-quality=70,format=jpeg",
    ];
    check_all(&[Kind::Jpeg], SIZE, &options);
}

#[test]
fn passthrough_stays_within_its_cost() {
    let options = [
        "metadata=keep,format=jpeg,quality=98",
        "metadata=none,format=jpeg,quality=98",
    ];
    check_all(&[Kind::JpegWithExif], SIZE, &options);
    check_all(&[Kind::Png], SIZE, &["metadata=keep,format=png-force"]);
}

#[test]
fn a_drawing_stays_within_its_cost() {
    let (tiny, drawing) = (pictures::drawing(TINY), pictures::drawing(SIZE));
    let formats = ["png-force", "webp", "json"].into_iter();
    conclude(formats.map(|format| check("drawing", &tiny, &drawing, &format!("format={format}"))));
}

#[test]
fn animations_stay_within_their_costs() {
    let kinds = [Kind::MovingGif, Kind::MovingPng, Kind::MovingWebp];
    let options = [
        "width=290,format=png",
        "anim=false,width=290,format=png-force",
    ];
    check_all(&kinds, (300, 200), &options);
    // A GIF tells that it is opaque; what may be transparent takes tables beside.
    check_all(&kinds, (100, 80), &["width=90,format=webp"]);
    check_all(&kinds[..2], (200, 140), &["width=190,format=webp"]);
}

#[test]
fn large_files_with_small_pictures_stay_within_their_costs() {
    let plain = Kind::Jpeg.picture(TINY);
    let profile = pictures::jpeg_with_profile(TINY, 255);
    let (palette, padded) = (pictures::palette_tiff(0), pictures::palette_tiff(8 << 20));
    let (few, many) = (pictures::many_frames(2), pictures::many_frames(200_000));
    let checks = [
        ("profile in 255 parts", &plain, &profile, "format=jpeg"),
        ("profile in 255 parts", &plain, &profile, "format=json"),
        ("padded palette", &palette, &padded, "format=webp"),
        ("many frames", &few, &many, "anim=false,format=jpeg"),
        ("many frames", &few, &many, "format=json"),
        ("many frames", &few, &many, "metadata=keep,format=webp"),
    ];
    let checks = checks.into_iter();
    conclude(checks.map(|(what, tiny, source, options)| check(what, tiny, source, options)));
}

#[test]
fn hostile_headers_stay_within_the_cost_of_opening() {
    const LENGTH: usize = 32 << 20;
    let headers = pictures::HOSTILE_HEADERS.into_iter();
    conclude(headers.map(|(what, file)| check(what, &file(1 << 12), &file(LENGTH), OPEN)));
}

#[cfg(target_os = "linux")]
#[test]
fn a_render_without_memory_is_an_error_and_the_process_goes_on() {
    const LARGE: &str = "width=3000,fit=contain,format=png-force";
    const SMALL: &str = "width=400,format=webp";
    for kind in [Kind::Jpeg, Kind::PngAlpha, Kind::JpegXl] {
        let (tiny, source) = (kind.picture(TINY), kind.picture(SIZE));
        let refusal = |options: &str, room: u64| {
            let folder = made_alone(&tiny, &source, options, Memory::Room(room));
            fs::read_to_string(folder.path().join("refusal")).expect("it answered")
        };
        for room in [1 << 20, 40 << 20] {
            let report = refusal(LARGE, room);
            assert!(
                report.contains("bytes of memory now"),
                "{kind:?} in {room} bytes: {report:?}"
            );
        }
        assert_eq!(refusal(SMALL, 1 << 30), "", "{kind:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn between_too_little_memory_and_enough_a_render_is_a_picture_or_an_error() {
    const LITTLE: u64 = 2 << 20;
    const ENOUGH: u64 = 1 << 30;
    // The estimates are about 56 MiB.
    let rooms = [LITTLE, 32 << 20, 56 << 20, 64 << 20, 96 << 20, ENOUGH];
    let checks = [
        (Kind::Jpeg, "width=1500,fit=contain,format=jpeg"),
        (Kind::WebpAlpha, "rotate=90,blur=2,format=webp"),
        (Kind::AvifAlpha, "width=700,format=avif"),
    ];
    conclude(checks.into_iter().flat_map(|(kind, options)| {
        let (tiny, source) = (kind.picture(TINY), kind.picture(SIZE));
        rooms.map(|room| {
            let report =
                |report: &str| Some(format!("{kind:?}, {options} in {room} bytes: {report}"));
            let folder = match try_made_alone(&tiny, &source, options, Memory::Room(room)) {
                Ok(folder) => folder,
                Err(wrong) => return report(&wrong),
            };
            let refusal = fs::read_to_string(folder.path().join("refusal")).expect("it answered");
            let is_right = match refusal.is_empty() {
                true => room > LITTLE,
                false => room < ENOUGH && refusal.contains("bytes of memory now"),
            };
            if is_right { None } else { report(&refusal) }
        })
    }));
}

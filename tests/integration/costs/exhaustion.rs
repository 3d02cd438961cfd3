//! Refuses every large buffer of a render once, each in another run: the render must report that there is no memory, or work without the
//! buffer. A buffer whose allocation cannot fail would end the process, and the test with it.
//!
//! Buffers of libraries are not refused: C libraries use another allocator, and Rust libraries would end the process. The pictures and options
//! are chosen so that Rust libraries allocate nothing large.
#![expect(unsafe_code, reason = "an allocator")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::fs;
use std::ptr;
use std::sync::atomic::{AtomicIsize, Ordering};

use safelight::pixels::PixelError;
use safelight::transform::TransformError;

use super::Memory;
use super::TINY;
use super::conclude;
use super::pictures::Kind;
use super::try_made_alone;

/// The smallest buffer that is refused, in bytes: a little less than a plane of the pictures, and more than every buffer that does not grow
/// with a picture.
const LARGE: usize = 340 << 10;

/// Width and height of the pictures.
#[cfg(feature = "native")]
const STILL: (u32, u32) = (600, 600);
/// Width and height of the animations, whose frames have four samples for each pixel.
const MOVING: (u32, u32) = (400, 250);

/// The number of large buffers that are granted before one is refused. Below zero, none is refused.
static GRANTED: AtomicIsize = AtomicIsize::new(-1);

/// The allocator of the system, except that it refuses one buffer.
struct Allocator;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

fn is_refused(bytes: usize) -> bool {
    bytes >= LARGE
        && GRANTED.load(Ordering::Relaxed) >= 0
        && GRANTED.fetch_sub(1, Ordering::Relaxed) == 0
}

// SAFETY: the allocator of the system does everything except refusing; null means that there is no memory.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if is_refused(layout.size()) {
            return ptr::null_mut();
        }
        // SAFETY: the caller guarantees what the allocator of the system needs.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if is_refused(layout.size()) {
            return ptr::null_mut();
        }
        // SAFETY: the caller guarantees what the allocator of the system needs.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if size > layout.size() && is_refused(size) {
            return ptr::null_mut();
        }
        // SAFETY: the caller guarantees what the allocator of the system needs.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller guarantees what the allocator of the system needs.
        unsafe { System.dealloc(block, layout) }
    }
}

/// Refuses each large buffer in turn, and returns how many there were.
pub fn refuse_each(render: impl Fn() -> Result<Vec<u8>, TransformError>) -> usize {
    let whole = render().expect("there is memory");
    let mut refusals = 0;
    loop {
        GRANTED.store(isize::try_from(refusals).expect("few"), Ordering::Relaxed);
        let made = render();
        if GRANTED.swap(-1, Ordering::Relaxed) >= 0 {
            assert!(made.is_ok_and(|made| made == whole), "with all buffers");
            return refusals;
        }
        match made {
            Ok(made) => assert!(made == whole, "without buffer {refusals}"),
            Err(TransformError::Pixels(PixelError::OutOfMemory { .. })) => {}
            Err(error) => panic!("without buffer {refusals}: {error}"),
        }
        refusals += 1;
    }
}

/// Renders once without each of its large buffers, and returns what is wrong. There must be `least` of them or more.
fn check(kind: Kind, size: (u32, u32), options: &str, least: usize) -> Option<String> {
    let (tiny, source) = (kind.picture(TINY), kind.picture(size));
    let report = |report: String| Some(format!("{kind:?}, {options}: {report}"));
    let folder = match try_made_alone(&tiny, &source, options, Memory::Refused) {
        Ok(folder) => folder,
        Err(wrong) => return report(wrong),
    };
    let answer = fs::read_to_string(folder.path().join("refusals")).expect("it answered");
    let refusals: usize = answer.parse().expect("a number");
    if refusals < least {
        return report(format!("{refusals} buffers, of {least} or more"));
    }
    None
}

/// The JPEG codecs of the portable build take their buffers by themselves, and end the process without memory.
#[cfg(feature = "native")]
#[test]
fn decoders_without_memory_are_errors() {
    // Those of AVIF and JPEG XL take their pictures by themselves.
    let kinds = [
        Kind::Jpeg,
        Kind::JpegProgressive,
        Kind::JpegInks,
        Kind::Png,
        Kind::PngAlpha,
        Kind::Gray16,
        Kind::Rgba16,
        Kind::WebpAlpha,
        Kind::WebpLossless,
        Kind::Gif,
        Kind::Tiff,
        Kind::TiffPalette,
        Kind::Bmp,
        Kind::Pnm,
        Kind::Qoi,
    ];
    let kinds = kinds.into_iter();
    conclude(kinds.map(|kind| check(kind, STILL, "width=100,format=jpeg", 1)));
}

/// The JPEG codecs of the portable build take their buffers by themselves, and end the process without memory.
#[cfg(feature = "native")]
#[test]
fn steps_without_memory_are_errors() {
    let enlarged = "width=700,fit=contain,format=jpeg,quality=95";
    let padded = "height=700,width=700,fit=pad,background=red,sharpen=3,format=jpeg";
    // A blur by more takes no more memory, but leaves a graphic, which takes longer to encode.
    let blurred = "rotate=90,blur=2,format=webp";
    let checks = [
        (Kind::Jpeg, enlarged, 5),
        (Kind::Jpeg, blurred, 5),
        (Kind::JpegInks, "width=590,contrast=1.2,format=jpeg", 4),
        (Kind::WebpAlpha, padded, 4),
        (Kind::WebpAlpha, "trim=border,format=avif", 4),
    ];
    let checks = checks.into_iter();
    conclude(checks.map(|(kind, options, least)| check(kind, STILL, options, least)));
}

#[test]
fn animations_without_memory_are_errors() {
    let kinds = [Kind::MovingGif, Kind::MovingPng, Kind::MovingWebp].into_iter();
    conclude(kinds.map(|kind| check(kind, MOVING, "width=390,format=webp", 4)));
}

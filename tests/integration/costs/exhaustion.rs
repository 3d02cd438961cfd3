//! Every large buffer of a render is refused once, each in a run of its own: the render must say that there is no memory, or do without.
//! A buffer that cannot be refused would end the process, and the test with it.
//!
//! What libraries take for themselves cannot be refused: those in C do not ask here, those in Rust would end the process. Kinds of
//! pictures and options are chosen so that libraries in Rust take nothing large.
#![expect(unsafe_code, reason = "an allocator")]

use std::alloc::GlobalAlloc;
use std::alloc::Layout;
use std::alloc::System;
use std::fs;
use std::ptr;
use std::sync::atomic::AtomicIsize;
use std::sync::atomic::Ordering;

use safelight::pixels::PixelError;
use safelight::transform::TransformError;

use super::Memory;
use super::SIZE;
use super::TINY;
use super::made_alone;
use super::pictures::Kind;

/// Bytes of the smallest buffer that can be refused: half of what one plane of the pictures takes.
const LARGE: usize = 360 << 10;

/// Large buffers that are granted before one is refused; below zero, none is refused.
static GRANTED: AtomicIsize = AtomicIsize::new(-1);

/// That of the system, unless a buffer is to be refused.
struct Allocator;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

fn is_refused(bytes: usize) -> bool {
    bytes >= LARGE
        && GRANTED.load(Ordering::Relaxed) >= 0
        && GRANTED.fetch_sub(1, Ordering::Relaxed) == 0
}

// SAFETY: whatever is not refused is done by the allocator of the system; null says that there is no memory.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if is_refused(layout.size()) {
            return ptr::null_mut();
        }
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if is_refused(layout.size()) {
            return ptr::null_mut();
        }
        // SAFETY: as the caller promises.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if size > layout.size() && is_refused(size) {
            return ptr::null_mut();
        }
        // SAFETY: as the caller promises.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(block, layout) }
    }
}

/// Refuses one large buffer after the other, and tells how many there were.
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

/// Renders without each of its large buffers, of which there are so many or more.
#[track_caller]
fn check(kind: Kind, size: (u32, u32), options: &str, least: usize) {
    let (tiny, source) = (kind.picture(TINY), kind.picture(size));
    let folder = made_alone(&tiny, &source, options, Memory::Refused);
    let told = fs::read_to_string(folder.path().join("refusals")).expect("it answered");
    let refusals: usize = told.parse().expect("a number");
    eprintln!("{kind:?}, {options}: {refusals} buffers");
    assert!(refusals >= least, "{kind:?}, {options}: {refusals} buffers");
}

#[test]
fn a_decoder_without_memory_is_an_error() {
    for kind in Kind::OF_BROWSERS {
        check(kind, SIZE, "width=100,format=jpeg", 2);
    }
    for kind in Kind::OF_DESKTOPS {
        check(kind, SIZE, "width=100,format=jpeg", 2);
    }
}

#[test]
fn steps_without_memory_are_errors() {
    let options = [
        "width=1300,fit=contain,format=jpeg,quality=95",
        "width=990,format=webp,rotate=90,blur=20",
        "width=990,height=990,fit=pad,background=red,format=jpeg",
        "width=990,sharpen=3,contrast=1.2,border.width=20,border.color=red,format=webp",
        "width=600,height=600,fit=cover,gravity=auto,format=jpeg",
        "width=990,trim=border,format=png-force",
        "width=990,format=avif",
        "width=990,format=json",
    ];
    for kind in [Kind::Jpeg, Kind::JpegInks, Kind::WebpAlpha] {
        for options in options {
            check(kind, SIZE, options, 2);
        }
    }
}

#[test]
fn animations_without_memory_are_errors() {
    for kind in [Kind::MovingGif, Kind::MovingWebp] {
        for options in ["width=390,format=webp", "width=390,format=auto"] {
            check(kind, (400, 300), options, 2);
        }
    }
}

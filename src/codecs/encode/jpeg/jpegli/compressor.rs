//! A compressor of jpegli that writes to memory, and whose errors are left by unwinding.
#![expect(unsafe_code, reason = "binds jpegli")]

use std::ffi::{CStr, c_int};
use std::mem;
use std::panic;
use std::panic::AssertUnwindSafe;
use std::ptr;

use jpegli_sys as jpegli;
use jpegli_sys::jpegli_common_struct as Common;
use jpegli_sys::jpegli_compress_struct as Compressor;

use crate::codecs::TransformError;
use crate::codecs::encode::error::failed;
use crate::pixels::buffer;

/// The payload of the panic by which an encoder with an error is left.
struct Abort(TransformError);

/// Runs `work` with a new compressor and returns the bytes that it wrote. The compressor is destroyed in any case.
pub(crate) fn guarded(
    work: impl FnOnce(&mut Compressor) -> Result<(), TransformError>,
) -> Result<Vec<u8>, TransformError> {
    // SAFETY: numbers, pointers and optional functions, for all of which zero is a value.
    let (mut compressor, mut errors): (Compressor, jpegli::jpegli_error_mgr) =
        unsafe { (mem::zeroed(), mem::zeroed()) };
    // SAFETY: a valid reference.
    unsafe { jpegli::jpegli_std_error(&mut errors) };
    errors.error_exit = Some(stop);
    errors.emit_message = Some(ignore_level);
    errors.output_message = Some(ignore);
    let mut destination = Destination {
        manager: jpegli::jpegli_destination_mgr {
            next_output_byte: ptr::null_mut(),
            free_in_buffer: 0,
            init_destination: Some(begin),
            empty_output_buffer: Some(grow),
            term_destination: Some(end),
        },
        bytes: Vec::new(),
    };
    compressor.common.err = &raw mut errors;
    let target = &raw mut destination;
    // An error leaves the library by unwinding. All memory that it allocates for a picture is in lists of the compressor, so a compressor
    // can be destroyed in any state.
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: zeroed memory of its size; errors and destination outlive it and are touched by it alone until it is destroyed.
        unsafe { jpegli::jpegli_create_compress(&mut compressor) };
        compressor.dest = target.cast();
        work(&mut compressor)
    }));
    // SAFETY: created, or still zeroed, which the library takes for destroyed.
    unsafe { jpegli::jpegli_destroy_compress(&mut compressor) };
    match outcome {
        Ok(worked) => worked.map(|()| destination.bytes),
        Err(reason) => match reason.downcast::<Abort>() {
            Ok(stopped) => Err(stopped.0),
            Err(panic) => panic::resume_unwind(panic),
        },
    }
}

/// The destination of a compressor. `manager` comes first, because it is the only part that the library knows.
#[repr(C)]
struct Destination {
    manager: jpegli::jpegli_destination_mgr,
    bytes: Vec<u8>,
}

impl Destination {
    /// # Safety
    /// The compressor is one of `guarded`, and no other reference to its destination is in use.
    unsafe fn of(compressor: &mut Compressor) -> &mut Self {
        // SAFETY: `guarded` put a whole destination there.
        unsafe { &mut *compressor.dest.cast() }
    }

    /// Doubles the buffer when it is full. The library writes only to the space that it is told is free. If there is no memory, the library
    /// is left by unwinding, as after an error of its own.
    fn grow(&mut self) {
        const FIRST: usize = 64 << 10;
        let filled = self.bytes.len();
        let more = filled.max(FIRST);
        if let Err(refusal) = buffer::reserve(&mut self.bytes, more) {
            panic::resume_unwind(Box::new(Abort(refusal.into())));
        }
        self.bytes.resize(filled + more, 0);
        let free = &mut self.bytes[filled..];
        self.manager.next_output_byte = free.as_mut_ptr();
        self.manager.free_in_buffer = free.len();
    }
}

unsafe extern "C-unwind" fn begin(compressor: &mut Compressor) {
    // SAFETY: the library calls this for the compressor that it is busy with.
    unsafe { Destination::of(compressor) }.grow();
}

unsafe extern "C-unwind" fn grow(compressor: &mut Compressor) -> c_int {
    // SAFETY: as above.
    unsafe { Destination::of(compressor) }.grow();
    1
}

unsafe extern "C-unwind" fn end(compressor: &mut Compressor) {
    // SAFETY: as above.
    let destination = unsafe { Destination::of(compressor) };
    let filled = destination.bytes.len() - destination.manager.free_in_buffer;
    destination.bytes.truncate(filled);
}

/// Leaves the library after an error. The library is compiled with unwind tables; what is on its stack needs no cleanup, except for small
/// vectors, which leak.
unsafe extern "C-unwind" fn stop(common: &mut Common) {
    // SAFETY: the error manager of `guarded`, whose text the library ends with a zero.
    let text = unsafe { CStr::from_ptr((*common.err).msg_parm.s.as_ptr()) };
    let text = text.to_string_lossy().into_owned();
    panic::resume_unwind(Box::new(Abort(failed(text))))
}

unsafe extern "C-unwind" fn ignore_level(_: &mut Common, _: c_int) {}

unsafe extern "C-unwind" fn ignore(_: &mut Common) {}

#[cfg(test)]
mod tests {
    use jpegli_sys::J_COLOR_SPACE as ColorSpace;

    use super::guarded;
    use super::jpegli;

    #[test]
    fn an_error_of_the_library_is_one_of_ours() {
        for _ in 0..100 {
            let error = guarded(|compressor| {
                compressor.in_color_space = ColorSpace::JCS_RGB;
                // SAFETY: a created compressor, and its own memory manager.
                unsafe {
                    (*compressor.common.mem).max_memory_to_use = 1;
                    jpegli::jpegli_set_defaults(compressor);
                }
                Ok(())
            })
            .expect_err("one byte of memory");
            assert!(error.to_string().contains("memory"), "{error}");
        }
    }

    #[test]
    fn a_panic_is_not_swallowed() {
        let panic =
            std::panic::catch_unwind(|| guarded(|_| panic!("of ours"))).expect_err("panics");
        assert_eq!(panic.downcast_ref(), Some(&"of ours"));
    }
}

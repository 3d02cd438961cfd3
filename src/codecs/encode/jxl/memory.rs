//! The memory of libjxl: what it asks for beyond what its pictures are known to take is refused, so that an encode fails in place of the
//! process.
#![expect(unsafe_code, reason = "is called by libjxl")]

use std::cell::Cell;
use std::ffi::c_void;
use std::ptr;

use libjxl as jxl;

use crate::pixels::Size;

/// Bytes for each pixel, and for every picture. What it takes was measured: up to 60 for each pixel, and 4 MB; and the rows of groups that
/// hang over the edge.
const LIMIT: (usize, usize) = (200, 64 << 20);

/// What is in front of every piece: its length. As long as `malloc` aligns.
const HEADER: usize = 16;

/// What an encoder may take, and what it has taken. Only its own thread asks for memory.
pub(super) struct Memory {
    left: Cell<usize>,
    refused: Cell<Option<usize>>,
    #[cfg(test)]
    least: Cell<usize>,
}

impl Memory {
    /// What a picture of this size may take.
    pub(super) fn of_picture(size: Size) -> Self {
        let (each, every) = LIMIT;
        let limit = size.len().saturating_mul(each).saturating_add(every);
        Memory {
            left: Cell::new(limit),
            refused: Cell::new(None),
            #[cfg(test)]
            least: Cell::new(limit),
        }
    }

    /// The functions that libjxl calls; they use this value, which must outlive the encoder.
    pub(super) fn manager(&self) -> jxl::MemoryManager {
        jxl::MemoryManager {
            opaque: ptr::from_ref(self).cast_mut().cast(),
            alloc: Some(alloc),
            free: Some(free),
        }
    }

    /// How many bytes were asked for that there were not.
    pub(super) fn refused(&self) -> Option<usize> {
        self.refused.get()
    }
}

/// # Safety
/// `opaque` is the address of a [`Memory`].
unsafe extern "C" fn alloc(opaque: *mut c_void, size: usize) -> *mut c_void {
    // SAFETY: the caller's promise; it is shared only with this thread.
    let memory = unsafe { &*opaque.cast::<Memory>() };
    let refuse = || {
        memory.refused.set(Some(size));
        ptr::null_mut()
    };
    let Some(whole) = size.checked_add(HEADER) else {
        return refuse();
    };
    let Some(left) = memory.left.get().checked_sub(whole) else {
        return refuse();
    };
    // SAFETY: any length will do.
    let piece = unsafe { libc::malloc(whole) };
    if piece.is_null() {
        return refuse();
    }
    memory.left.set(left);
    #[cfg(test)]
    memory.least.set(left.min(memory.least.get()));
    // SAFETY: the piece begins with room for the header, and is aligned for it; what follows is as long as was asked for.
    unsafe {
        piece.cast::<usize>().write(whole);
        piece.byte_add(HEADER)
    }
}

/// # Safety
/// `opaque` is the address of a [`Memory`]; `address` is null, or came from [`alloc`] and is freed once.
unsafe extern "C" fn free(opaque: *mut c_void, address: *mut c_void) {
    if address.is_null() {
        return;
    }
    // SAFETY: the caller's promise: the header lies in front.
    unsafe {
        let piece = address.byte_sub(HEADER);
        let memory = &*opaque.cast::<Memory>();
        let whole = piece.cast::<usize>().read();
        memory.left.set(memory.left.get().saturating_add(whole));
        libc::free(piece);
    }
}

#[cfg(test)]
mod tests {
    use super::{HEADER, Memory};
    use crate::pixels::Size;

    #[test]
    fn what_is_freed_may_be_taken_again_and_more_is_refused() {
        let memory = Memory::of_picture(Size::new(1, 1));
        let limit = memory.left.get();
        let manager = memory.manager();
        let (alloc, free) = (manager.alloc.expect("given"), manager.free.expect("given"));
        // SAFETY: the memory lives; what came from `alloc` is freed once.
        unsafe {
            let first = alloc(manager.opaque, limit - 2 * HEADER);
            assert!(!first.is_null());
            assert!(alloc(manager.opaque, 1).is_null());
            assert_eq!(memory.refused(), Some(1));
            free(manager.opaque, first);
            free(manager.opaque, std::ptr::null_mut());
            assert_eq!(memory.left.get(), limit);
            assert_eq!(memory.least.get(), HEADER);
            assert!(alloc(manager.opaque, usize::MAX).is_null());
        }
    }
}

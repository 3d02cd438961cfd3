//! Large buffers, taken so that memory which is not there is an error of one render and not the end of the process.
//!
//! What libraries in Rust take for themselves ends the process where it is not there. So a render asks for all that it is thought to hold
//! before it begins, and gives it back at once: no page of it is touched.

use bytemuck::Zeroable;
use bytemuck::allocation;

use crate::pixels::error::PixelError;

/// A vector of `length` zeros. The system clears its pages when they are first written to, so taking them costs nothing.
pub(crate) fn zeroed<T: Zeroable>(length: usize) -> Result<Vec<T>, PixelError> {
    let refused = |()| refusal(length.saturating_mul(size_of::<T>()));
    let zeros = allocation::try_zeroed_slice_box(length).map_err(refused)?;
    Ok(zeros.into_vec())
}

/// An empty vector with room for `length` elements.
pub(crate) fn with_room<T>(length: usize) -> Result<Vec<T>, PixelError> {
    let mut buffer = Vec::new();
    buffer
        .try_reserve_exact(length)
        .map_err(|_| refusal(length.saturating_mul(size_of::<T>())))?;
    Ok(buffer)
}

/// A copy of `samples`.
pub(crate) fn copied<T: Copy>(samples: &[T]) -> Result<Vec<T>, PixelError> {
    let mut copy = with_room(samples.len())?;
    copy.extend_from_slice(samples);
    Ok(copy)
}

/// Whether the system would give `bytes` now.
pub(crate) fn check_room(bytes: u64) -> Result<(), PixelError> {
    let length = usize::try_from(bytes).unwrap_or(usize::MAX);
    with_room::<u8>(length).map(drop)
}

fn refusal(bytes: usize) -> PixelError {
    PixelError::OutOfMemory { bytes }
}

#[cfg(test)]
mod tests {
    use super::PixelError;
    use super::check_room;
    use super::copied;
    use super::with_room;
    use super::zeroed;

    #[test]
    fn what_there_is_no_memory_for_is_an_error() {
        let most = usize::MAX / 4;
        let is_refusal =
            |error| matches!(error, PixelError::OutOfMemory { bytes } if bytes >= most);
        assert!(zeroed::<u16>(most).is_err_and(is_refusal));
        assert!(zeroed::<u16>(usize::MAX).is_err_and(is_refusal));
        assert!(with_room::<u8>(most * 2).is_err_and(is_refusal));
        assert!(check_room(u64::MAX).is_err_and(is_refusal));
    }

    #[test]
    fn what_is_given_is_as_it_was_asked_for() {
        assert_eq!(zeroed::<u16>(5), Ok(vec![0; 5]));
        assert_eq!(zeroed::<u8>(0), Ok(Vec::new()));
        assert_eq!(copied(&[1, 2, 3]), Ok(vec![1, 2, 3]));
        assert!(with_room::<u8>(7).is_ok_and(|buffer| buffer.is_empty() && buffer.capacity() >= 7));
        assert_eq!(check_room(1 << 20), Ok(()));
    }
}

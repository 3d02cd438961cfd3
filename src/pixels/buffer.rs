//! Allocates large buffers so that a lack of memory is an error of one render and does not end the process. Everything that grows with a
//! picture is allocated here.
//!
//! A failed allocation in a Rust library ends the process. So a render first allocates its whole estimated memory and frees it at once; no
//! page of it is touched.

use std::io;
use std::io::Write;

use bytemuck::Zeroable;
use bytemuck::allocation;

use crate::pixels::error::PixelError;

/// A vector of `length` zeros. The system clears its pages when they are first written, so the allocation itself takes no time.
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

/// A vector of `length` copies of a value.
pub(crate) fn filled<T: Clone>(value: T, length: usize) -> Result<Vec<T>, PixelError> {
    let mut buffer = with_room(length)?;
    buffer.resize(length, value);
    Ok(buffer)
}

/// A vector of the `length` elements of an iterator.
#[inline(always)]
pub(crate) fn collected<T>(
    length: usize,
    elements: impl IntoIterator<Item = T>,
) -> Result<Vec<T>, PixelError> {
    let mut buffer = with_room(length)?;
    buffer.extend(elements);
    Ok(buffer)
}

/// Reserves room for `more` elements in a growing buffer.
pub(crate) fn reserve<T>(buffer: &mut Vec<T>, more: usize) -> Result<(), PixelError> {
    buffer
        .try_reserve(more)
        .map_err(|_| refusal(more.saturating_mul(size_of::<T>())))
}

/// A copy of `samples`.
pub(crate) fn copied<T: Copy>(samples: &[T]) -> Result<Vec<T>, PixelError> {
    let mut copy = with_room(samples.len())?;
    copy.extend_from_slice(samples);
    Ok(copy)
}

/// The elements of `part`, repeated `times` times.
pub(crate) fn repeated<T: Copy>(part: &[T], times: usize) -> Result<Vec<T>, PixelError> {
    let length = part.len() * times;
    let mut whole = with_room(length)?;
    whole.extend_from_slice(&part[..part.len().min(length)]);
    while whole.len() < length {
        whole.extend_from_within(..whole.len().min(length - whole.len()));
    }
    Ok(whole)
}

/// Concatenates parts of a file.
pub(crate) fn joined(parts: &[&[u8]]) -> Result<Vec<u8>, PixelError> {
    let length = parts.iter().map(|part| part.len()).sum();
    let mut whole = with_room(length)?;
    parts.iter().for_each(|part| whole.extend_from_slice(part));
    Ok(whole)
}

/// Checks that the system can allocate `bytes` now.
pub(crate) fn check_room(bytes: u64) -> Result<(), PixelError> {
    let length = usize::try_from(bytes).unwrap_or(usize::MAX);
    with_room::<u8>(length).map(drop)
}

/// A file in memory, for encoders that write to a stream.
#[derive(Default)]
pub(crate) struct FileBuffer {
    bytes: Vec<u8>,
    refused: Option<PixelError>,
}

impl FileBuffer {
    /// The result of an encoder, or the lack of memory that it may have hidden.
    pub(crate) fn outcome<E: From<PixelError>>(&self, end: Result<(), E>) -> Result<(), E> {
        self.refused
            .clone()
            .map_or(end, |refusal| Err(refusal.into()))
    }

    /// The file, if its encoder succeeded.
    pub(crate) fn finish<E: From<PixelError>>(self, end: Result<(), E>) -> Result<Vec<u8>, E> {
        self.outcome(end)?;
        Ok(self.bytes)
    }
}

impl Write for FileBuffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Err(refusal) = reserve(&mut self.bytes, bytes.len()) {
            self.refused = Some(refusal);
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn refusal(bytes: usize) -> PixelError {
    PixelError::OutOfMemory { bytes }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::FileBuffer;
    use super::PixelError;
    use super::check_room;
    use super::collected;
    use super::copied;
    use super::filled;
    use super::joined;
    use super::repeated;
    use super::reserve;
    use super::with_room;
    use super::zeroed;

    #[test]
    fn missing_memory_is_an_error() {
        let most = usize::MAX / 4;
        let is_refusal =
            |error| matches!(error, PixelError::OutOfMemory { bytes } if bytes >= most);
        assert!(zeroed::<u16>(most).is_err_and(is_refusal));
        assert!(zeroed::<u16>(usize::MAX).is_err_and(is_refusal));
        assert!(with_room::<u8>(most * 2).is_err_and(is_refusal));
        assert!(check_room(u64::MAX).is_err_and(is_refusal));
        assert!(filled(7_u16, most).is_err_and(is_refusal));
        assert!(collected(most * 2, [7_u8]).is_err_and(is_refusal));
        let mut buffer = vec![7_u8];
        assert!(reserve(&mut buffer, most * 2).is_err_and(is_refusal));
        assert_eq!(buffer, [7]);
    }

    #[test]
    fn what_is_given_is_as_it_was_asked_for() {
        assert_eq!(zeroed::<u16>(5), Ok(vec![0; 5]));
        assert_eq!(zeroed::<u8>(0), Ok(Vec::new()));
        assert_eq!(copied(&[1, 2, 3]), Ok(vec![1, 2, 3]));
        assert!(with_room::<u8>(7).is_ok_and(|buffer| buffer.is_empty() && buffer.capacity() >= 7));
        assert_eq!(check_room(1 << 20), Ok(()));
        assert_eq!(filled(7_u16, 2), Ok(vec![7, 7]));
        assert_eq!(collected(2, [7, 8]), Ok(vec![7, 8]));
        assert_eq!(repeated(&[7, 8], 3), Ok(vec![7, 8, 7, 8, 7, 8]));
        assert_eq!(repeated(&[7, 8], 0), Ok(vec![]));
        assert_eq!(joined(&[b"one", b"", b"two"]), Ok(b"onetwo".to_vec()));
    }

    #[test]
    fn a_file_is_what_was_written_unless_there_was_no_memory() {
        let mut file = FileBuffer::default();
        file.write_all(b"one").expect("there is memory");
        file.write_all(b"two").expect("there is memory");
        let end: Result<(), PixelError> = Ok(());
        assert_eq!(file.finish(end), Ok(b"onetwo".to_vec()));

        let (missing, told) = (
            PixelError::OutOfMemory { bytes: 1 },
            PixelError::Color(String::new()),
        );
        let file = FileBuffer {
            bytes: Vec::new(),
            refused: Some(missing.clone()),
        };
        assert_eq!(file.finish(Err(told.clone())), Err(missing));
        assert_eq!(FileBuffer::default().finish(Err(told.clone())), Err(told));
    }
}

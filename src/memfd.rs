//! Files in memory that other processes can map, and nobody can change once they are sealed: see memfd_create(2). A large source arrives in one, so that
//! it reaches the process that reads it without a copy.
//!
//! Only Linux has them. Elsewhere [`create`] fails, and its callers use ordinary memory.
#![cfg_attr(
    target_os = "linux",
    expect(unsafe_code, reason = "maps files in memory")
)]

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[cfg(target_os = "linux")]
use self::linux::Mapping;

/// The sealed files that this process has mapped, by the address of their first byte.
static SEALED: Mutex<BTreeMap<usize, (usize, Arc<OwnedFd>)>> = Mutex::new(BTreeMap::new());

/// The bytes of a sealed file.
#[derive(Debug)]
pub(crate) struct SealedBytes {
    mapping: Mapping,
}

impl AsRef<[u8]> for SealedBytes {
    fn as_ref(&self) -> &[u8] {
        self.mapping.as_ref()
    }
}

impl Drop for SealedBytes {
    fn drop(&mut self) {
        sealed_files().remove(&self.as_ref().as_ptr().addr());
    }
}

/// Nothing that panics runs under the lock.
fn sealed_files() -> MutexGuard<'static, BTreeMap<usize, (usize, Arc<OwnedFd>)>> {
    SEALED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The sealed file whose bytes these are: all of them, not a part.
pub(crate) fn file_of(bytes: &[u8]) -> Option<Arc<OwnedFd>> {
    let files = sealed_files();
    let (length, file) = files.get(&bytes.as_ptr().addr())?;
    (*length == bytes.len()).then(|| Arc::clone(file))
}

/// An empty file in memory that grows as it is written.
pub(crate) fn create(name: &str) -> io::Result<File> {
    #[cfg(target_os = "linux")]
    return linux::create(name);
    #[cfg(not(target_os = "linux"))]
    return Err(io::Error::new(io::ErrorKind::Unsupported, name));
}

/// How many sources may be files in memory: each takes a descriptor, of which connections need some too.
pub(crate) const MOST_SOURCES: usize = 512;

/// The same for a source, which is sealed later.
///
/// # Errors
/// Also where there are [`MOST_SOURCES`].
pub(crate) fn create_source() -> io::Result<File> {
    if sealed_files().len() >= MOST_SOURCES {
        return Err(io::Error::other("there are many files in memory"));
    }
    create("source")
}

/// Seals a file that [`create`] has made, and maps it. It must not be empty.
pub(crate) fn seal(file: File) -> io::Result<SealedBytes> {
    #[cfg(target_os = "linux")]
    {
        let file = Arc::new(linux::seal(file)?);
        let mapping = Mapping::of_all(&file)?;
        let bytes = mapping.as_ref();
        let entry = (bytes.len(), file);
        sealed_files().insert(bytes.as_ptr().addr(), entry);
        Ok(SealedBytes { mapping })
    }
    #[cfg(not(target_os = "linux"))]
    {
        drop(file);
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[cfg(target_os = "linux")]
pub(crate) use self::linux::{copy, map, map_for_good, of_length};

/// Elsewhere there are no such mappings.
#[cfg(not(target_os = "linux"))]
#[derive(Debug)]
enum Mapping {}

#[cfg(not(target_os = "linux"))]
impl AsRef<[u8]> for Mapping {
    fn as_ref(&self) -> &[u8] {
        match *self {}
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::ffi::c_void;
    use std::fs::File;
    use std::io;
    use std::io::Write;
    use std::os::fd::{AsFd, OwnedFd};
    use std::ptr;
    use std::slice;

    use bytes::Bytes;
    use rustix::fs::{
        MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, ftruncate, memfd_create,
    };
    use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

    pub(super) fn create(name: &str) -> io::Result<File> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        Ok(File::from(memfd_create(name, flags)?))
    }

    pub(super) fn seal(file: File) -> io::Result<OwnedFd> {
        fcntl_add_seals(
            &file,
            SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL,
        )?;
        Ok(file.into())
    }

    /// A copy of `bytes` in a sealed file.
    pub(crate) fn copy(bytes: &[u8]) -> io::Result<OwnedFd> {
        let mut file = create("source")?;
        file.write_all(bytes)?;
        seal(file)
    }

    /// A file in memory that stays as long as it is.
    pub(crate) fn of_length(name: &str, length: u64) -> io::Result<File> {
        let file = create(name)?;
        ftruncate(&file, length)?;
        fcntl_add_seals(&file, SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL)?;
        Ok(file)
    }

    /// The bytes of a sealed file that another process has passed.
    pub(crate) fn map(file: impl AsFd, length: u64) -> io::Result<Bytes> {
        let sealed = SealFlags::WRITE | SealFlags::SHRINK;
        if !fcntl_get_seals(&file)?.contains(sealed) {
            return Err(io::Error::other("the file can be changed"));
        }
        let mapping = Mapping::of_all(file)?;
        if u64::try_from(mapping.length).ok() != Some(length) {
            return Err(io::Error::other("the file has another length"));
        }
        Ok(Bytes::from_owner(mapping))
    }

    /// A file that another process writes now and then, and that is never unmapped. What is read of it must be what is there at that time: the other process
    /// writes only while this one waits for it, and reads nothing.
    pub(crate) fn map_for_good(file: impl AsFd, length: u64) -> io::Result<&'static [u8]> {
        let fixed = SealFlags::GROW | SealFlags::SHRINK;
        if !fcntl_get_seals(&file)?.contains(fixed) {
            return Err(io::Error::other("the file can change its length"));
        }
        let length = usize::try_from(length).map_err(io::Error::other)?;
        if u64::try_from(rustix::fs::fstat(&file)?.st_size) != u64::try_from(length) {
            return Err(io::Error::other("the file has another length"));
        }
        // SAFETY: a new mapping at an address that the system chooses, of a file that stays as long as it is.
        unsafe {
            let start = mmap(
                ptr::null_mut(),
                length,
                ProtFlags::READ,
                MapFlags::SHARED,
                file,
                0,
            )?;
            Ok(slice::from_raw_parts(start.cast(), length))
        }
    }

    /// A mapping of a whole file that is sealed against writing and shrinking, so that all of it is there and never changes.
    #[derive(Debug)]
    pub(super) struct Mapping {
        start: *mut c_void,
        length: usize,
    }

    impl Mapping {
        /// Maps a sealed file.
        pub(super) fn of_all(file: impl AsFd) -> io::Result<Mapping> {
            let length = usize::try_from(rustix::fs::fstat(&file)?.st_size);
            let length = length.map_err(io::Error::other)?;
            if length == 0 {
                return Err(io::Error::other("the file is empty"));
            }
            // SAFETY: a new mapping at an address that the system chooses.
            let start = unsafe {
                mmap(
                    ptr::null_mut(),
                    length,
                    ProtFlags::READ,
                    MapFlags::SHARED | MapFlags::POPULATE,
                    file,
                    0,
                )
            }?;
            Ok(Mapping { start, length })
        }
    }

    // SAFETY: the memory is only read, and belongs to the mapping until that is dropped.
    unsafe impl Send for Mapping {}
    // SAFETY: as above.
    unsafe impl Sync for Mapping {}

    impl AsRef<[u8]> for Mapping {
        fn as_ref(&self) -> &[u8] {
            // SAFETY: so many bytes are mapped for reading, and the seals keep them as they are.
            unsafe { slice::from_raw_parts(self.start.cast(), self.length) }
        }
    }

    impl Drop for Mapping {
        fn drop(&mut self) {
            // SAFETY: the mapping is this one's own, and nobody borrows it any more.
            let _ = unsafe { munmap(self.start, self.length) };
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::fs::File;
    use std::io::{Seek, Write};

    use super::copy;
    use super::create;
    use super::file_of;
    use super::map;
    use super::of_length;
    use super::seal;

    #[test]
    fn what_is_sealed_is_mapped_and_cannot_be_changed() {
        let file = copy(b"a picture").expect("memory");
        assert_eq!(map(&file, 9).expect("it is sealed"), &b"a picture"[..]);
        for length in [0, 8, 10, u64::MAX] {
            assert!(map(&file, length).is_err(), "{length}");
        }
        let mut file = File::from(file);
        file.rewind().expect("a file");
        assert!(file.write_all(b"another").is_err());
        assert!(file.set_len(0).is_err());
    }

    #[test]
    fn what_others_can_change_is_not_mapped() {
        let mut file = create("test").expect("memory");
        file.write_all(b"12345").expect("it grows");
        assert!(map(&file, 5).is_err());
    }

    #[test]
    fn a_file_of_a_length_takes_no_more() {
        let mut file = of_length("test", 4).expect("memory");
        assert!(file.write_all(b"12345").is_err());
        file.rewind().expect("a file");
        file.write_all(b"1234").expect("it fits");
    }

    #[test]
    fn a_sealed_file_is_found_by_its_bytes_while_they_are_there() {
        let mut file = create("test").expect("memory");
        file.write_all(b"12345").expect("it grows");
        let bytes = seal(file).expect("it has bytes");
        assert_eq!(bytes.as_ref(), b"12345");
        let found = file_of(bytes.as_ref()).expect("it is sealed");
        assert_eq!(map(&*found, 5).expect("it is sealed"), &b"12345"[..]);
        assert!(file_of(&bytes.as_ref()[..4]).is_none());
        assert!(file_of(&bytes.as_ref()[1..]).is_none());
        let address = bytes.as_ref().as_ptr().addr();
        drop(bytes);
        assert!(!super::sealed_files().contains_key(&address));
        assert!(seal(create("test").expect("memory")).is_err());
    }
}

//! How much memory a worker process has, as the system counts it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// What a process has of memory, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Size {
    /// Of its address space.
    pub mapped: u64,
    /// In memory, without what it shares.
    pub own: u64,
}

impl Size {
    /// Reads `/proc/PID/statm`: see proc_pid_statm(5).
    pub(super) fn read(statm: &File) -> io::Result<Size> {
        let mut text = [0; 128];
        let length = statm.read_at(&mut text, 0)?;
        let text = String::from_utf8_lossy(text.get(..length).unwrap_or_default());
        let page = u64::try_from(rustix::param::page_size()).map_err(io::Error::other)?;
        Size::parse(&text, page).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// The numbers are those of pages, which have 16 KiB on some machines and 64 KiB on others.
    fn parse(text: &str, page: u64) -> Option<Size> {
        let mut numbers = text.split(' ').map_while(|number| number.parse().ok());
        let mut next = || numbers.next().map(|pages: u64| pages.saturating_mul(page));
        let (mapped, resident, shared) = (next()?, next()?, next()?);
        Some(Size {
            mapped,
            own: resident.saturating_sub(shared),
        })
    }

    /// Whether a process of this size has grown by more than so many bytes. What it has mapped counts as well: it may touch that later, and what it
    /// shares with itself is not its own.
    pub(super) fn exceeds(self, new: Size, bytes: u64) -> bool {
        let grown = |now: u64, before: u64| now > before.saturating_add(bytes);
        grown(self.mapped, new.mapped) || grown(self.own, new.own)
    }
}

#[cfg(test)]
mod tests {
    use super::Size;

    #[test]
    fn sizes_are_in_bytes_whatever_pages_have() {
        let text = "30000 2000 1500 900 0 8000 0\n";
        for (page, mapped, own) in [
            (4096, 122_880_000, 2_048_000),
            (16_384, 491_520_000, 8_192_000),
        ] {
            assert_eq!(Size::parse(text, page), Some(Size { mapped, own }));
        }
        assert_eq!(Size::parse("30000 2000\n", 4096), None);
    }
}

//! What a file is, by its first bytes: names and `Content-Type` are never trusted.
//!
//! This module does not know the formats. It is given a function that does.

use crate::source::error::SourceError;

/// What the first bytes of a file say, when more of it may follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileKind {
    /// A picture, with its media type.
    Picture(&'static str),
    /// A format that is recognised but not decoded, with its name: PDF, for example.
    Unsupported(&'static str),
    /// No picture.
    Unknown,
    /// More bytes are needed: it may be a drawing with a long prologue.
    Unclear,
}

/// Tells what a file is by its first bytes.
pub(crate) type Sniff = fn(&[u8]) -> FileKind;

/// Every format but drawings shows itself within so many bytes.
pub(crate) const FIRST_LOOK: usize = 4096;
/// No format needs more bytes than this.
pub(crate) const LAST_LOOK: usize = 64 << 10;

/// An error unless a file of this kind may be a picture.
///
/// # Errors
/// [`SourceError::NotAPicture`].
pub(super) fn check(kind: FileKind) -> Result<(), SourceError> {
    let name = match kind {
        FileKind::Picture(_) | FileKind::Unclear => return Ok(()),
        FileKind::Unsupported(name) => Some(name),
        FileKind::Unknown => None,
    };
    Err(SourceError::NotAPicture {
        name,
        negative_ttl: None,
    })
}

/// Looks at the beginning of a file while it arrives. Looks a few times only, however small the pieces are.
pub(super) struct Look {
    sniff: Sniff,
    /// How many bytes the next look needs.
    next: usize,
}

impl Look {
    pub(super) fn new(sniff: Sniff) -> Self {
        Look {
            sniff,
            next: FIRST_LOOK,
        }
    }

    /// What the file is, if the bytes so far say it; never [`FileKind::Unclear`]. `is_all` says that no more bytes follow.
    pub(super) fn at(&mut self, beginning: &[u8], is_all: bool) -> Option<FileKind> {
        if beginning.len() < self.next && !is_all {
            return None;
        }
        let beginning = &beginning[..beginning.len().min(LAST_LOOK)];
        match (self.sniff)(beginning) {
            FileKind::Unclear if beginning.len() < LAST_LOOK && !is_all => {
                self.next = (2 * beginning.len()).min(LAST_LOOK);
                None
            }
            FileKind::Unclear => Some(FileKind::Unknown),
            kind => Some(kind),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::FIRST_LOOK;
    use super::FileKind;
    use super::LAST_LOOK;
    use super::Look;

    thread_local! {
        static LOOKS: Cell<usize> = const { Cell::new(0) };
    }

    /// Unclear until there is a `>`.
    fn sniff(beginning: &[u8]) -> FileKind {
        LOOKS.set(LOOKS.get() + 1);
        match beginning {
            [b'<', rest @ ..] if rest.contains(&b'>') => FileKind::Picture("image/svg+xml"),
            [b'<', ..] => FileKind::Unclear,
            [b'P', ..] => FileKind::Picture("image/png"),
            _ => FileKind::Unknown,
        }
    }

    #[test]
    fn a_short_beginning_says_nothing_unless_it_is_all() {
        let mut look = Look::new(sniff);
        assert_eq!(look.at(b"P", false), None);
        assert_eq!(look.at(b"P", true), Some(FileKind::Picture("image/png")));
        assert_eq!(look.at(b"<", true), Some(FileKind::Unknown));
        let enough = [b'P'; FIRST_LOOK];
        let picture = Some(FileKind::Picture("image/png"));
        assert_eq!(look.at(&enough, false), picture);
        assert_eq!(look.at(&enough[1..], false), None);
    }

    #[test]
    fn a_long_prologue_is_looked_at_a_few_times() {
        let mut file = vec![b'<'; LAST_LOOK + 1];
        let mut look = Look::new(sniff);
        LOOKS.set(0);
        for length in 0..LAST_LOOK {
            assert_eq!(look.at(&file[..length], false), None, "{length}");
        }
        assert_eq!(LOOKS.get(), 4);
        assert_eq!(look.at(&file, false), Some(FileKind::Unknown));
        file[LAST_LOOK] = b'>';
        assert_eq!(look.at(&file, false), Some(FileKind::Unknown));
        file[LAST_LOOK - 1] = b'>';
        let drawing = Some(FileKind::Picture("image/svg+xml"));
        assert_eq!(look.at(&file, false), drawing);
    }
}

//! The chain of causes of an error.

use std::error::Error;

/// An error, its cause, the cause of that, and so on.
pub(crate) fn causes<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error: &&'a (dyn Error + 'static)| {
        error.source()
    })
}

/// The message of the innermost cause. The messages above it only repeat that something failed, and may hold a URL with its signature.
pub(crate) fn root_cause(error: &(dyn Error + 'static)) -> String {
    causes(error)
        .last()
        .map(ToString::to_string)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::causes;
    use super::root_cause;

    #[test]
    fn the_root_cause_is_the_innermost() {
        let inner = io::Error::other("connection refused");
        let middle = io::Error::other(inner);
        let outer = io::Error::other(middle);
        assert_eq!(root_cause(&outer), "connection refused");
        assert_eq!(root_cause(&io::Error::other("alone")), "alone");
        assert!(causes(&outer).count() >= 1);
    }
}

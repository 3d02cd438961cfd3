//! How many files the process may hold open, connections among them, and how many of those clients may have. Where they had them all, nothing could be
//! fetched, read from disk or asked by an operator.

use rustix::process::Resource;
use rustix::process::Rlimit;

/// What is neither for clients nor for fetches: reads and writes of the disk cache (up to 200), the admin listener, the shared bucket, and what the
/// process itself needs.
const RESERVED: u64 = 512;

/// Raises the limit of open files as far as that goes without more rights, and says what it is then; `None` where there is none.
pub fn raise() -> Option<u64> {
    let Rlimit { current, maximum } = rustix::process::getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    // Some systems (macOS) refuse the limit that they report as the highest.
    let is_raised = rustix::process::setrlimit(Resource::Nofile, raised).is_ok();
    if is_raised { maximum } else { current }
}

/// How many of `wanted` connections there may be where `limit` files may be open, and as many sources be fetched at once as `fetches` says.
pub fn connections(wanted: usize, fetches: usize, limit: Option<u64>) -> usize {
    let Some(limit) = limit else { return wanted };
    // Where the limit is low, clients have half of it.
    let reserved = RESERVED.saturating_add(fetches as u64);
    let clients = limit - reserved.min(limit.div_ceil(2));
    usize::try_from(clients).map_or(wanted, |clients| wanted.min(clients.max(1)))
}

#[cfg(test)]
mod tests {
    use super::connections;

    #[test]
    fn clients_never_have_all_files() {
        for (wanted, limit, there_are) in [
            (10_000, None, 10_000),
            (10_000, Some(1 << 20), 10_000),
            (10_000, Some(4096), 3484),
            (10_000, Some(1024), 512),
            (10_000, Some(64), 32),
            (20, Some(64), 20),
            (10_000, Some(1), 1),
            (10_000, Some(0), 1),
        ] {
            assert_eq!(connections(wanted, 100, limit), there_are, "{limit:?}");
        }
    }
}

//! The limit of open files, connections among them. If clients could use them all, the server could fetch nothing, read nothing from disk, and answer
//! no operator.

use rustix::process::{Resource, Rlimit};

use super::config::Config;

/// Open files that are neither for clients, nor for fetches, nor for worker processes: reads and writes of the disk cache (up to 200), the admin listener,
/// the shared bucket, and the process itself.
const RESERVED: u64 = 512;

/// Raises the limit of open files, and lowers `connections` where clients could use up all files beside the `others`, those of fetches and of
/// worker processes.
pub fn limit_connections(config: &mut Config, others: usize) {
    let limit = raise();
    let wanted = config.connections;
    config.connections = connections(wanted, others, limit);
    if config.connections < wanted {
        tracing::warn!(
            limit,
            wanted,
            connections = config.connections,
            "fewer connections are accepted than `server.connections` says: raise the limit of open files (ulimit -n, LimitNOFILE)"
        );
    }
}

/// Raises the limit of open files as far as the process may, and returns it; `None` where there is none.
fn raise() -> Option<u64> {
    let Rlimit { current, maximum } = rustix::process::getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    // macOS refuses the highest limit that it reports.
    let is_raised = rustix::process::setrlimit(Resource::Nofile, raised).is_ok();
    if is_raised { maximum } else { current }
}

/// How many of `wanted` connections there may be with `limit` open files, beside `others`.
fn connections(wanted: usize, others: usize, limit: Option<u64>) -> usize {
    let Some(limit) = limit else { return wanted };
    // With a low limit, half of it is for clients.
    let reserved = RESERVED.saturating_add(others as u64);
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

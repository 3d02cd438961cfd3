//! Addresses by names, as the system's resolver tells them. It holds a thread for as long as a name server keeps silent, and cannot be interrupted: so
//! only so many names are looked up at once, and those that nobody waits for any more still count. Who knows names that are answered slowly, or not at
//! all, would else use up the threads that read the disk.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::Semaphore;

/// Names that are looked up at once: a quarter of the threads that may block.
const LOOKUPS: usize = 128;

/// Turns for those who look up names.
#[derive(Clone, Debug)]
pub struct Resolver(Arc<Semaphore>);

impl Default for Resolver {
    fn default() -> Self {
        Resolver(Arc::new(Semaphore::new(LOOKUPS)))
    }
}

impl Resolver {
    /// The addresses of a host, each with port 0.
    ///
    /// # Errors
    /// Those of the system.
    pub async fn addresses(&self, host: &str) -> io::Result<Vec<SocketAddr>> {
        let turn = Arc::clone(&self.0).acquire_owned().await;
        let turn = turn.map_err(io::Error::other)?;
        let host = host.to_owned();
        // A task of its own: it is not given up with whoever waits for it.
        let lookup = tokio::spawn(async move {
            let _turn = turn;
            let found = tokio::net::lookup_host((host, 0)).await?;
            Ok(found.collect())
        });
        lookup.await.map_err(io::Error::other)?
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use tokio::runtime::Builder;
    use tokio::time::timeout;

    use super::LOOKUPS;
    use super::Resolver;

    #[tokio::test]
    async fn names_have_addresses_or_an_error() {
        let resolver = Resolver::default();
        let found = resolver.addresses("localhost").await.expect("it is known");
        assert!(found.iter().all(|address| address.ip().is_loopback()));
        assert!(!found.is_empty());
        assert!(resolver.addresses("no host").await.is_err());
    }

    #[test]
    #[expect(
        clippy::disallowed_methods,
        reason = "takes the one thread that may block"
    )]
    fn a_lookup_counts_until_the_system_answers_whoever_still_waits() {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(1)
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let (answer, silence) = mpsc::channel::<()>();
            let silent = tokio::task::spawn_blocking(move || silence.recv());
            let resolver = Resolver::default();
            let wait = Duration::from_millis(20);
            let waited = timeout(wait, resolver.addresses("127.0.0.1")).await;
            // An address takes no thread.
            assert!(waited.is_ok());
            for _ in 0..3 {
                let waited = timeout(wait, resolver.addresses("localhost")).await;
                assert!(waited.is_err());
            }
            assert_eq!(resolver.0.available_permits(), LOOKUPS - 3);
            drop(answer);
            let ended = silent.await.expect("no panic");
            assert!(ended.is_err());
            let all = u32::try_from(LOOKUPS).expect("a few");
            let all = timeout(Duration::from_secs(5), resolver.0.acquire_many(all)).await;
            assert!(all.is_ok());
        });
    }
}

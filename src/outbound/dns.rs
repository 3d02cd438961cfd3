//! Host names to addresses, by the resolver of the operating system. A lookup blocks a thread until the name server answers and cannot be
//! cancelled. So the number of lookups at once is bounded, and a lookup counts until it ends, even if nobody waits for it any more: names whose
//! servers never answer must not use up the threads that read the disk.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::Semaphore;

/// Lookups at once: a quarter of the threads for blocking calls.
const MAX_LOOKUPS: usize = 128;

/// The resolver of the operating system, with a bound on the number of lookups.
#[derive(Clone, Debug)]
pub(crate) struct Resolver(Arc<Semaphore>);

/// A name has no addresses, or its name server does not say.
#[derive(Debug)]
pub(crate) struct LookupError(io::Error);

impl Default for Resolver {
    fn default() -> Self {
        Resolver(Arc::new(Semaphore::new(MAX_LOOKUPS)))
    }
}

impl Resolver {
    /// The addresses of a host, at least one, each with port 0.
    pub(crate) async fn addresses(&self, host: &str) -> Result<Vec<SocketAddr>, LookupError> {
        let found = self.look_up(host).await.map_err(LookupError)?;
        if found.is_empty() {
            let none = io::Error::new(io::ErrorKind::NotFound, "no addresses");
            return Err(LookupError(none));
        }
        Ok(found)
    }

    async fn look_up(&self, host: &str) -> io::Result<Vec<SocketAddr>> {
        let permit = Arc::clone(&self.0).acquire_owned().await;
        let permit = permit.map_err(io::Error::other)?;
        let host = host.to_owned();
        // In a task of its own, which keeps the permit when the caller goes away.
        let lookup = tokio::spawn(async move {
            let _permit = permit;
            let found = tokio::net::lookup_host((host, 0)).await?;
            Ok(found.collect())
        });
        lookup.await.map_err(io::Error::other)?
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let resolver = self.clone();
        Box::pin(async move {
            // Port 0 is a placeholder: the client uses the port of the URL.
            let found = resolver.addresses(name.as_str()).await?;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

impl fmt::Display for LookupError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

impl Error for LookupError {}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use tokio::runtime::Builder;
    use tokio::time::timeout;

    use super::MAX_LOOKUPS;
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
        reason = "occupies the only thread for blocking calls"
    )]
    fn a_lookup_counts_until_it_ends_even_if_nobody_waits() {
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
            // A literal address needs no lookup.
            assert!(waited.is_ok());
            for _ in 0..3 {
                let waited = timeout(wait, resolver.addresses("localhost")).await;
                assert!(waited.is_err());
            }
            assert_eq!(resolver.0.available_permits(), MAX_LOOKUPS - 3);
            drop(answer);
            let ended = silent.await.expect("no panic");
            assert!(ended.is_err());
            let all = u32::try_from(MAX_LOOKUPS).expect("a few");
            let all = timeout(Duration::from_secs(5), resolver.0.acquire_many(all)).await;
            assert!(all.is_ok());
        });
    }
}

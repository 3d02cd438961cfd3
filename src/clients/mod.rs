//! Who a request comes from, and what one client may take.
//!
//! A client is an IPv4 address, or the /64 that an IPv6 address is in, because whoever has one address of that has all of them. Where a server in front is
//! trusted, it says whom it asks for; where it is not, what a request says of that is not looked at. All tables are bounded.

mod config;
mod forwarded;
mod id;
mod network;
mod places;
mod proxy_protocol;
mod rate;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::HeaderMap;

pub use config::Config;
pub use config::ForwardedHeader;
pub use id::ClientId;
pub use network::Network;
pub use network::NetworkError;
pub(crate) use places::{Place, Places};
pub(crate) use proxy_protocol::{ProxyError, read_proxy_header};

use rate::MissRate;

/// The other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    /// The client, unless nobody knows who it is: a program on this machine that is not trusted is most likely a proxy for many.
    pub client: Option<ClientId>,
    /// Whether it says whom it asks for.
    pub is_trusted: bool,
}

/// The rules about clients, and what each of them has taken.
pub struct Clients {
    trusted: Vec<Network>,
    header: ForwardedHeader,
    expects_proxy_header: bool,
    misses: Option<MissRate>,
    connections: Arc<Places>,
    requests: Arc<Places>,
    /// Originals on their way.
    originals: Arc<Places>,
}

/// Settings that contradict each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientsError {
    /// Nobody may send what each connection must begin with.
    NoProxies,
}

impl fmt::Display for ClientsError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientsError::NoProxies => out.write_str(
                "setting `clients.proxy_protocol`: `clients.trusted_proxies` must have the load balancers that send the PROXY header",
            ),
        }
    }
}

impl std::error::Error for ClientsError {}

/// Why a client gets nothing for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientError {
    /// It has asked for too many pictures that had to be made; it may ask again after so long.
    Misses(Duration),
    /// It has too many requests at once.
    Requests,
}

impl fmt::Display for ClientError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            ClientError::Misses(_) => "too many new pictures, try again in a moment",
            ClientError::Requests => "too many requests at once, try again in a moment",
        })
    }
}

impl std::error::Error for ClientError {}

impl Clients {
    /// The rules in the settings.
    ///
    /// # Errors
    /// [`ClientsError`].
    pub(crate) fn new(config: &Config) -> Result<Self, ClientsError> {
        if config.proxy_protocol && config.trusted_proxies.is_empty() {
            return Err(ClientsError::NoProxies);
        }
        Ok(Clients {
            trusted: config.trusted_proxies.clone(),
            header: config.header,
            expects_proxy_header: config.proxy_protocol,
            misses: MissRate::new(config.misses_per_minute, config.miss_burst),
            connections: Arc::new(Places::new(config.connections)),
            requests: Arc::new(Places::new(config.requests)),
            originals: Arc::new(Places::new(0)),
        })
    }

    /// Whether each connection begins with a header that says whose it is.
    pub(crate) fn expects_proxy_header(&self) -> bool {
        self.expects_proxy_header
    }

    /// A place for an original on its way, of which `free` are left.
    ///
    /// # Errors
    /// [`ClientError::Requests`]: the client holds so many that these are for others.
    pub(crate) fn begin_original(
        &self,
        client: Option<ClientId>,
        free: usize,
    ) -> Result<Place, ClientError> {
        let place = self.originals.take_share(client, free);
        place.ok_or(ClientError::Requests)
    }

    /// Who is at the other end of a connection.
    pub(crate) fn peer(&self, address: SocketAddr) -> Peer {
        let address = address.ip().to_canonical();
        let is_trusted = self.is_trusted(address);
        let is_known = !is_trusted && !address.is_loopback();
        Peer {
            client: is_known.then(|| ClientId::of(address)),
            is_trusted,
        }
    }

    /// Whose request this is.
    pub(crate) fn of_request(&self, peer: Peer, headers: &HeaderMap) -> Option<ClientId> {
        if !peer.is_trusted {
            return peer.client;
        }
        let client = forwarded::client(headers, self.header, |address| self.is_trusted(address));
        client.map(ClientId::of)
    }

    /// A place for a connection. `None` where the client has too many.
    pub(crate) fn connect(&self, client: Option<ClientId>) -> Option<Place> {
        self.connections.take(client)
    }

    /// A place for a request.
    ///
    /// # Errors
    /// [`ClientError::Requests`].
    pub(crate) fn begin(&self, client: Option<ClientId>) -> Result<Place, ClientError> {
        self.requests.take(client).ok_or(ClientError::Requests)
    }

    /// Counts a miss.
    ///
    /// # Errors
    /// [`ClientError::Misses`].
    pub(crate) fn miss(&self, client: Option<ClientId>) -> Result<(), ClientError> {
        match (&self.misses, client) {
            (Some(misses), Some(client)) => misses
                .take(client, Instant::now())
                .map_err(ClientError::Misses),
            _ => Ok(()),
        }
    }

    fn is_trusted(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.has(address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clients(text: &str) -> Clients {
        Clients::new(&toml::from_str(text).expect("a section")).expect("they fit")
    }

    fn id(text: &str) -> ClientId {
        ClientId::of(text.parse().expect("an address"))
    }

    #[test]
    fn an_ipv6_client_has_its_whole_network() {
        assert_eq!(id("2001:db8:1:2::1"), id("2001:db8:1:2:ffff::9"));
        assert_ne!(id("2001:db8:1:2::1"), id("2001:db8:1:3::1"));
        assert_eq!(id("::ffff:192.0.2.1"), id("192.0.2.1"));
        assert_ne!(id("192.0.2.1"), id("192.0.2.2"));
    }

    #[test]
    fn only_a_trusted_server_says_whom_it_asks_for() {
        let clients = clients("trusted_proxies = ['192.0.2.0/24', '::1']");
        let mut headers = HeaderMap::new();
        let line = "203.0.113.9, 192.0.2.7".parse().expect("a value");
        headers.insert("x-forwarded-for", line);
        let of = |address: &str| {
            let peer = clients.peer(address.parse().expect("an address"));
            clients.of_request(peer, &headers)
        };
        assert_eq!(of("192.0.2.8:1"), Some(id("203.0.113.9")));
        assert_eq!(of("[::1]:1"), Some(id("203.0.113.9")));
        assert_eq!(of("[::ffff:192.0.2.8]:1"), Some(id("203.0.113.9")));
        assert_eq!(of("198.51.100.1:1"), Some(id("198.51.100.1")));
        // Another program on this machine.
        assert_eq!(of("127.0.0.1:1"), None);
        let peer = clients.peer("192.0.2.8:1".parse().expect("an address"));
        assert_eq!(clients.of_request(peer, &HeaderMap::new()), None);
    }

    #[test]
    fn clients_without_limits_are_not_counted() {
        let clients = clients("");
        let client = Some(id("192.0.2.1"));
        for _ in 0..10_000 {
            assert!(clients.miss(client).is_ok() && clients.begin(client).is_ok());
        }
        let places: Vec<_> = (0..100).map(|_| clients.connect(client)).collect();
        assert!(places.iter().all(Option::is_some));
    }
}

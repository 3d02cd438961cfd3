//! Section `[server]` of the settings.

use std::net::SocketAddr;

use serde::Deserialize;

use crate::request::Prefixes;
use crate::units::{Seconds, above_zero};

/// Section `[server]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The address of the public listener, for HTTP/1.1 and h2c.
    pub listen: SocketAddr,
    /// Whether other processes of the same user may listen there as well, so that a new version can take over.
    pub reuse_port: bool,
    /// Paths that transformation URLs begin with.
    pub prefixes: Prefixes,
    /// The most connections at once, as far as the limit of open files goes. For a new one, the one that has been idle longest is closed.
    pub connections: usize,
    /// The longest request head, in bytes; at least 8192.
    pub header_bytes: usize,
    /// The longest that the head of a request may take to arrive, and that a connection may be idle.
    pub header_timeout: Seconds,
    /// The longest that a request may take, from its head to the head of its answer.
    pub request_timeout: Seconds,
    /// The longest that a client may read nothing, or next to nothing, of an answer.
    pub write_timeout: Seconds,
    /// How long a connection takes new requests; after that it ends as soon as its answers are sent.
    #[serde(deserialize_with = "above_zero")]
    pub connection_age: Seconds,
    /// How long the server goes on after SIGTERM, so that load balancers see that `/readyz` says no.
    pub drain_delay: Seconds,
    /// The longest that requests in flight may take to end after that.
    pub drain_timeout: Seconds,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            reuse_port: false,
            prefixes: Prefixes::default(),
            connections: 10_000,
            header_bytes: 64 << 10,
            header_timeout: Seconds::new(15),
            request_timeout: Seconds::new(60),
            write_timeout: Seconds::new(20),
            connection_age: Seconds::new(3600),
            drain_delay: Seconds::new(5),
            drain_timeout: Seconds::new(30),
        }
    }
}

//! Section `[clients]`.

use std::num::NonZeroU32;

use serde::Deserialize;

use crate::clients::network::Network;

/// Section `[clients]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Servers in front that say whom they ask for.
    pub trusted_proxies: Vec<Network>,
    /// The header in which they say it.
    pub header: ForwardedHeader,
    /// Whether each connection begins with a header of the PROXY protocol, version 2.
    pub proxy_protocol: bool,
    /// How many pictures that must be made one client may ask for in a minute; 0: no limit.
    pub misses_per_minute: u32,
    /// How many of them at once, after a pause.
    pub miss_burst: NonZeroU32,
    /// Connections of one client at once; 0: no limit.
    pub connections: usize,
    /// Requests of one client at once; 0: no limit.
    pub requests: usize,
}

/// The header that says whom a server in front asks for. Only one counts: a server that sets the one may pass the other on as the client wrote it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

impl Default for Config {
    fn default() -> Self {
        const BURST: NonZeroU32 = NonZeroU32::new(100).expect("the default is not zero");
        Config {
            trusted_proxies: Vec::new(),
            header: ForwardedHeader::default(),
            proxy_protocol: false,
            misses_per_minute: 0,
            miss_burst: BURST,
            connections: 0,
            requests: 0,
        }
    }
}

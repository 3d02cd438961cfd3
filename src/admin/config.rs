//! Section `[admin]` of the settings.

use std::net::SocketAddr;

use serde::Deserialize;

use super::hosts::HostName;
use crate::token::Token;

/// Section `[admin]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The address of the admin listener. Never let strangers reach it.
    pub listen: SocketAddr,
    /// The token that requests which change something must send. Without one, such requests are refused.
    pub token: Token,
    /// The host names that the listener answers to, beside `localhost` and every IP address.
    pub hosts: Vec<HostName>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            listen: SocketAddr::from(([127, 0, 0, 1], 8081)),
            token: Token::default(),
            hosts: Vec::new(),
        }
    }
}

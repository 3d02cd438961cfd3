//! Who may do what on the admin listener. It can change while the server runs.

use std::sync::{Arc, PoisonError, RwLock};

use super::config::Config;
use super::hosts::HostName;
use crate::token::Token;

/// The token, and the host names that are answered to.
pub struct AdminRules(RwLock<Arc<Rules>>);

/// The rules that count for one request.
pub(super) struct Rules {
    pub token: Token,
    pub hosts: Vec<HostName>,
}

impl Rules {
    fn of(config: &Config) -> Arc<Self> {
        Arc::new(Rules {
            token: config.token.clone(),
            hosts: config.hosts.clone(),
        })
    }
}

impl AdminRules {
    /// Those of the settings.
    pub fn new(config: &Config) -> Arc<Self> {
        Arc::new(AdminRules(RwLock::new(Rules::of(config))))
    }

    /// Later requests are judged by other settings.
    pub fn replace(&self, config: &Config) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Rules::of(config);
    }

    pub(super) fn get(&self) -> Arc<Rules> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

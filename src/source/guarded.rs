//! Requests to servers that are no sources, through the same guard of addresses.

use hyper::Method;
use reqwest::{Client, RequestBuilder};
use url::Url;

use crate::outbound::{USER_AGENT, client, root_cause};
use crate::source::egress::{EgressPolicy, EgressResolver};
use crate::source::setup::SetupError;

/// A client that connects only to addresses that its policy allows.
pub(crate) struct GuardedClient {
    client: Client,
    egress: EgressPolicy,
}

impl GuardedClient {
    /// A client for public addresses, and for private ones too if that is wanted.
    pub(crate) fn new(allows_private: bool) -> Result<Self, SetupError> {
        let egress = if allows_private {
            EgressPolicy::Private
        } else {
            EgressPolicy::Public
        };
        let client = client()
            .user_agent(USER_AGENT)
            .dns_resolver(EgressResolver::new(egress))
            .build()
            .map_err(|error| SetupError::Client(root_cause(&error)))?;
        Ok(GuardedClient { client, egress })
    }

    /// A request to be sent.
    ///
    /// # Errors
    /// A text, where the host is an address that the policy does not allow.
    pub(crate) fn request(&self, method: Method, url: &Url) -> Result<RequestBuilder, String> {
        let allowed = self.egress.check_literal(url);
        allowed.map_err(|denial| denial.to_string())?;
        Ok(self.client.request(method, url.clone()))
    }
}

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

#[cfg(test)]
mod tests {
    use hyper::Method;
    use tokio::net::TcpListener;
    use url::Url;

    use super::GuardedClient;
    use crate::outbound::root_cause;

    /// What keeps a request from a listener on this machine from being answered.
    async fn failure(client: &GuardedClient, host: &str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        // Whoever connects is hung up on.
        let closing = tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                drop(connection);
            }
        });
        let url = Url::parse(&format!("http://{host}:{port}/hook")).expect("a URL");
        let failure = match client.request(Method::POST, &url) {
            Err(denial) => denial,
            Ok(request) => root_cause(&request.send().await.expect_err("nobody answers")),
        };
        closing.abort();
        failure
    }

    #[tokio::test]
    async fn private_addresses_are_for_clients_that_may_have_them() {
        const DENIED: &str = "the address is private or reserved";
        let public = GuardedClient::new(false).expect("a client");
        let private = GuardedClient::new(true).expect("a client");
        for host in ["127.0.0.1", "localhost"] {
            assert_eq!(failure(&public, host).await, DENIED, "{host}");
            let failure = failure(&private, host).await;
            assert!(!failure.contains(DENIED), "{host}: {failure}");
        }
        assert_eq!(failure(&private, "169.254.169.254").await, DENIED);
    }
}

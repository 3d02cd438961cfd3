//! Pictures for operators: what the public listener would answer to a kind of client.

use std::sync::Arc;

use hyper::Response;

use crate::error::Error;
use crate::operator::prewarm::Client;
use crate::operator::purge::{host_and_target, request_head};
use crate::pipeline::Pipeline;
use crate::response::Body;

impl Pipeline {
    /// The answer to a URL for a kind of client, made and cached as for every client. Where it lacks a signature, it gets one. `None` where the
    /// text is no URL.
    pub(crate) async fn preview(
        self: &Arc<Self>,
        url: &str,
        client: Client,
    ) -> Option<Response<Body>> {
        let (host, target) = host_and_target(url);
        if target.is_empty() {
            return None;
        }
        let mut head = request_head(host, target, client.accept_header())?;
        let request = self.understand(&head).await;
        let refused = request.and_then(|request| request.admitted.as_ref().err().cloned());
        if let Some(Error::Denied(denied)) = refused.as_deref()
            && denied.lacks_signature()
            && let Some(signed) = self.policy.sign(target, &self.prefixes)
        {
            head = request_head(host, &signed, client.accept_header())?;
        }
        Some(self.respond(&head, None).await)
    }

    /// The prefix of transformation URLs, where there is one.
    pub(crate) fn first_prefix(&self) -> Option<&str> {
        self.prefixes.first()
    }
}

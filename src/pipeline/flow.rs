//! Plain URLs that a flow takes: they are requests for pictures like transformation URLs, but where there is no picture, the original is sent.

use std::sync::Arc;

use hyper::header::VIA;
use hyper::http::request::Parts;

use crate::cache::{CacheableError, FlightError};
use crate::clients::ClientId;
use crate::error::Error;
use crate::pipeline::answer::Answer;
use crate::pipeline::context::RequestContext;
use crate::pipeline::request_memo::{FlowRequest, ResolvedRequest};
use crate::pipeline::{Pipeline, PipelineError};
use crate::policy::Policy;
use crate::request::{
    Accept, FlowConfig, FlowError, Flows, ImageRequest, Prefixes, RequestKeyRef, SourceRef, Vary,
    proxy_hops,
};
use crate::response;
use crate::telemetry::RequestOutcome;

/// Joins the flows, and checks their options as those of a request.
///
/// # Errors
/// [`FlowError`] names the setting.
pub(super) fn open(
    configs: &[FlowConfig],
    prefixes: &Prefixes,
    policy: &Policy,
) -> Result<Flows, PipelineError> {
    let flows = Flows::new(configs, prefixes).map_err(PipelineError::Flow)?;
    let flows = flows.with_signatures(policy.reads_signatures());
    for (flow, options) in flows.options().enumerate() {
        let decided = policy.decide(&options, Accept::default());
        decided.map_err(|denied| {
            let reason = denied.to_string();
            PipelineError::Flow(FlowError::Options { flow, reason })
        })?;
    }
    Ok(flows)
}

impl Pipeline {
    /// Resolves the head of a request for a plain URL, or finds it resolved. `None` where no flow takes it. Another server of this kind asks for
    /// originals alone, as image proxies do.
    pub(crate) fn resolve_by_flow(&self, head: &Parts) -> Option<Arc<ResolvedRequest>> {
        if self.flows.is_empty() || proxy_hops(&head.headers) > 0 {
            return None;
        }
        let key = match RequestKeyRef::of(head) {
            Ok(key) => key,
            Err(error) => {
                let is_taken = self.flows.take(head.uri.path());
                return is_taken.then(|| Arc::new(ResolvedRequest::failed(error.into())));
            }
        };
        if let Some(resolved) = self.request_memo.get(&key)
            && !resolved.is_expired()
        {
            return Some(resolved);
        }
        let (flow, request) = ImageRequest::by_flow(&key, &self.flows, &self.prefixes)?;
        let SourceRef::Zone(original) = &request.source else {
            return None;
        };
        let flow = FlowRequest {
            name: Arc::clone(flow.name()),
            original: original.clone(),
        };
        // A redirect to the source would lead to this URL again.
        let resolved = ResolvedRequest {
            flow: Some(flow),
            fallback: None,
            ..self.resolve_request(&request)
        };
        Some(self.request_memo.insert(&key, resolved))
    }

    /// Whether the original is sent where a flow's picture cannot be made because of this error.
    pub(crate) fn sends_in_place(&self, error: &Error) -> bool {
        self.policy.serves_originals() && error.leaves_original()
            || self.policy.serves_all_originals() && error.may_be_of_redirect()
    }

    /// The answer with the original in the place of a flow's picture, which cannot be made.
    pub(crate) async fn original_in_place(
        self: &Arc<Self>,
        failed: FlightError<Error>,
        flow: &FlowRequest,
        vary: Vary,
        (head, client): (&Parts, Option<ClientId>),
    ) -> Result<Answer, FlightError<Error>> {
        // The picture may have taken all the time that there was.
        let context = RequestContext::of(head, self.request_timeout, client);
        let mut answer = self.original_at(&flow.original, head, &context).await?;
        let error = failed.error;
        self.metrics.requests.record_error(error.info().code);
        let life = error.ttl(&self.error_ttls);
        response::mark_in_place(&mut answer.response, &error, vary, life);
        answer.error = Some(error);
        Ok(answer)
    }

    /// Marks the answer with an original that a flow would have taken, had it not come from an image proxy.
    pub(crate) fn mark_left_by_flow(&self, head: &Parts, answer: &mut Answer) {
        if head.headers.contains_key(VIA) && self.flows.take(head.uri.path()) {
            response::vary_by_proxies(&mut answer.response);
        }
    }

    /// Names the flow in its answer, and counts it.
    pub(crate) fn record_flow(&self, flow: &FlowRequest, answer: &mut Answer) {
        response::name_flow(&mut answer.response, &flow.name);
        let result = match answer.outcome {
            // Requests of the API never meet a flow.
            RequestOutcome::Original | RequestOutcome::Api => "original",
            RequestOutcome::Error => "error",
            RequestOutcome::Memory
            | RequestOutcome::Disk
            | RequestOutcome::Shared
            | RequestOutcome::Miss
            | RequestOutcome::Coalesced
            | RequestOutcome::NotModified
            | RequestOutcome::PreconditionFailed => "picture",
        };
        self.metrics.requests.record_flow(&flow.name, result);
    }
}

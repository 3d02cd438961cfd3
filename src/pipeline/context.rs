//! The facts about a request that all its steps share.

use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use hyper::Method;
use hyper::http::request::Parts;

use crate::clients::ClientId;
use crate::deadline::Deadline;
use crate::pipeline::workers::Asker;
use crate::request::Conditional;

/// What a request says beyond the picture that it asks for, and its deadline.
pub(crate) struct RequestContext {
    pub started: Instant,
    pub deadline: Deadline,
    pub conditional: Conditional,
    pub head_only: bool,
    /// Who asks, where that is known.
    pub client: Option<ClientId>,
    /// Whether the request counts as a miss of its client already.
    pub is_miss: AtomicBool,
}

impl RequestContext {
    pub(crate) fn of(head: &Parts, timeout: Duration, client: Option<ClientId>) -> Self {
        let started = Instant::now();
        RequestContext {
            started,
            deadline: Deadline::since(started, timeout),
            conditional: Conditional::of(head),
            head_only: head.method == Method::HEAD,
            client,
            is_miss: AtomicBool::new(false),
        }
    }

    /// Who waits for what is done for the request.
    pub(crate) fn asker(&self) -> Asker {
        Asker {
            client: self.client,
            deadline: self.deadline,
        }
    }
}

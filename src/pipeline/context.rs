//! The facts about a request that all its steps share.

use std::time::{Duration, Instant};

use hyper::Method;
use hyper::http::request::Parts;

use crate::deadline::Deadline;
use crate::request::Conditional;

/// What a request says beyond the picture that it asks for, and its deadline.
pub(crate) struct RequestContext {
    pub started: Instant,
    pub deadline: Deadline,
    pub conditional: Conditional,
    pub head_only: bool,
}

impl RequestContext {
    pub(crate) fn of(head: &Parts, timeout: Duration) -> Self {
        let started = Instant::now();
        RequestContext {
            started,
            deadline: Deadline::since(started, timeout),
            conditional: Conditional::of(head),
            head_only: head.method == Method::HEAD,
        }
    }
}

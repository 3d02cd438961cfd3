//! What answers requests. It is replaced as a whole when settings are read again; requests in flight keep what they began with.

use std::sync::{Arc, PoisonError, RwLock};

use crate::api::Api;
use crate::pipeline::Pipeline;

/// The pipeline and the API that answer requests now.
pub struct Live(RwLock<Service>);

/// What answers a request.
#[derive(Clone)]
pub struct Service {
    /// Answers all but the API.
    pub pipeline: Arc<Pipeline>,
    /// The API of hosted images, where there are any.
    pub api: Option<Arc<Api>>,
}

impl Live {
    /// Requests are answered by these.
    pub fn new(pipeline: Arc<Pipeline>, api: Option<Arc<Api>>) -> Arc<Self> {
        Arc::new(Live(RwLock::new(Service { pipeline, api })))
    }

    /// What answers now.
    pub fn get(&self) -> Service {
        let service = self.0.read().unwrap_or_else(PoisonError::into_inner);
        service.clone()
    }

    /// Later requests are answered by these.
    pub fn replace(&self, pipeline: Arc<Pipeline>, api: Option<Arc<Api>>) {
        let mut service = self.0.write().unwrap_or_else(PoisonError::into_inner);
        *service = Service { pipeline, api };
    }
}

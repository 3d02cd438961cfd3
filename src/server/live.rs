//! What answers requests. It is replaced as a whole when settings are read again; requests in flight keep what they began with.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::api::Api;
use crate::pipeline::Pipeline;

/// The pipeline and the API that answer requests now.
pub struct Live(ArcSwap<Service>);

/// What answers a request.
pub struct Service {
    /// Answers all but the API.
    pub pipeline: Arc<Pipeline>,
    /// The API of hosted images, where there are any.
    pub api: Option<Arc<Api>>,
}

impl Live {
    /// Requests are answered by these.
    pub fn new(pipeline: Arc<Pipeline>, api: Option<Arc<Api>>) -> Arc<Self> {
        Arc::new(Live(ArcSwap::from_pointee(Service { pipeline, api })))
    }

    /// What answers now. It takes no lock, because every request asks.
    pub fn get(&self) -> Arc<Service> {
        self.0.load_full()
    }

    /// Later requests are answered by these.
    pub fn replace(&self, pipeline: Arc<Pipeline>, api: Option<Arc<Api>>) {
        self.0.store(Arc::new(Service { pipeline, api }));
    }
}

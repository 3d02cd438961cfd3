//! Renditions that are in the store of hosted images: read before anything is rendered.

use std::sync::Arc;

use crate::cache::{CachedSource, FlightError, RenderOutput, Rendition, RenditionKey};
use crate::error::Error;
use crate::hosted;
use crate::pipeline::Pipeline;
use crate::pipeline::render::RenderTask;
use crate::transform::{SourceFormat, sniff};

/// How the record of an image names the rendition with this key: a hash of its original, its recipe and the renderer.
pub(crate) fn recipe_name(key: &RenditionKey) -> String {
    key.etag().trim_matches('"').to_owned()
}

impl Pipeline {
    /// The rendition from the store, or else rendered: what the store has may be gone by now.
    pub(crate) async fn read_or_render(
        self: Arc<Self>,
        stored: hosted::Rendition,
        key: RenditionKey,
        task: RenderTask,
        source: CachedSource,
    ) -> Result<RenderOutput, FlightError<Error>> {
        match self.read_stored(&stored, &key).await {
            Some(rendition) => {
                self.metrics.work.record_hosted_rendition("read");
                Ok(rendition.into())
            }
            None => self.render(task, source).await,
        }
    }

    async fn read_stored(
        &self,
        stored: &hosted::Rendition,
        key: &RenditionKey,
    ) -> Option<Rendition> {
        let hosted = self.hosted.as_ref()?;
        let read = tokio::time::timeout(self.request_timeout / 2, hosted.read(&stored.key));
        let bytes = match read.await {
            Ok(Ok(bytes)) => bytes,
            Ok(Err(error)) => {
                tracing::debug!(key = stored.key, %error, "a stored rendition cannot be read");
                return None;
            }
            Err(_) => return None,
        };
        let format = sniff(&bytes).and_then(SourceFormat::as_output)?;
        let is_whole = bytes.len() as u64 == stored.bytes && format.to_string() == stored.format;
        let size = (stored.width, stored.height);
        is_whole.then(|| Rendition::new(key, bytes.into(), format, size, Vec::new()))
    }
}

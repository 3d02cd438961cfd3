//! What a path leads to on the public listener.

use crate::pipeline::Pipeline;

/// Where a request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// A picture.
    Image,
    /// Nowhere.
    Nothing,
}

impl Route {
    pub fn of(pipeline: &Pipeline, path: &str) -> Self {
        if pipeline.is_image_path(path) {
            Route::Image
        } else {
            Route::Nothing
        }
    }
}

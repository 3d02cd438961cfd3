//! Hosted images as clients see them: delivery URLs, and what is accepted as an image.

mod uploads;

use safelight::config::Config;
use safelight::hosted::Store;

use crate::support::proxy::TestProxy;

/// A proxy with a folder for hosted images.
async fn start(change: impl FnOnce(&mut Config)) -> (TestProxy, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let proxy = TestProxy::start(|config| {
        config.hosted.store = Store::Folder(folder.path().join("store"));
        config.hosted.index = folder.path().join("index");
        change(config);
    });
    (proxy.await, folder)
}

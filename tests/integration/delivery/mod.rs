//! Hosted images as clients see them: delivery URLs, and what is accepted as an image.

mod eager;
mod private;
mod uploads;
mod urls;

use std::io::Write as _;
use std::sync::Arc;

use safelight::config::Config;
use safelight::hosted::{
    AccountSettings, Hosted, ImageId, NewImage, Record, SpooledFile, Store, Variant,
};

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

/// Stores an image under a name.
async fn upload(proxy: &TestProxy, id: &str, bytes: &[u8], is_private: bool) -> Arc<Record> {
    let pipeline = proxy.pipeline();
    let facts = pipeline.inspect(bytes.to_vec().into()).await;
    let image = NewImage {
        id: Some(ImageId::new(id).expect("a name")),
        filename: "my cat.jpg".to_owned(),
        require_signed_urls: is_private,
        ..NewImage::default()
    };
    let stored = hosted(proxy).create(image, spooled(bytes), facts.expect("a picture"));
    stored.await.expect("it is stored")
}

fn hosted(proxy: &TestProxy) -> &Arc<Hosted> {
    proxy.pipeline().hosted().expect("there is a store")
}

/// An upload that has arrived.
fn spooled(bytes: &[u8]) -> SpooledFile {
    let mut file = tempfile::tempfile().expect("a temporary file");
    file.write_all(bytes).expect("room for it");
    SpooledFile {
        file,
        bytes: bytes.len() as u64,
        sha256: String::new(),
    }
}

/// Changes variants, keys and switches.
async fn change(proxy: &TestProxy, change: impl Fn(&mut AccountSettings) + Send + Sync) {
    let changed = hosted(proxy).change_settings(|settings| {
        change(settings);
        Ok::<_, ()>(())
    });
    changed.await.expect("it is stored").expect("no refusal");
}

/// A variant with these options.
fn variant(options: &serde_json::Value) -> Variant {
    Variant {
        options: options.as_object().cloned().expect("an object"),
        never_require_signed_urls: false,
    }
}

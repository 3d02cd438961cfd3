//! An image as the API describes it.

use serde_json::{Map, Value};

/// An image as the API describes it, with whatever else the server says.
#[derive(Clone, Debug)]
pub(super) struct Image(pub Value);

impl Image {
    /// Its name.
    pub(super) fn id(&self) -> &str {
        self.0["id"].as_str().unwrap_or_default()
    }

    /// A text of it, if the server says it.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0[name].as_str().filter(|text| !text.is_empty())
    }

    /// What was stored with it.
    pub(super) fn metadata(&self) -> Map<String, Value> {
        self.0["meta"].as_object().cloned().unwrap_or_default()
    }

    /// Whether only signed URLs show it.
    pub(super) fn is_private(&self) -> bool {
        self.0["requireSignedURLs"].as_bool().unwrap_or(false)
    }

    /// Whether nobody has uploaded it yet.
    pub(super) fn is_draft(&self) -> bool {
        self.0["draft"].as_bool().unwrap_or(false)
    }

    /// The SHA-256 of its original, which Cloudflare does not tell.
    pub(super) fn sha256(&self) -> Option<&str> {
        self.0["safelight"]["sha256"].as_str()
    }

    /// Width, height and bytes of its original, which Cloudflare does not tell.
    pub(super) fn size(&self) -> Option<(u64, u64, u64)> {
        let facts = &self.0["safelight"];
        Some((
            facts["width"].as_u64()?,
            facts["height"].as_u64()?,
            facts["bytes"].as_u64()?,
        ))
    }

    /// The delivery URLs of its variants.
    pub(super) fn variants(&self) -> impl Iterator<Item = &str> {
        let list = self.0["variants"].as_array();
        list.into_iter().flatten().filter_map(Value::as_str)
    }

    /// The delivery URL to show: that of the variant `public`, or else any.
    pub(super) fn url(&self) -> Option<&str> {
        let is_public = |url: &&str| url.ends_with("/public");
        self.variants()
            .find(is_public)
            .or_else(|| self.variants().next())
    }
}

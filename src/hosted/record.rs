//! What is stored about an image, as JSON.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::hosted::ImageId;

/// What is stored about an image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// The version of this layout.
    pub v: u32,
    /// A random name of this state of the record: every write makes a new one.
    pub rev: String,
    /// The name of the image.
    pub id: ImageId,
    /// Whether there is an image.
    pub state: State,
    /// The name of the file that was uploaded; none while it is a draft.
    pub filename: Option<String>,
    /// To whom the image belongs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub creator: Option<String>,
    /// What the client stored with it.
    #[serde(default)]
    pub meta: Map<String, Value>,
    /// Whether only signed URLs show it.
    #[serde(rename = "requireSignedURLs")]
    pub require_signed_urls: bool,
    /// When it was uploaded (a draft: created; an image that is gone: deleted), in milliseconds since 1970.
    pub uploaded: u64,
    /// When a draft can no longer be filled, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<u64>,
    /// The file that was uploaded; none while it is a draft.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original: Option<Original>,
    /// The named renditions that are in the store.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub renditions: Vec<Rendition>,
    /// What may be uploaded into a draft.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upload: Option<Upload>,
}

/// Whether there is an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Not yet: somebody may upload it.
    Draft,
    /// Yes.
    Ready,
    /// No longer. The record stays for a while, so that no delayed write brings the image back.
    Deleted,
}

/// An uploaded file in the store.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Original {
    /// Its key below the root of the store.
    pub key: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// The SHA-256 of its bytes, hexadecimal.
    pub sha256: String,
    /// What is known about the picture.
    #[serde(flatten)]
    pub facts: Facts,
}

/// What is known about a picture.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// Its format in lower case, as in `jpeg`.
    pub format: String,
    /// Its media type.
    pub mime: String,
    /// The extension of its file name, without a dot.
    pub extension: String,
    /// Its width in pixels, as it is shown.
    pub width: u32,
    /// Its height in pixels, as it is shown.
    pub height: u32,
    /// How many frames it has; 1 for a still picture.
    pub frames: u32,
    /// A thumbnail of some 25 bytes, base64; see <https://evanw.github.io/thumbhash/>.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thumbhash: Option<String>,
    /// The dominant colour, as in `#aabbcc`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub color: Option<String>,
}

/// A named rendition in the store.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rendition {
    /// The name of its variant.
    pub variant: String,
    /// Its format in lower case.
    pub format: String,
    /// Its width in pixels.
    pub width: u32,
    /// Its height in pixels.
    pub height: u32,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its key below the root of the store.
    pub key: String,
    /// The key of the rendition in the caches: what the original, the options and the renderer decide, hexadecimal. Another one means that the
    /// rendition is out of date.
    pub recipe: String,
    /// Other recipes that make the same bytes: an animation, which is never AVIF, is WebP for those who would take AVIF as well.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
}

impl Rendition {
    /// Whether this recipe makes it.
    pub(crate) fn is_of(&self, recipe: &str) -> bool {
        self.recipe == recipe || self.aliases.iter().any(|alias| alias == recipe)
    }
}

/// What may be uploaded into a draft.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upload {
    /// A random text that the upload URL is bound to.
    pub nonce: String,
    /// The largest upload in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<u64>,
    /// The formats that are accepted; empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub formats: Vec<String>,
}

/// An image that is to be stored, without its file.
#[derive(Clone, Debug, Default)]
pub struct NewImage {
    /// The name that the client chose.
    pub id: Option<ImageId>,
    /// The name of the file.
    pub filename: String,
    /// To whom it belongs.
    pub creator: Option<String>,
    /// What the client stores with it.
    pub meta: Map<String, Value>,
    /// Whether only signed URLs show it.
    pub require_signed_urls: bool,
}

/// An image that somebody else will upload.
#[derive(Clone, Debug)]
pub struct Draft {
    /// What is known of it already; its `filename` is not used.
    pub image: NewImage,
    /// When it can no longer be uploaded, in seconds since 1970.
    pub expires: u64,
    /// The largest upload in bytes.
    pub max_bytes: Option<u64>,
    /// The formats that are accepted; empty: all.
    pub formats: Vec<String>,
}

/// Changes to a record. What is `None` stays as it is.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// The new metadata, in place of all of the old.
    pub meta: Option<Map<String, Value>>,
    /// The new creator; `Some(None)` removes it.
    pub creator: Option<Option<String>>,
    /// Whether only signed URLs show it.
    pub require_signed_urls: Option<bool>,
}

impl Record {
    /// Whether there is nothing to see at this time, in seconds since 1970: the image was deleted, or it is a draft that expired.
    pub(crate) fn is_gone(&self, now_secs: u64) -> bool {
        match self.state {
            State::Deleted => true,
            State::Draft => self.expires.is_some_and(|expires| expires <= now_secs),
            State::Ready => false,
        }
    }

    /// The keys of its files.
    pub(crate) fn files(&self) -> impl Iterator<Item = &str> {
        let renditions = self
            .renditions
            .iter()
            .map(|rendition| rendition.key.as_str());
        let original = self.original.iter().map(|original| original.key.as_str());
        original.chain(renditions)
    }

    /// Whether one of its files has this key.
    pub(crate) fn has_file(&self, key: &str) -> bool {
        self.files().any(|file| file == key)
    }

    /// Whether there is an image that can be shown.
    pub fn is_ready(&self) -> bool {
        self.state == State::Ready
    }
}

impl Serialize for ImageId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for ImageId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        ImageId::new(&text).map_err(serde::de::Error::custom)
    }
}

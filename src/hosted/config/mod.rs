//! Section `[hosted]` of the settings.

mod store;
mod token;
mod values;
mod webhook;

use std::fmt;
use std::num::NonZeroU32;
use std::path::PathBuf;

use serde::Deserialize;

use crate::policy::OriginPattern;
use crate::units::{ByteSize, Seconds, above_zero};

pub use store::{Store, StoreNameError};
pub use token::{Rights, TokenConfig};
pub use webhook::{WebhookConfig, WebhookEvent, WebhookUrl, WebhookUrlError};

/// Section `[hosted]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where hosted images are kept.
    pub store: Store,
    /// The account in the paths of the API.
    #[serde(deserialize_with = "values::path_segment")]
    pub account: String,
    /// The account hash in delivery URLs.
    #[serde(deserialize_with = "values::path_segment")]
    pub hash: String,
    /// Whether several processes share the bucket.
    pub replicas: bool,
    /// The folder of the index.
    #[serde(deserialize_with = "values::folder")]
    pub index: PathBuf,
    /// The longest time that a record is used without asking the bucket again, where there are replicas.
    pub record_ttl: Seconds,
    /// The largest upload.
    #[serde(deserialize_with = "above_zero")]
    pub upload_bytes: ByteSize,
    /// The longest side of an uploaded picture, in pixels.
    pub upload_side: NonZeroU32,
    /// The largest animation that is accepted, in pixels of all its frames.
    pub upload_animation_pixels: u64,
    /// The formats that are accepted, by their names in [`Config::FORMATS`]; empty: all that this build can read.
    #[serde(deserialize_with = "values::formats")]
    pub formats: Vec<String>,
    /// How an upload is looked at before it is stored.
    pub verify: Verify,
    /// The hosts on which delivery URLs begin with the account hash.
    #[serde(deserialize_with = "values::hosts")]
    pub delivery_hosts: Vec<String>,
    /// The variants that are made as soon as an image is uploaded.
    #[serde(deserialize_with = "values::variants")]
    pub eager: Vec<String>,
    /// For which clients they are made, by the best format that these accept.
    pub eager_formats: Vec<EagerFormat>,
    /// From whose uploads metadata such as GPS positions is taken out.
    pub strip: Strip,
    /// Whether the uploaded file of a public image is sent to everybody, as the variant `original`.
    pub original_variant: bool,
    /// Whether delivery URLs may hold options in place of the name of a variant, until the API says otherwise.
    pub flexible_variants: bool,
    /// The scheme and host of URLs in answers of the API; empty: those of the request.
    pub public_url: PublicUrl,
    /// The fewest bytes of an upload in each second; a slower one is refused after ten seconds.
    #[serde(deserialize_with = "values::pace")]
    pub upload_rate: ByteSize,
    /// Origins of pages whose scripts may use upload URLs; `*`: all.
    #[serde(deserialize_with = "values::origins")]
    pub upload_origins: Vec<String>,
    /// Whether an image keeps its name when it becomes private or public, and may have a name of its own while it is private.
    pub private_keeps_id: bool,
    /// Where images come from that are uploaded by their URL.
    pub fetch: FetchConfig,
    /// Who may use the API.
    pub token: Vec<TokenConfig>,
    /// Who is told what happens to images.
    pub webhook: Vec<WebhookConfig>,
}

/// Section `[hosted.fetch]`: images that are uploaded by their URL.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FetchConfig {
    /// The origins that they may come from; empty: all.
    pub allowed: Vec<OriginPattern>,
}

/// The scheme and host of URLs, without a slash at its end; empty where the request tells them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct PublicUrl(String);

impl PublicUrl {
    /// The text, if there is one.
    pub fn as_str(&self) -> Option<&str> {
        (!self.0.is_empty()).then_some(self.0.as_str())
    }
}

/// A text that is no scheme and host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrlError(String);

impl fmt::Display for PublicUrlError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "`public_url` must be a scheme and a host as in `https://img.example.com`, or empty, got `{}`",
            self.0
        )
    }
}

impl std::error::Error for PublicUrlError {}

impl TryFrom<String> for PublicUrl {
    type Error = PublicUrlError;

    fn try_from(text: String) -> Result<Self, PublicUrlError> {
        if text.is_empty() {
            return Ok(PublicUrl(text));
        }
        let url = url::Url::parse(&text).map_err(|_| PublicUrlError(text.clone()))?;
        let is_fine = matches!(url.scheme(), "http" | "https")
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
            && url.path() == "/";
        is_fine
            .then(|| PublicUrl(url.as_str().trim_end_matches('/').to_owned()))
            .ok_or(PublicUrlError(text))
    }
}

impl Default for Config {
    fn default() -> Self {
        Config {
            store: Store::Off,
            account: "main".to_owned(),
            hash: "main".to_owned(),
            replicas: false,
            index: PathBuf::from("hosted-index"),
            record_ttl: Seconds::new(10),
            upload_bytes: ByteSize::mib(20),
            upload_side: NonZeroU32::new(12_000).unwrap_or(NonZeroU32::MIN),
            upload_animation_pixels: 100_000_000,
            formats: Vec::new(),
            verify: Verify::Decode,
            delivery_hosts: Vec::new(),
            eager: Vec::new(),
            eager_formats: vec![
                EagerFormat::Avif,
                EagerFormat::Webp,
                EagerFormat::Jpeg,
                EagerFormat::Jxl,
            ],
            strip: Strip::Creators,
            original_variant: false,
            flexible_variants: false,
            public_url: PublicUrl::default(),
            upload_rate: ByteSize::new(1024),
            upload_origins: vec!["*".to_owned()],
            private_keeps_id: true,
            fetch: FetchConfig::default(),
            token: Vec::new(),
            webhook: Vec::new(),
        }
    }
}

impl Config {
    /// The names of formats that uploads may have.
    pub const FORMATS: [&str; 13] = values::FORMATS;
}

/// From whose uploads metadata is taken out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Strip {
    /// From nobody's.
    Nobody,
    /// From those of creators, who upload with a URL that is valid once.
    #[default]
    Creators,
    /// From everybody's.
    Everybody,
}

/// Kinds of clients, by the best format that they accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EagerFormat {
    /// Today's browsers; in the end they may get an AVIF.
    Jxl,
    /// Browsers of some years.
    Avif,
    /// Older browsers.
    Webp,
    /// All others; they get PNG for what is transparent, and GIF for what moves.
    Jpeg,
}

impl EagerFormat {
    /// Its name in the settings.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            EagerFormat::Jxl => "jxl",
            EagerFormat::Avif => "avif",
            EagerFormat::Webp => "webp",
            EagerFormat::Jpeg => "jpeg",
        }
    }
}

/// How an upload is looked at before it is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verify {
    /// All of it is decoded.
    #[default]
    Decode,
    /// Its header is read.
    Header,
}

#[cfg(test)]
mod tests {
    use super::PublicUrl;

    #[test]
    fn a_public_url_is_a_scheme_and_a_host() {
        let read = |text: &str| PublicUrl::try_from(text.to_owned());
        for (text, told) in [
            ("https://img.test", Some("https://img.test")),
            ("http://Img.test:8080/", Some("http://img.test:8080")),
            ("", None),
        ] {
            assert_eq!(read(text).expect(text).as_str(), told);
        }
        for text in [
            "img.test",
            "ftp://img.test",
            "https://img.test/a",
            "https://u:p@img.test",
            "https://img.test/?a",
            "https://img.test/#a",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}

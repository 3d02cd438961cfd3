//! Section `[hosted]` of the settings.

use std::fmt;
use std::num::NonZeroU32;
use std::path::PathBuf;

use serde::{Deserialize, Deserializer, de};

use crate::hosted::webhook::WebhookConfig;
use crate::policy::OriginPattern;
use crate::token::Token;
use crate::units::{ByteSize, Seconds};

/// Section `[hosted]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where hosted images are kept.
    pub store: Store,
    /// The account in the paths of the API.
    pub account: String,
    /// The account hash in delivery URLs.
    pub hash: String,
    /// Whether several processes share the bucket.
    pub replicas: bool,
    /// The folder of the index.
    pub index: PathBuf,
    /// The longest time that a record is used without asking the bucket again, where there are replicas.
    pub record_ttl: Seconds,
    /// The largest upload.
    pub upload_bytes: ByteSize,
    /// The longest side of an uploaded picture, in pixels.
    pub upload_side: NonZeroU32,
    /// The largest animation that is accepted, in pixels of all its frames.
    pub upload_animation_pixels: u64,
    /// The formats that are accepted, by their names in [`Config::FORMATS`]; empty: all that this build can read.
    #[serde(deserialize_with = "formats")]
    pub formats: Vec<String>,
    /// How an upload is looked at before it is stored.
    pub verify: Verify,
    /// The hosts on which delivery URLs begin with the account hash.
    pub delivery_hosts: Vec<String>,
    /// The variants that are made as soon as an image is uploaded.
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
    pub upload_rate: ByteSize,
    /// Origins of pages whose scripts may use upload URLs; `*`: all.
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

/// A `[[hosted.token]]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TokenConfig {
    /// The token.
    pub token: Token,
    /// A file with the token, in its place.
    pub token_file: Option<PathBuf>,
    /// What it allows.
    pub rights: Rights,
    /// The creators whose images it is for; empty: all images, and the settings of the account.
    pub creators: Vec<String>,
}

/// What a token allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rights {
    /// To look.
    Read,
    /// To change things, and to look.
    #[default]
    Write,
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
    pub const FORMATS: [&str; 13] = [
        "jpeg", "png", "webp", "gif", "avif", "heic", "svg", "jxl", "tiff", "bmp", "ico", "pnm",
        "qoi",
    ];
}

/// Reads names of formats.
fn formats<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<String>, D::Error> {
    let names = Vec::<String>::deserialize(input)?;
    match names
        .iter()
        .find(|name| !Config::FORMATS.contains(&name.as_str()))
    {
        None => Ok(names),
        Some(name) => Err(de::Error::custom(format_args!(
            "must be some of {}, got `{name}`",
            Config::FORMATS.join(", ")
        ))),
    }
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

/// Where hosted images are kept: `file:DIR`, `bucket:NAME` or `bucket:NAME/PREFIX` in the settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Store {
    /// Nowhere: there are no hosted images.
    #[default]
    Off,
    /// In a folder of this machine.
    Folder(PathBuf),
    /// In a configured bucket.
    Bucket {
        /// The `name` of the `[[bucket]]`.
        name: String,
        /// What all keys begin with, without a slash at its end; may be empty.
        prefix: String,
    },
}

/// A text that names no store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreNameError(String);

impl fmt::Display for StoreNameError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "`store` must be `file:DIR`, `bucket:NAME` or `bucket:NAME/PREFIX`, or empty, got `{}`",
            self.0
        )
    }
}

impl std::error::Error for StoreNameError {}

impl TryFrom<String> for Store {
    type Error = StoreNameError;

    fn try_from(text: String) -> Result<Self, StoreNameError> {
        match text.split_once(':') {
            None if text.is_empty() => Ok(Store::Off),
            Some(("file", folder)) if !folder.is_empty() => {
                Ok(Store::Folder(PathBuf::from(folder)))
            }
            Some(("bucket", place)) => {
                let (name, prefix) = place.split_once('/').unwrap_or((place, ""));
                let prefix = prefix.trim_end_matches('/');
                if name.is_empty()
                    || prefix
                        .split('/')
                        .any(|segment| matches!(segment, "." | ".."))
                {
                    return Err(StoreNameError(text));
                }
                Ok(Store::Bucket {
                    name: name.to_owned(),
                    prefix: prefix.to_owned(),
                })
            }
            _ => Err(StoreNameError(text)),
        }
    }
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

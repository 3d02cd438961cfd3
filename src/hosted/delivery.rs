//! Delivery URLs: `/cdn-cgi/imagedelivery/HASH/ID/VARIANT`, and `/HASH/ID/VARIANT` on hosts of their own.

use std::fmt;

use percent_encoding::percent_decode_str;

use crate::hosted::error::HostedError;
use crate::hosted::signature::{SignatureError, SignedUrl};

/// What delivery URLs begin with on every host.
const PREFIX: &str = "/cdn-cgi/imagedelivery/";

/// What a delivery URL names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryUrl<'a> {
    /// The account hash.
    pub hash: &'a str,
    /// The name of the image, percent-decoded once.
    pub id: String,
    /// The name of a variant, or options, as it came.
    pub variant: &'a str,
    /// What a signature in the URL is about.
    pub signed: SignedUrl<'a>,
}

/// Why a delivery URL shows nothing.
#[derive(Debug)]
pub enum DeliveryError {
    /// It ends with the name of the image.
    NoVariant,
    /// The name of the image is not UTF-8.
    Text,
    /// It names another account.
    Hash,
    /// There is no variant of this name.
    UnknownVariant(String),
    /// It holds options, which are switched off.
    NoFlexibleVariants,
    /// The image needs a signature.
    Signature(SignatureError),
    /// The uploaded file is not for everybody.
    NoOriginal,
    /// There is no such image.
    NotFound,
    /// The record of the image cannot be read.
    Store(HostedError),
}

impl fmt::Display for DeliveryError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeliveryError::NoVariant => {
                out.write_str("the URL must end with a variant, as in `/public`")
            }
            DeliveryError::Text => out.write_str("the name of the image must be UTF-8"),
            DeliveryError::Hash => out.write_str("the account hash in the URL is wrong"),
            DeliveryError::UnknownVariant(name) => write!(
                out,
                "Image access denied: This account doesn't have variant with this name: `{name}`"
            ),
            DeliveryError::NoFlexibleVariants => out.write_str(
                "options in place of a variant are off: switch `flexible_variants` on, or name a variant",
            ),
            DeliveryError::Signature(error) => write!(out, "Image access denied: {error}"),
            DeliveryError::NoOriginal => out.write_str(
                "Image access denied: the uploaded file needs a signed URL, unless `hosted.original_variant` is on",
            ),
            DeliveryError::NotFound => out.write_str("Image not found"),
            DeliveryError::Store(error) => error.fmt(out),
        }
    }
}

impl std::error::Error for DeliveryError {}

impl<'a> DeliveryUrl<'a> {
    /// Whether a path is that of a delivery URL on every host.
    pub(crate) fn is_path(path: &str) -> bool {
        path.starts_with(PREFIX)
    }

    /// Reads path and query of a request. Where the path does not begin as delivery URLs do on every host, it begins with the hash.
    ///
    /// The last slash ends the name of the image, which may hold slashes itself; a variant holds none.
    ///
    /// # Errors
    /// [`DeliveryError::NoVariant`], [`DeliveryError::Text`], [`DeliveryError::NotFound`].
    pub(crate) fn parse(target: &'a str) -> Result<Self, DeliveryError> {
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target, None),
        };
        let start = match path.starts_with(PREFIX) {
            true => PREFIX.len() - 1,
            false => 0,
        };
        let from_hash = path.get(start..).unwrap_or_default();
        let rest = from_hash.strip_prefix('/').ok_or(DeliveryError::NotFound)?;
        let (hash, rest) = rest.split_once('/').ok_or(DeliveryError::NoVariant)?;
        let (id, variant) = rest.rsplit_once('/').ok_or(DeliveryError::NoVariant)?;
        if variant.is_empty() {
            return Err(DeliveryError::NoVariant);
        }
        let id = percent_decode_str(id).decode_utf8();
        Ok(DeliveryUrl {
            hash,
            id: id.map_err(|_| DeliveryError::Text)?.into_owned(),
            variant,
            signed: SignedUrl {
                path,
                from_hash,
                query,
            },
        })
    }

    /// Whether it holds options in place of the name of a variant.
    pub(crate) fn is_flexible(&self) -> bool {
        let variant = self.variant;
        variant.contains('=') || variant.contains("%3D") || variant.contains("%3d")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_slash_ends_the_name_of_the_image() {
        let parsed = |target| {
            let url = DeliveryUrl::parse(target).expect(target);
            let is_flexible = url.is_flexible();
            (url.hash, url.id, url.variant, is_flexible)
        };
        for (target, hash, id, variant, is_flexible) in [
            ("/h/a/public", "h", "a", "public", false),
            (
                "/cdn-cgi/imagedelivery/h/a/public",
                "h",
                "a",
                "public",
                false,
            ),
            (
                "/h/a/b/c.jpg/public?x=/y",
                "h",
                "a/b/c.jpg",
                "public",
                false,
            ),
            ("/h/a%2Fb/public", "h", "a/b", "public", false),
            ("/h/a%25b%20c%252F/public", "h", "a%b c%2F", "public", false),
            ("/h/a%zz/public", "h", "a%zz", "public", false),
            ("/h/%C3%A9/public", "h", "é", "public", false),
            ("/h/a/w=400,h=3", "h", "a", "w=400,h=3", true),
            ("/h/a/w%3D400", "h", "a", "w%3D400", true),
            ("/h//public", "h", "", "public", false),
            ("//a/public", "", "a", "public", false),
        ] {
            let expected = (hash, id.to_owned(), variant, is_flexible);
            assert_eq!(parsed(target), expected, "{target}");
        }
    }

    #[test]
    fn what_names_no_variant_or_no_text_is_refused() {
        for target in [
            "/",
            "/h",
            "/h/",
            "/h/a",
            "/h/a/",
            "/cdn-cgi/imagedelivery/",
            "/cdn-cgi/imagedelivery/h/a",
            "/h/a?x/public",
        ] {
            let refused = DeliveryUrl::parse(target).expect_err(target);
            assert!(matches!(refused, DeliveryError::NoVariant), "{target}");
        }
        let refused = DeliveryUrl::parse("/h/%ff/public").expect_err("it is not UTF-8");
        assert!(matches!(refused, DeliveryError::Text));
        assert!(DeliveryUrl::parse("*").is_err());
    }
}

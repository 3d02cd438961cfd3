//! Removes the metadata of originals while they pass. What comes out has other bytes than the object of the origin, so that it has no length, no
//! ranges, and an entity tag of its own.

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use futures_util::stream;
use futures_util::stream::BoxStream;
use hyper::HeaderMap;
use hyper::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG,
    HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, RANGE,
};

use crate::error::Error;
use crate::source::{FIRST_LOOK, LAST_LOOK, Original, SourceError};
use crate::transform::{HeadFormat, Stripper, TransformError, sniff_head};

/// The end of the entity tags of stripped content, where that of the origin is strong.
const OF_STRONG: &str = "-stripped\"";
/// The same where that of the origin is weak.
const OF_WEAK: &str = "-stripped-weak\"";

type Content = BoxStream<'static, Result<Bytes, SourceError>>;

/// Prepares the headers of a request for an original that will be stripped: entity tags become those of the origin. A tag or date from before
/// metadata was removed matches nothing. Content with a coding could not be read.
pub(super) fn prepare(headers: &mut HeaderMap) {
    for name in [RANGE, IF_RANGE, IF_MODIFIED_SINCE, ACCEPT_ENCODING] {
        headers.remove(name);
    }
    let lists = headers.get_all(IF_NONE_MATCH).iter();
    let tags: Vec<String> = lists
        .filter_map(|list| list.to_str().ok())
        .flat_map(tags_of_origin)
        .collect();
    headers.remove(IF_NONE_MATCH);
    if let (false, Ok(list)) = (tags.is_empty(), HeaderValue::try_from(tags.join(", "))) {
        headers.insert(IF_NONE_MATCH, list);
    }
}

/// The tags of the origin's content in a list of tags of stripped content, exactly as they came: some origins compare no more than the text.
fn tags_of_origin(list: &str) -> Vec<String> {
    if list.trim() == "*" {
        return vec!["*".to_owned()];
    }
    list.split(',')
        .filter_map(|tag| {
            let tag = tag.trim().strip_prefix("W/")?;
            let weak = tag.strip_suffix(OF_WEAK);
            weak.map(|tag| format!("W/{tag}\""))
                .or_else(|| Some(format!("{}\"", tag.strip_suffix(OF_STRONG)?)))
        })
        .collect()
}

/// The weak tag of the stripped content.
fn stripped_tag(tag: &HeaderValue) -> Option<HeaderValue> {
    let tag = tag.to_str().ok()?;
    let (opaque, suffix) = match tag.strip_prefix("W/") {
        Some(weak) => (weak, OF_WEAK),
        None => (tag, OF_STRONG),
    };
    HeaderValue::try_from(format!("W/{}{suffix}", opaque.strip_suffix('"')?)).ok()
}

/// An original without its metadata. What is no picture passes as it is.
///
/// # Errors
/// [`TransformError::MetadataStays`] for a picture whose metadata cannot be removed, and errors of the content before that is known.
pub(super) async fn strip(original: Original) -> Result<Original, Error> {
    let Original {
        status,
        mut headers,
        body,
        ..
    } = original;
    let tag = headers.remove(ETAG).as_ref().and_then(stripped_tag);
    if let Some(tag) = tag {
        headers.insert(ETAG, tag);
    }
    headers.remove(CONTENT_LENGTH);
    let hides_picture = headers.contains_key(CONTENT_ENCODING) && may_be_picture(&headers);
    if headers.contains_key(ACCEPT_RANGES) {
        headers.insert(ACCEPT_RANGES, HeaderValue::from_static("none"));
    }
    Ok(Original {
        status,
        headers,
        body: strip_content(body, hides_picture).await?,
        length: None,
    })
}

/// Whether the origin does not say that the content is something else than a picture.
fn may_be_picture(headers: &HeaderMap) -> bool {
    let media_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    media_type.is_none_or(|media_type| {
        media_type.starts_with(b"image/") || media_type.starts_with(b"application/octet-stream")
    })
}

/// `hides_picture`: a content coding may hide a picture, which must not pass.
async fn strip_content(mut content: Content, hides_picture: bool) -> Result<Content, Error> {
    let mut beginning = BytesMut::new();
    let mut head = HeadFormat::Unknown;
    for length in [FIRST_LOOK, LAST_LOOK] {
        let mut has_ended = false;
        while beginning.len() < length && !has_ended {
            match content.next().await.transpose()? {
                Some(piece) => beginning.extend_from_slice(&piece),
                None => has_ended = true,
            }
        }
        head = sniff_head(&beginning[..beginning.len().min(LAST_LOOK)]);
        if has_ended || head != HeadFormat::Unclear {
            break;
        }
    }
    let start = (!beginning.is_empty()).then(|| Ok(beginning.freeze()));
    let is_empty = start.is_none();
    let content = stream::iter(start).chain(content);
    let HeadFormat::Known(format) = head else {
        if hides_picture && !is_empty {
            return Err(TransformError::MetadataStays("content with a coding".to_owned()).into());
        }
        return Ok(content.boxed());
    };
    let stripper = Stripper::of(format)
        .ok_or_else(|| TransformError::MetadataStays(format.mime().to_owned()))?;
    let stripped = stream::try_unfold((content, stripper), async |(mut content, mut stripper)| {
        let mut kept = Vec::new();
        while let Some(piece) = content.next().await.transpose()? {
            stripper.push(&piece, &mut kept);
            if !kept.is_empty() {
                return Ok(Some((Bytes::from(kept), (content, stripper))));
            }
        }
        Ok(None)
    });
    Ok(stripped.fuse().boxed())
}

#[cfg(test)]
mod tests {
    use hyper::HeaderMap;
    use hyper::header::{ETAG, HeaderValue, IF_NONE_MATCH, RANGE};

    use super::prepare;
    use super::stripped_tag;
    use super::tags_of_origin;

    #[test]
    fn tags_go_to_the_origin_as_they_came() {
        for tag in ["\"a\"", "W/\"a\""] {
            let stripped = stripped_tag(&HeaderValue::from_static(tag)).expect("a tag");
            let stripped = stripped.to_str().expect("ASCII");
            assert!(stripped.starts_with("W/"));
            assert_eq!(tags_of_origin(stripped), [tag]);
        }
        for (of_client, of_origin) in [
            ("W/\"a-stripped\"", Some("\"a\"")),
            ("W/\"a-stripped-weak\"", Some("W/\"a\"")),
            // From before metadata was removed.
            ("\"a\"", None),
            ("W/\"a\"", None),
            ("*", Some("*")),
            (
                "\"x\", W/\"a-stripped\",W/\"b-stripped\"",
                Some("\"a\", \"b\""),
            ),
        ] {
            let mut headers = HeaderMap::from_iter([
                (IF_NONE_MATCH, HeaderValue::from_static(of_client)),
                (RANGE, HeaderValue::from_static("bytes=0-")),
            ]);
            prepare(&mut headers);
            let condition = headers.get(IF_NONE_MATCH);
            assert_eq!(
                condition.map(HeaderValue::as_bytes),
                of_origin.map(str::as_bytes)
            );
            assert!(!headers.contains_key(RANGE) && !headers.contains_key(ETAG));
        }
        assert_eq!(stripped_tag(&HeaderValue::from_static("no-quotes")), None);
    }
}

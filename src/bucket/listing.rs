//! Parses the answer to ListObjectsV2. Keys are kept as they are, with all of their slashes and spaces.

use std::fmt;
use std::time::SystemTime;

use chrono::DateTime;
use quick_xml::Reader;
use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::{BytesRef, Event};

/// A page of a list of objects.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// The objects, in the order of the bucket.
    pub objects: Vec<ListedObject>,
    /// What keys with a delimiter begin with, up to that delimiter.
    pub folders: Vec<String>,
    /// Where the next page begins; `None` on the last one.
    pub next: Option<String>,
}

/// An object in a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListedObject {
    /// Its key.
    pub key: String,
    /// Its entity tag, with its quotes; empty if the bucket does not tell it.
    pub etag: String,
    /// Its length in bytes.
    pub size: Option<u64>,
    /// When it was stored.
    pub modified: Option<SystemTime>,
}

/// Why an answer is no list of objects.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ListingError {
    /// The message of the XML parser.
    Xml(String),
    /// It ends early.
    Unclosed,
    /// The root is another element.
    Root,
}

impl fmt::Display for ListingError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListingError::Xml(reason) => write!(out, "the list of objects is not XML: {reason}"),
            ListingError::Unclosed => out.write_str("the list of objects ends early"),
            ListingError::Root => out.write_str("the answer is not a list of objects"),
        }
    }
}

impl std::error::Error for ListingError {}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Element {
    Root,
    Contents,
    Key,
    Size,
    Etag,
    Modified,
    CommonPrefixes,
    Prefix,
    Next,
    Other,
}

impl Element {
    fn of(within: &[Element], name: &[u8]) -> Result<Self, ListingError> {
        Ok(match (within, name) {
            ([], b"ListBucketResult") => Element::Root,
            ([], _) => return Err(ListingError::Root),
            ([Element::Root], b"Contents") => Element::Contents,
            ([Element::Root, Element::Contents], b"Key") => Element::Key,
            ([Element::Root, Element::Contents], b"Size") => Element::Size,
            ([Element::Root], b"CommonPrefixes") => Element::CommonPrefixes,
            ([Element::Root, Element::CommonPrefixes], b"Prefix") => Element::Prefix,
            ([Element::Root, Element::Contents], b"ETag") => Element::Etag,
            ([Element::Root, Element::Contents], b"LastModified") => Element::Modified,
            ([Element::Root], b"NextContinuationToken") => Element::Next,
            _ => Element::Other,
        })
    }
}

impl Listing {
    /// Parses the document.
    ///
    /// # Errors
    /// [`ListingError`].
    pub(super) fn parse(document: &[u8]) -> Result<Self, ListingError> {
        let mut reader = Reader::from_reader(document);
        let mut listing = Listing::default();
        let mut open: Vec<Element> = Vec::new();
        let mut has_root = false;
        let mut text = String::new();
        let mut object = ListedObject::default();
        loop {
            match reader.read_event().map_err(xml)? {
                Event::Start(start) => {
                    let element = Element::of(&open, start.local_name().as_ref())?;
                    if element == Element::Contents {
                        object = ListedObject::default();
                    }
                    open.push(element);
                    has_root = true;
                    text.clear();
                }
                Event::Empty(empty) => {
                    Element::of(&open, empty.local_name().as_ref())?;
                    has_root = true;
                }
                Event::End(_) => match open.pop() {
                    Some(Element::Key) => object.key = std::mem::take(&mut text),
                    Some(Element::Size) => object.size = text.trim().parse().ok(),
                    Some(Element::Prefix) => listing.folders.push(std::mem::take(&mut text)),
                    Some(Element::Etag) => object.etag = std::mem::take(&mut text),
                    Some(Element::Modified) => object.modified = time(&text),
                    Some(Element::Contents) if object.key.is_empty() => {}
                    Some(Element::Contents) => listing.objects.push(std::mem::take(&mut object)),
                    Some(Element::Next) => listing.next = Some(std::mem::take(&mut text)),
                    Some(Element::Root | Element::CommonPrefixes | Element::Other) | None => {}
                },
                Event::Text(part) => text += &part.decode().map_err(xml)?,
                Event::CData(part) => text += &part.decode().map_err(xml)?,
                Event::GeneralRef(reference) => text.push(character(&reference)?),
                Event::Eof => break,
                _ => {}
            }
        }
        if !open.is_empty() {
            return Err(ListingError::Unclosed);
        }
        if !has_root {
            return Err(ListingError::Root);
        }
        Ok(listing)
    }
}

/// The character of a reference `&…;`: a number, or one of the five entities of XML.
fn character(reference: &BytesRef<'_>) -> Result<char, ListingError> {
    if let Some(character) = reference.resolve_char_ref().map_err(xml)? {
        return Ok(character);
    }
    let name = reference.decode().map_err(xml)?;
    resolve_xml_entity(&name)
        .and_then(|text| text.chars().next())
        .ok_or_else(|| ListingError::Xml("it uses an entity of its own".to_owned()))
}

/// The time of a text as in `2026-11-28T10:00:00.000Z`.
fn time(text: &str) -> Option<SystemTime> {
    DateTime::parse_from_rfc3339(text.trim())
        .ok()
        .map(SystemTime::from)
}

fn xml(error: impl fmt::Display) -> ListingError {
    ListingError::Xml(error.to_string())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use proptest::prelude::any;
    use proptest::proptest;

    use super::{Listing, ListingError};

    const PAGE: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
        <ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\n\
          <Name>b</Name><Prefix>Key</Prefix><IsTruncated>true</IsTruncated>\n\
          <Contents><Key>/lead.png</Key><Size>1</Size></Contents>\n\
          <Contents><Owner><Key>no key</Key></Owner><Key>b//c.png</Key></Contents>\n\
          <Contents><Key>trail/</Key><ETag>&quot;1&quot;</ETag><LastModified>1970-01-01T00:00:01.000Z</LastModified></Contents>\n\
          <Contents><Key> a&amp;b&lt;&#x20;&#228;&#x1; </Key></Contents>\n\
          <Contents><Key><![CDATA[c&d]]></Key></Contents>\n\
          <CommonPrefixes><Prefix>x/</Prefix></CommonPrefixes>\n\
          <NextContinuationToken>t&amp;+=</NextContinuationToken>\n\
        </ListBucketResult>";

    #[test]
    fn keys_are_kept_as_they_are() {
        let listing = Listing::parse(PAGE.as_bytes()).expect("a list");
        let keys: Vec<_> = listing.objects.iter().map(|object| &object.key).collect();
        assert_eq!(
            keys,
            [
                "/lead.png",
                "b//c.png",
                "trail/",
                " a&b< \u{e4}\u{1} ",
                "c&d"
            ]
        );
        assert_eq!(listing.next.as_deref(), Some("t&+="));
        assert_eq!(listing.folders, ["x/"]);
        let sizes: Vec<_> = listing.objects.iter().map(|object| object.size).collect();
        assert_eq!(sizes, [Some(1), None, None, None, None]);
        let second = UNIX_EPOCH + Duration::from_secs(1);
        let known: Vec<_> = listing
            .objects
            .iter()
            .filter(|object| !object.etag.is_empty())
            .map(|object| (object.etag.as_str(), object.modified))
            .collect();
        assert_eq!(known, [("\"1\"", Some(second))]);
    }

    #[test]
    fn a_list_may_be_empty_and_must_be_one() {
        for empty in [
            "<ListBucketResult/>",
            "<ListBucketResult></ListBucketResult>",
        ] {
            assert_eq!(Listing::parse(empty.as_bytes()), Ok(Listing::default()));
        }
        for (text, error) in [
            ("", ListingError::Root),
            ("hello", ListingError::Root),
            (
                "<html><Contents><Key>a</Key></Contents></html>",
                ListingError::Root,
            ),
            (
                "<ListBucketResult><Contents><Key>a</Key>",
                ListingError::Unclosed,
            ),
        ] {
            assert_eq!(Listing::parse(text.as_bytes()), Err(error), "{text}");
        }
        for text in [
            "<ListBucketResult><Contents></ListBucketResult>",
            "<ListBucketResult>&mine;</ListBucketResult>",
            "<ListBucketResult>&#0;</ListBucketResult>",
        ] {
            let error = Listing::parse(text.as_bytes()).expect_err(text);
            assert!(matches!(error, ListingError::Xml(_)), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(bytes in any::<Vec<u8>>(), at in 0..PAGE.len()) {
            let _ = Listing::parse(&bytes);
            let mut page = PAGE.as_bytes().to_vec();
            page.splice(at..at, bytes);
            let _ = Listing::parse(&page);
            let _ = Listing::parse(&PAGE.as_bytes()[..at]);
        }
    }
}

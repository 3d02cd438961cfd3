//! The form of an entry in the bucket: the header that it also has on disk, a checksum of the body, the body. Another replica may have written it
//! wrongly or only in part, so everything is verified.

use bytes::Bytes;

use crate::cache::blocking;
use crate::cache::entry::{EntryKey, HEADER_LEN};

/// The length of a BLAKE3 hash.
const CHECKSUM_LEN: usize = 32;

/// The length of everything before the body.
pub(crate) const PREFIX_LEN: usize = HEADER_LEN + CHECKSUM_LEN;

/// What comes before `head` and `body` in the object.
pub(crate) async fn seal(key: EntryKey, head: &Bytes, body: &Bytes) -> Bytes {
    let (head, body) = (head.clone(), body.clone());
    let length = head.len() + body.len();
    blocking::hash(length, move || {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&head).update(&body);
        let mut seal = key.header(length as u64).to_vec();
        seal.extend_from_slice(hasher.finalize().as_bytes());
        Bytes::from(seal)
    })
    .await
}

/// The body, if the object is whole and belongs to this key.
pub(crate) async fn open(key: EntryKey, content: Bytes) -> Option<Bytes> {
    let body = content.get(PREFIX_LEN..)?;
    if content[..HEADER_LEN] != key.header(body.len() as u64) {
        return None;
    }
    blocking::hash(content.len(), move || {
        let body = content.slice(PREFIX_LEN..);
        let is_whole = blake3::hash(&body).as_bytes() == &content[HEADER_LEN..PREFIX_LEN];
        is_whole.then_some(body)
    })
    .await
}

/// The first bytes of the body, from the beginning of an object of this length, if the object belongs to this key.
pub(crate) fn begin(key: EntryKey, beginning: &Bytes, length: u64) -> Option<Bytes> {
    let body = length.checked_sub(PREFIX_LEN as u64)?;
    let is_ours = beginning.get(..HEADER_LEN)? == key.header(body);
    (is_ours && beginning.len() >= PREFIX_LEN).then(|| beginning.slice(PREFIX_LEN..))
}

#[cfg(test)]
mod tests {
    use super::Bytes;
    use super::EntryKey;
    use super::open;
    use super::seal;
    use crate::cache::RenditionKey;

    #[tokio::test]
    async fn any_changed_byte_and_any_truncation_is_refused() {
        let key = EntryKey::rendition(RenditionKey::numbered(1));
        let (head, body) = (Bytes::from_static(b"head"), Bytes::from_static(b"body"));
        let mut content = seal(key, &head, &body).await.to_vec();
        content.extend_from_slice(b"headbody");
        let opened = open(key, Bytes::from(content.clone())).await;
        assert_eq!(opened, Some(Bytes::from_static(b"headbody")));
        let other = EntryKey::rendition(RenditionKey::numbered(2));
        assert_eq!(open(other, Bytes::from(content.clone())).await, None);
        for position in 0..content.len() {
            let mut touched = content.clone();
            touched[position] ^= 1;
            assert_eq!(open(key, Bytes::from(touched)).await, None, "{position}");
            let cut = Bytes::copy_from_slice(&content[..position]);
            assert_eq!(open(key, cut).await, None, "{position} bytes");
        }
    }

    #[tokio::test]
    async fn a_long_body_is_verified_too() {
        let key = EntryKey::rendition(RenditionKey::numbered(1));
        let body = Bytes::from(vec![7; 512 << 10]);
        let mut content = seal(key, &Bytes::new(), &body).await.to_vec();
        content.extend_from_slice(&body);
        let opened = open(key, Bytes::from(content.clone())).await;
        assert_eq!(opened, Some(body));
        content[256 << 10] ^= 1;
        assert_eq!(open(key, Bytes::from(content)).await, None);
    }
}

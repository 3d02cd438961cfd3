//! How one entry lies in the bucket: the header that it has on disk, a checksum of the body, the body. What others wrote is not trusted to be whole,
//! nor to be what its name says.

use bytes::Bytes;

use crate::cache::blocking;
use crate::cache::entry::EntryKey;
use crate::cache::entry::HEADER;

/// blake3.
const CHECKSUM: usize = 32;

/// What precedes the body, in bytes.
pub(crate) const SEAL: usize = HEADER + CHECKSUM;

/// Bodies up to this length, in bytes, are hashed where they are; longer ones on a thread of their own.
const HASHED_AT_ONCE: usize = 256 << 10;

/// What is to precede `head` and `body`.
pub(crate) async fn seal(key: EntryKey, head: &Bytes, body: &Bytes) -> Bytes {
    let (head, body) = (head.clone(), body.clone());
    let length = head.len() + body.len();
    at_leisure(length, move || {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&head).update(&body);
        let mut seal = key.header(length as u64).to_vec();
        seal.extend_from_slice(hasher.finalize().as_bytes());
        Bytes::from(seal)
    })
    .await
}

/// The body of an entry, if it is of this key and whole.
pub(crate) async fn open(key: EntryKey, content: Bytes) -> Option<Bytes> {
    let body = content.get(SEAL..)?;
    if content[..HEADER] != key.header(body.len() as u64) {
        return None;
    }
    at_leisure(content.len(), move || {
        let body = content.slice(SEAL..);
        let is_whole = blake3::hash(&body).as_bytes() == &content[HEADER..SEAL];
        is_whole.then_some(body)
    })
    .await
}

/// What there is of the body in the beginning of an object of this length, if it is of this key.
pub(crate) fn begin(key: EntryKey, beginning: &Bytes, length: u64) -> Option<Bytes> {
    let body = length.checked_sub(SEAL as u64)?;
    let is_ours = beginning.get(..HEADER)? == key.header(body);
    (is_ours && beginning.len() >= SEAL).then(|| beginning.slice(SEAL..))
}

async fn at_leisure<T: Send + 'static>(
    length: usize,
    work: impl Fn() -> T + Clone + Send + 'static,
) -> T {
    if length > HASHED_AT_ONCE
        && let Some(done) = blocking(work.clone()).await
    {
        return done;
    }
    work()
}

#[cfg(test)]
mod tests {
    use super::Bytes;
    use super::EntryKey;
    use super::HASHED_AT_ONCE;
    use super::open;
    use super::seal;
    use crate::cache::RenditionKey;

    #[tokio::test]
    async fn what_is_sealed_opens_and_what_was_touched_does_not() {
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
    async fn a_long_one_is_no_different() {
        let key = EntryKey::rendition(RenditionKey::numbered(1));
        let body = Bytes::from(vec![7; 2 * HASHED_AT_ONCE]);
        let mut content = seal(key, &Bytes::new(), &body).await.to_vec();
        content.extend_from_slice(&body);
        let opened = open(key, Bytes::from(content.clone())).await;
        assert_eq!(opened, Some(body));
        content[HASHED_AT_ONCE] ^= 1;
        assert_eq!(open(key, Bytes::from(content)).await, None);
    }
}

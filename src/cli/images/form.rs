//! The form of an upload: fields, and a file that is read while it is sent.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::ready;
use futures_util::stream;
use reqwest::Body;
use tokio::fs::File;
use tokio::io::AsyncReadExt;

/// How much of a file is read at once.
const PIECE: usize = 64 << 10;

/// The form of an upload.
#[derive(Debug)]
pub(super) struct UploadForm {
    /// The fields, without the file.
    pub fields: Vec<(&'static str, String)>,
    /// The name of the file for the server.
    pub filename: String,
    /// The file.
    pub path: PathBuf,
}

/// A form, ready to be sent once.
pub(super) struct EncodedForm {
    pub body: Body,
    pub length: u64,
    pub content_type: String,
}

impl UploadForm {
    /// Opens the file. What is sent of it is added to `sent`.
    pub(super) async fn encode(&self, sent: Arc<AtomicU64>) -> std::io::Result<EncodedForm> {
        let boundary = format!("safelight-{}", ulid::Ulid::generate());
        let file = File::open(&self.path).await?;
        let bytes = file.metadata().await?.len();
        let head = Bytes::from(self.head(&boundary));
        let tail = Bytes::from(format!("\r\n--{boundary}--\r\n"));
        let length = head.len() as u64 + bytes + tail.len() as u64;
        let content = stream::try_unfold(file, move |mut file| {
            let sent = Arc::clone(&sent);
            async move {
                let mut piece = vec![0; PIECE];
                let read = file.read(&mut piece).await?;
                piece.truncate(read);
                sent.fetch_add(read as u64, Ordering::Relaxed);
                std::io::Result::Ok((read > 0).then(|| (Bytes::from(piece), file)))
            }
        });
        let head = stream::once(ready(std::io::Result::Ok(head)));
        let tail = stream::once(ready(std::io::Result::Ok(tail)));
        Ok(EncodedForm {
            body: Body::wrap_stream(head.chain(content).chain(tail)),
            length,
            content_type: format!("multipart/form-data; boundary={boundary}"),
        })
    }

    fn head(&self, boundary: &str) -> String {
        let mut head = String::new();
        for (name, value) in &self.fields {
            head += &format!(
                "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
            );
        }
        let filename = quoted(&self.filename);
        // Cloudflare believes this type and not the bytes.
        let media_type = media_type(&self.filename, &self.path);
        head + &format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{filename}\"\r\nContent-Type: {media_type}\r\n\r\n"
        )
    }
}

fn media_type(filename: &str, path: &Path) -> mime_guess::Mime {
    let of_name = mime_guess::from_path(filename).first();
    of_name.unwrap_or_else(|| mime_guess::from_path(path).first_or_octet_stream())
}

/// A file name as browsers write it in a form.
fn quoted(name: &str) -> String {
    name.replace('"', "%22")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::UploadForm;

    #[tokio::test]
    async fn a_form_has_the_length_that_it_says() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x");
        std::fs::write(&path, vec![7; 200_000]).expect("a file");
        let form = UploadForm {
            fields: vec![("id", "é \"x\"".to_owned())],
            filename: "a\"b\r\n.jpg".to_owned(),
            path,
        };
        let sent = Arc::new(AtomicU64::new(0));
        let encoded = form.encode(Arc::clone(&sent)).await.expect("a form");
        let bytes = http_body_util::BodyExt::collect(encoded.body).await;
        let bytes = bytes.expect("a body").to_bytes();
        assert_eq!(bytes.len() as u64, encoded.length);
        assert_eq!(sent.load(Ordering::Relaxed), 200_000);
        let text = String::from_utf8_lossy(&bytes);
        assert!(text.contains("filename=\"a%22b%0D%0A.jpg\"\r\nContent-Type: image/jpeg\r\n\r\n"));
        assert!(text.contains("name=\"id\"\r\n\r\né \"x\"\r\n"));
    }
}

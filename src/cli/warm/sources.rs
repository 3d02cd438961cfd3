//! Collects the sources of the command line, of lists, of sitemaps and of buckets, in this order and without duplicates.

use std::collections::{HashSet, VecDeque};
use std::fs::File;
use std::io;
use std::io::Read;
use std::time::Duration;

use clap::Args;
use flate2::read::MultiGzDecoder;
use reqwest::Client;
use url::Url;

use super::lists;
use super::sitemap;
use crate::bucket::{Bucket, Timeouts};
use crate::cli::error::CommandError;
use crate::cli::extensions::is_picture_path;
use crate::config::Config;
use crate::outbound;
use crate::outbound::{USER_AGENT, root_cause};
use crate::telemetry::redacted;

/// The most sources of one command.
const MAX_SOURCES: usize = 2_000_000;
/// The longest source, in bytes. A longer one would not fit into the head of a request.
const MAX_SOURCE_BYTES: usize = 8 << 10;
/// The longest list or sitemap, in bytes. The sitemap protocol has the same limit.
const MAX_FILE_BYTES: u64 = 50 << 20;
/// The most sitemaps that are read.
const MAX_SITEMAPS: usize = 10_000;
/// The deepest nesting of indexes.
const MAX_INDEX_DEPTH: usize = 3;
/// The longest that one sitemap may take.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The arguments that name sources. Each may be given several times.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(super) struct SourceArguments {
    /// Sources: URLs, paths of the zone, bucket:NAME/KEY, or URLs of their renditions.
    #[arg(value_name = "SOURCE")]
    source: Vec<String>,
    /// A file with a source on each line; `-` reads standard input.
    #[arg(long, value_name = "FILE")]
    file: Vec<String>,
    /// A sitemap or an index of sitemaps: each <image:loc>, and each <loc> with the extension of a picture.
    #[arg(long, value_name = "URL_OR_FILE")]
    sitemap: Vec<String>,
    /// A configured bucket, as in photos or photos/cats/: each key with the extension of a picture.
    #[arg(long, value_name = "NAME[/PREFIX]")]
    bucket: Vec<String>,
}

/// Sources without duplicates, in the order in which they are found.
#[derive(Default)]
struct SourceList {
    known: HashSet<String>,
    sources: Vec<String>,
}

impl SourceList {
    fn add(&mut self, source: String) -> Result<(), CommandError> {
        if source.len() > MAX_SOURCE_BYTES {
            let start: String = redacted(&source).chars().take(80).collect();
            return Err(CommandError::new(format!(
                "a source must be at most {MAX_SOURCE_BYTES} bytes long, got `{start}…`"
            )));
        }
        if self.sources.len() == MAX_SOURCES {
            return Err(CommandError::new(format!(
                "one command takes at most {MAX_SOURCES} sources: use several"
            )));
        }
        if self.known.insert(source.clone()) {
            self.sources.push(source);
        }
        Ok(())
    }
}

/// Collects the sources.
pub(super) async fn collect(
    arguments: &SourceArguments,
    config: &Config,
) -> Result<Vec<String>, CommandError> {
    let mut collected = SourceList::default();
    for source in &arguments.source {
        collected.add(source.clone())?;
    }
    for file in &arguments.file {
        let text = String::from_utf8(read_file(file)?)
            .map_err(|_| CommandError::new(format!("the list `{file}` must be UTF-8")))?;
        for line in lists::lines(&text) {
            collected.add(line.to_owned())?;
        }
    }
    if !arguments.sitemap.is_empty() {
        let client = client()?;
        for sitemap in &arguments.sitemap {
            follow(&client, sitemap, &mut collected).await?;
        }
    }
    for place in &arguments.bucket {
        list(place, config, &mut collected).await?;
    }
    Ok(collected.sources)
}

/// Reads a sitemap and the sitemaps that it names. An index may name sitemaps on its own host only, so that a hostile one cannot let this command read
/// other servers.
async fn follow(client: &Client, place: &str, into: &mut SourceList) -> Result<(), CommandError> {
    let mut seen = HashSet::from([place.to_owned()]);
    let mut queue = VecDeque::from([(place.to_owned(), 0)]);
    while let Some((place, depth)) = queue.pop_front() {
        let bad = |reason: &dyn std::fmt::Display| {
            CommandError::new(format!("the sitemap `{}`: {reason}", redacted(&place)))
        };
        let url = Url::parse(&place)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https"));
        let bytes = match &url {
            Some(url) => fetch(client, url).await.map_err(|reason| bad(&reason))?,
            None => read_file(&place)?,
        };
        let bytes = unpacked(bytes).map_err(|reason| bad(&reason))?;
        let found = sitemap::parse(&bytes).map_err(|error| bad(&error))?;
        for picture in found.pictures {
            into.add(picture)?;
        }
        for sitemap in found.sitemaps {
            let child = Url::parse(&sitemap)
                .ok()
                .filter(|child| matches!(child.scheme(), "http" | "https"))
                .ok_or_else(|| {
                    bad(&format!(
                        "names `{}`, which is not an http or https URL",
                        redacted(&sitemap)
                    ))
                })?;
            if let Some(url) = &url
                && child.host() != url.host()
            {
                return Err(bad(&format!(
                    "names `{}` on another host; if that is right, add a `--sitemap` for it",
                    redacted(&sitemap)
                )));
            }
            if depth == MAX_INDEX_DEPTH {
                return Err(bad(&format!(
                    "nests indexes more than {MAX_INDEX_DEPTH} deep"
                )));
            }
            if seen.insert(sitemap.clone()) {
                queue.push_back((sitemap, depth + 1));
            }
        }
        if seen.len() > MAX_SITEMAPS {
            return Err(bad(&format!("names more than {MAX_SITEMAPS} sitemaps")));
        }
    }
    Ok(())
}

fn client() -> Result<Client, CommandError> {
    outbound::client()
        .redirect(reqwest::redirect::Policy::limited(5))
        .timeout(TIMEOUT)
        .user_agent(USER_AGENT)
        .build()
        .map_err(CommandError::new)
}

async fn fetch(client: &Client, url: &Url) -> Result<Vec<u8>, String> {
    let unread =
        |error: reqwest::Error| format!("cannot be read: {}", root_cause(&error.without_url()));
    let sent = client.get(url.clone()).send().await;
    let mut answer = sent.map_err(unread)?;
    let status = answer.status().as_u16();
    if status != 200 {
        return Err(format!("the server answered with status {status}"));
    }
    let mut bytes = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(unread)? {
        bytes.extend_from_slice(&piece);
        check_length(&bytes)?;
    }
    Ok(bytes)
}

/// The content of a file, which may be gzip whatever its name or its headers say.
fn unpacked(bytes: Vec<u8>) -> Result<Vec<u8>, String> {
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return Ok(bytes);
    }
    let mut unpacked = Vec::new();
    MultiGzDecoder::new(bytes.as_slice())
        .take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut unpacked)
        .map_err(|error| format!("is damaged gzip: {error}"))?;
    check_length(&unpacked)?;
    Ok(unpacked)
}

/// Reads a file, or standard input for `-`.
pub(super) fn read_file(name: &str) -> Result<Vec<u8>, CommandError> {
    let unread = |reason: &dyn std::fmt::Display| {
        CommandError::new(format!("the file `{name}` cannot be read: {reason}"))
    };
    let mut bytes = Vec::new();
    let most = MAX_FILE_BYTES + 1;
    let read = match name {
        "-" => io::stdin().lock().take(most).read_to_end(&mut bytes),
        name => File::open(name).and_then(|file| file.take(most).read_to_end(&mut bytes)),
    };
    read.map_err(|error| unread(&error))?;
    check_length(&bytes).map_err(|reason| unread(&reason))?;
    Ok(bytes)
}

fn check_length(bytes: &[u8]) -> Result<(), String> {
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(format!("it must be at most {MAX_FILE_BYTES} bytes long"));
    }
    Ok(())
}

async fn list(place: &str, config: &Config, into: &mut SourceList) -> Result<(), CommandError> {
    let (name, prefix) = place.split_once('/').unwrap_or((place, ""));
    let found = config.bucket.iter().find(|bucket| bucket.name == name);
    let bucket = found.ok_or_else(|| {
        CommandError::new(format!(
            "`--bucket` must begin with the `name` of a [[bucket]] section, got `{place}`"
        ))
    })?;
    let timeouts = Timeouts {
        connect: config.fetch.connect_timeout.duration(),
        first_byte: config.fetch.first_byte_timeout.duration(),
        total: config.fetch.total_timeout.duration(),
    };
    let bucket = Bucket::open(bucket, timeouts).map_err(CommandError::new)?;
    let mut after: Option<String> = None;
    loop {
        let keys = bucket.list(prefix, after.as_deref()).await;
        let keys = keys.map_err(CommandError::new)?;
        // A service that ignores where to begin would otherwise be asked for ever.
        let next = keys
            .last()
            .cloned()
            .filter(|last| Some(last) > after.as_ref());
        let Some(last) = next else {
            return Ok(());
        };
        for key in keys {
            if is_picture_path(&key) && !key.chars().any(char::is_control) {
                into.add(format!("bucket:{name}/{key}"))?;
            }
        }
        after = Some(last);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::MAX_FILE_BYTES;
    use super::unpacked;

    fn packed(length: u64) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        let piece = [b'a'; 1 << 16];
        let mut left = length;
        while left > 0 {
            let part = left.min(1 << 16);
            let part = usize::try_from(part).expect("64 KiB");
            encoder.write_all(&piece[..part]).expect("memory");
            left -= part as u64;
        }
        encoder.finish().expect("memory")
    }

    #[test]
    fn gzip_is_known_by_its_first_bytes_and_limited() {
        assert_eq!(unpacked(b"<urlset/>".to_vec()), Ok(b"<urlset/>".to_vec()));
        assert_eq!(unpacked(packed(3)), Ok(b"aaa".to_vec()));
        let bomb = packed(MAX_FILE_BYTES + 1);
        assert!(bomb.len() < 1 << 20);
        let error = unpacked(bomb).expect_err("a bomb");
        assert!(error.contains("at most 52428800 bytes"), "{error}");
        let error = unpacked(packed(3)[..8].to_vec()).expect_err("a part");
        assert!(error.contains("damaged gzip"), "{error}");
    }
}

//! What operators want to be there before anybody asks, told in their words: a source, strings of options, and for which kinds of clients.

pub(crate) mod batch;
use std::fmt;
use std::sync::Arc;

use percent_encoding::utf8_percent_encode;

use crate::error::Error;
use crate::operator::prewarm::batch::WarmOutcome;
use crate::operator::purge::UNTYPED;
use crate::operator::purge::head_of;
use crate::operator::purge::host_and_target;
use crate::options::ParsedOptions;
use crate::pipeline::Pipeline;
use crate::policy::Job;
use crate::request::Accept;
use crate::request::ClientHints;
use crate::request::Dialect;
use crate::request::ImageRequest;
use crate::request::RequestError;
use crate::request::SourceRef;
use crate::request::SourceRefError;

/// The longest string of options that a message repeats, in characters.
const QUOTED: usize = 200;

/// Kinds of clients, by what they say that they can show: `format=auto` makes another picture for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Client {
    /// AVIF and WebP, as browsers do today.
    Avif,
    /// WebP, as browsers did before.
    Webp,
    /// Neither is named, as by crawlers, mail programs and previews of links.
    None,
}

impl Client {
    /// All of them.
    pub const ALL: [Client; 3] = [Client::Avif, Client::Webp, Client::None];
    /// Most browsers, and most of whatever is no browser.
    pub const USUAL: [Client; 2] = [Client::Avif, Client::None];

    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Client::Avif => "avif",
            Client::Webp => "webp",
            Client::None => "none",
        }
    }

    fn accept(self) -> Accept {
        let (avif, webp) = match self {
            Client::Avif => (true, true),
            Client::Webp => (false, true),
            Client::None => (false, false),
        };
        Accept { avif, webp }
    }
}

impl fmt::Display for Client {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.word())
    }
}

/// Which pictures are wanted of every source. All of them make sense.
#[derive(Clone, Debug)]
pub struct Presets {
    wanted: Vec<Preset>,
    host: Option<String>,
}

/// One picture that is wanted of every source.
#[derive(Clone, Debug)]
struct Preset {
    options: Arc<str>,
    client: Client,
    asked: ParsedOptions,
}

/// What came of one picture.
#[derive(Clone, Debug)]
pub struct WarmResult {
    /// The string of options.
    pub options: Arc<str>,
    /// For whom.
    pub client: Client,
    /// What came of it.
    pub result: WarmOutcome,
}

/// A source, as it was named.
enum NamedSource {
    Asked(SourceRef),
    /// An object of a configured bucket, the key as it is.
    Object {
        bucket: String,
        key: String,
    },
}

impl Pipeline {
    /// Understands strings of options, each for each kind of client. `host` is what clients call the zone.
    ///
    /// # Errors
    /// A sentence for each string with anything in it that does not count.
    pub fn presets(
        &self,
        options: &[String],
        clients: &[Client],
        host: Option<&str>,
    ) -> Result<Presets, Vec<String>> {
        let mut presets = Presets {
            wanted: Vec::new(),
            host: host.map(|host| host.trim_end_matches('.').to_ascii_lowercase()),
        };
        let mut wrong = Vec::new();
        for text in options {
            // As they would stand in a URL.
            let asked = ParsedOptions::parse(&utf8_percent_encode(text, UNTYPED).to_string());
            let reasons = asked.diagnostics();
            if !reasons.is_empty() {
                wrong.push(complaint(text, &reasons));
                continue;
            }
            let options: Arc<str> = text.as_str().into();
            for &client in clients {
                let wanted = Preset {
                    options: Arc::clone(&options),
                    client,
                    asked: asked.clone(),
                };
                // The path is any: options are judged alone.
                let request = presets.request(&wanted, SourceRef::Zone("/".to_owned()));
                if let Err(denied) = self.policy.recipe(&request) {
                    wrong.push(complaint(text, &denied));
                    break;
                }
                presets.wanted.push(wanted);
            }
        }
        if wrong.is_empty() {
            Ok(presets)
        } else {
            Err(wrong)
        }
    }

    /// Makes and keeps what is wanted of one source, named by a URL, by a path of the zone, by `bucket:NAME/KEY`, or by the URL of one of its
    /// renditions. See [`Pipeline::prepare`].
    pub async fn warm(self: &Arc<Self>, source: &str, presets: &Presets) -> Vec<WarmResult> {
        let jobs = match self.source_named(source) {
            Ok(named) => presets.jobs(self, &named),
            Err(error) => {
                let error = Arc::new(error);
                let failed = |_: &Preset| Err(Arc::clone(&error));
                presets.wanted.iter().map(failed).collect()
            }
        };
        let admitted: Vec<Job> = jobs.iter().flatten().cloned().collect();
        let mut prepared = self.prepare(&admitted).await.into_iter();
        let results = jobs.into_iter().map(|job| match job {
            // There is one for each job.
            Ok(_) => prepared.next().unwrap_or(WarmOutcome::Unstorable),
            Err(error) => WarmOutcome::Failed(error),
        });
        presets
            .wanted
            .iter()
            .zip(results)
            .map(|(wanted, result)| WarmResult {
                options: Arc::clone(&wanted.options),
                client: wanted.client,
                result,
            })
            .collect()
    }

    fn source_named(&self, text: &str) -> Result<NamedSource, Error> {
        if text.is_empty() {
            return Err(RequestError::NoSource.into());
        }
        if text.chars().any(char::is_control) {
            return Err(RequestError::Source(SourceRefError::Characters).into());
        }
        if let Some(object) = text.strip_prefix("bucket:") {
            let (bucket, key) = object.split_once('/').unwrap_or((object, ""));
            return Ok(NamedSource::Object {
                bucket: bucket.to_owned(),
                key: key.to_owned(),
            });
        }
        let text = text.strip_prefix("zone:").unwrap_or(text);
        let (host, target) = host_and_target(text);
        let path = target.split('?').next().unwrap_or_default();
        let source = if self.prefixes.is_image_path(path) {
            let malformed = || RequestError::Source(SourceRefError::Characters);
            let head = head_of(host, target, "").ok_or_else(malformed)?;
            ImageRequest::parse(&head, &self.prefixes)?.source
        } else {
            let encoded = utf8_percent_encode(text, UNTYPED).to_string();
            SourceRef::parse(&encoded).map_err(RequestError::Source)?
        };
        Ok(NamedSource::Asked(source))
    }
}

impl Presets {
    fn jobs(&self, pipeline: &Pipeline, named: &NamedSource) -> Vec<Result<Job, Arc<Error>>> {
        let job = |wanted: &Preset| match named {
            NamedSource::Asked(source) => {
                let request = self.request(wanted, source.clone());
                pipeline.policy.admit(&request).map_err(Error::from)
            }
            NamedSource::Object { bucket, key } => {
                let allowlist = pipeline.policy.allowlist();
                let source = allowlist.approve_key(bucket, key);
                let source = source.ok_or(RequestError::NotFound)?;
                let request = self.request(wanted, SourceRef::Zone("/".to_owned()));
                let job = pipeline.policy.admit_approved(&request, source);
                job.map_err(Error::from)
            }
        };
        let jobs = self.wanted.iter().map(job);
        jobs.map(|job| job.map_err(Arc::new)).collect()
    }

    /// What a client would ask that tells nothing of its screen.
    fn request(&self, wanted: &Preset, source: SourceRef) -> ImageRequest {
        ImageRequest {
            options: wanted.asked.clone(),
            source,
            accept: wanted.client.accept(),
            hints: ClientHints::default(),
            host: self.host.clone(),
            via_image_resizing: false,
            dialect: Dialect::Cloudflare,
        }
    }
}

fn complaint(options: &str, reason: &dyn fmt::Display) -> String {
    let quoted: String = options.chars().take(QUOTED).collect();
    format!("options `{quoted}`: {reason}")
}

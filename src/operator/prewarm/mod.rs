//! Prewarming: what operators ask for, namely sources, strings of options and kinds of clients, becomes jobs; `batch` renders them.

pub(crate) mod batch;

use std::fmt;
use std::sync::Arc;

use percent_encoding::utf8_percent_encode;

use crate::error::Error;
use crate::operator::prewarm::batch::WarmOutcome;
use crate::operator::purge::{UNTYPED, host_and_target, request_head};
use crate::options::ParsedOptions;
use crate::pipeline::Pipeline;
use crate::policy::Job;
use crate::request::{
    Accept, ClientHints, Dialect, ImageRequest, RequestError, RequestKeyRef, SourceRef,
    SourceRefError,
};

/// The longest string of options that a message quotes, in characters.
const QUOTED: usize = 200;

/// Kinds of clients, by the formats that they accept. With `format=auto` each kind gets a picture of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Client {
    /// Accepts JPEG XL, AVIF and WebP, as today's browsers do.
    Jxl,
    /// Accepts AVIF and WebP, as browsers of some years do.
    Avif,
    /// Accepts WebP, as older browsers do.
    Webp,
    /// Names none of them, as crawlers, mail programs and link previews do.
    None,
}

impl Client {
    /// All kinds.
    pub const ALL: [Client; 4] = [Client::Jxl, Client::Avif, Client::Webp, Client::None];
    /// The kinds of most browsers, and of most other clients.
    pub const USUAL: [Client; 3] = [Client::Jxl, Client::Avif, Client::None];

    /// The word for it in calls and reports.
    pub const fn word(self) -> &'static str {
        match self {
            Client::Jxl => "jxl",
            Client::Avif => "avif",
            Client::Webp => "webp",
            Client::None => "none",
        }
    }

    /// What its `Accept` header says.
    pub(crate) const fn accept_header(self) -> &'static str {
        match self {
            Client::Jxl => "image/jxl,image/avif,image/webp,image/*,*/*;q=0.8",
            Client::Avif => "image/avif,image/webp,image/*,*/*;q=0.8",
            Client::Webp => "image/webp,image/*,*/*;q=0.8",
            Client::None => "*/*",
        }
    }

    fn accept(self) -> Accept {
        let (jxl, avif, webp) = match self {
            Client::Jxl => (true, true, true),
            Client::Avif => (false, true, true),
            Client::Webp => (false, false, true),
            Client::None => (false, false, false),
        };
        Accept { jxl, avif, webp }
    }
}

impl fmt::Display for Client {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.word())
    }
}

/// The pictures that are wanted of every source. All have been parsed, and the policy admits their options.
#[derive(Clone, Debug)]
pub struct Presets {
    presets: Vec<Preset>,
    host: Option<String>,
}

/// One picture that is wanted of every source.
#[derive(Clone, Debug)]
struct Preset {
    options: Arc<str>,
    client: Client,
    parsed: ParsedOptions,
}

/// The outcome of one picture.
#[derive(Clone, Debug)]
pub struct WarmResult {
    /// The string of options.
    pub options: Arc<str>,
    /// The kind of client.
    pub client: Client,
    /// Whether it was made.
    pub result: WarmOutcome,
}

/// A source, as an operator names it.
enum NamedSource {
    /// As in a transformation URL.
    Ref(SourceRef),
    /// An object of a configured bucket, with its exact key.
    Object { bucket: String, key: String },
}

impl Pipeline {
    /// Parses strings of options, each for each kind of client. `host` is the host name of the zone in the requests of clients.
    ///
    /// # Errors
    /// One message for each string that has an error, or an option without effect.
    pub fn presets(
        &self,
        options: &[String],
        clients: &[Client],
        host: Option<&str>,
    ) -> Result<Presets, Vec<String>> {
        let mut presets = Presets {
            presets: Vec::new(),
            host: host.map(|host| host.trim_end_matches('.').to_ascii_lowercase()),
        };
        let mut errors = Vec::new();
        for text in options {
            // Encoded as in a URL.
            let parsed = ParsedOptions::parse(&utf8_percent_encode(text, UNTYPED).to_string());
            let diagnostics = parsed.diagnostics();
            if !diagnostics.is_empty() {
                errors.push(options_error(text, &diagnostics));
                continue;
            }
            let options: Arc<str> = text.as_str().into();
            for &client in clients {
                let preset = Preset {
                    options: Arc::clone(&options),
                    client,
                    parsed: parsed.clone(),
                };
                // Only the options are checked here, so any path will do.
                let request = presets.request(&preset, SourceRef::Zone("/".to_owned()));
                if let Err(denied) = self.policy.recipe(&request) {
                    errors.push(options_error(text, &denied));
                    break;
                }
                presets.presets.push(preset);
            }
        }
        if errors.is_empty() {
            Ok(presets)
        } else {
            Err(errors)
        }
    }

    /// Renders and caches the wanted pictures of one source. The source is named by its URL, by a path of the zone, by `bucket:NAME/KEY`, or by
    /// a transformation URL of it. See [`Pipeline::prepare`].
    pub async fn warm(self: &Arc<Self>, source: &str, presets: &Presets) -> Vec<WarmResult> {
        let jobs = match self.source_named(source) {
            Ok(named) => presets.jobs(self, &named),
            Err(error) => {
                let error = Arc::new(error);
                let failed = |_: &Preset| Err(Arc::clone(&error));
                presets.presets.iter().map(failed).collect()
            }
        };
        let admitted: Vec<Job> = jobs.iter().flatten().cloned().collect();
        let mut prepared = self.prepare(&admitted).await.into_iter();
        let results = jobs.into_iter().map(|job| match job {
            // `prepare` returns one outcome for each job, so there is always a next one.
            Ok(_) => prepared.next().unwrap_or(WarmOutcome::Unstorable),
            Err(error) => WarmOutcome::Failed(error),
        });
        let presets = presets.presets.iter();
        presets
            .zip(results)
            .map(|(preset, result)| WarmResult {
                options: Arc::clone(&preset.options),
                client: preset.client,
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
            let head = request_head(host, target, "").ok_or_else(malformed)?;
            ImageRequest::of(&RequestKeyRef::of(&head)?, &self.prefixes, &self.extensions)?.source
        } else {
            let encoded = utf8_percent_encode(text, UNTYPED).to_string();
            SourceRef::parse(&encoded).map_err(RequestError::Source)?
        };
        Ok(NamedSource::Ref(source))
    }
}

impl Presets {
    fn jobs(&self, pipeline: &Pipeline, named: &NamedSource) -> Vec<Result<Job, Arc<Error>>> {
        let job = |preset: &Preset| match named {
            NamedSource::Ref(source) => {
                let request = self.request(preset, source.clone());
                pipeline
                    .policy
                    .admit_operator(&request)
                    .map_err(Error::from)
            }
            NamedSource::Object { bucket, key } => {
                let allowlist = pipeline.policy.allowlist();
                let source = allowlist.approve_key(bucket, key);
                let source = source.ok_or(RequestError::NotFound)?;
                let request = self.request(preset, SourceRef::Zone("/".to_owned()));
                let job = pipeline.policy.admit_approved(&request, source);
                job.map_err(Error::from)
            }
        };
        let jobs = self.presets.iter().map(job);
        jobs.map(|job| job.map_err(Arc::new)).collect()
    }

    /// The request of a client that sends no client hints.
    fn request(&self, preset: &Preset, source: SourceRef) -> ImageRequest {
        ImageRequest {
            options: preset.parsed.clone(),
            chosen: None,
            signature: None,
            source,
            accept: preset.client.accept(),
            hints: ClientHints::default(),
            host: self.host.clone(),
            via_image_resizing: false,
            dialect: Dialect::Cloudflare,
        }
    }
}

fn options_error(options: &str, reason: &dyn fmt::Display) -> String {
    let quoted: String = options.chars().take(QUOTED).collect();
    format!("options `{quoted}`: {reason}")
}

//! Flows: rules by which plain URLs of pictures become requests for images, as if they were transformation URLs.

mod config;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use globset::{Candidate, GlobSet, GlobSetBuilder};
use percent_encoding::percent_decode_str;

pub use config::FlowConfig;

use crate::options::{OptionName, Options, ParsedOptions, Preset};
use crate::request::prefixes;
use crate::request::prefixes::Prefixes;
use crate::request::signature;
use crate::request::signature::UrlSignature;

/// The most globs of all flows together.
const MAX_GLOBS: usize = 1000;

/// All flows, in their order.
#[derive(Debug)]
pub(crate) struct Flows {
    flows: Vec<Arc<Flow>>,
    globs: GlobSet,
    /// The flow of each glob, by its place in `flows`.
    owners: Vec<usize>,
    /// Whether URLs may have signatures.
    reads_signatures: bool,
}

/// The query of a URL that a flow takes.
pub(super) struct FlowQuery<'a> {
    /// The options of the request.
    pub options: ParsedOptions,
    /// Those of them that the client chose.
    pub chosen: ParsedOptions,
    /// What is left for the source.
    pub rest: Cow<'a, str>,
}

/// One flow.
#[derive(Debug)]
pub(crate) struct Flow {
    name: Arc<str>,
    preset: Preset,
    query: Vec<(String, OptionName)>,
}

/// Why flows cannot be used as they are configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FlowError {
    /// More globs than can be matched in a short time.
    TooManyGlobs(usize),
    /// A glob that matches transformation URLs alone.
    TransformationUrls {
        /// The place of its flow in the list.
        flow: usize,
        /// The glob.
        glob: String,
    },
    /// Options that no request may have.
    Options {
        /// The place of its flow in the list.
        flow: usize,
        /// What is wrong with them.
        reason: String,
    },
    /// The globs cannot be matched together.
    Globs(String),
}

impl Flows {
    /// Joins the flows.
    ///
    /// # Errors
    /// [`FlowError`] names the setting.
    pub(crate) fn new(configs: &[FlowConfig], prefixes: &Prefixes) -> Result<Self, FlowError> {
        let mut builder = GlobSetBuilder::new();
        let mut owners = Vec::new();
        for (flow, config) in configs.iter().enumerate() {
            for glob in &config.paths.0 {
                if names_transformation_urls(glob.glob(), prefixes) {
                    let glob = glob.glob().to_owned();
                    return Err(FlowError::TransformationUrls { flow, glob });
                }
                builder.add(glob.clone());
                owners.push(flow);
            }
        }
        if owners.len() > MAX_GLOBS {
            return Err(FlowError::TooManyGlobs(owners.len()));
        }
        let globs = builder.build();
        Ok(Flows {
            flows: configs.iter().map(Flow::of).map(Arc::new).collect(),
            globs: globs.map_err(|error| FlowError::Globs(error.to_string()))?,
            owners,
            reads_signatures: false,
        })
    }

    /// The same where URLs may have signatures.
    pub(crate) fn with_signatures(mut self, reads_signatures: bool) -> Self {
        self.reads_signatures = reads_signatures;
        self
    }

    /// Splits the signature from the query of a URL.
    pub(super) fn split_signature<'a>(
        &self,
        target: &str,
        query: &'a str,
    ) -> (&'a str, Option<UrlSignature>) {
        match self.reads_signatures {
            true => signature::of_query(target, query),
            false => (query, None),
        }
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.flows.is_empty()
    }

    /// The options of each flow, for requests that add none.
    pub(crate) fn options(&self) -> impl Iterator<Item = Options> {
        self.flows.iter().map(|flow| flow.preset.options())
    }

    /// Whether there is a flow for a path, which is percent-encoded.
    pub(crate) fn take(&self, path: &str) -> bool {
        self.find(path).is_some()
    }

    /// Path and query of the source of a URL in whose query a flow reads options; `None` where no flow does.
    pub(crate) fn without_options(&self, path: &str, query: &str) -> Option<String> {
        let flow = self.find(path)?;
        let (unsigned, _) = self.split_signature(query, query);
        match flow.read_query(unsigned).rest {
            Cow::Borrowed(rest) if rest.len() == query.len() => None,
            rest if rest.is_empty() => Some(path.to_owned()),
            rest => Some(format!("{path}?{rest}")),
        }
    }

    /// The first flow that takes a path, which is percent-encoded.
    pub(super) fn find(&self, path: &str) -> Option<&Arc<Flow>> {
        let decoded: Cow<'_, [u8]> = percent_decode_str(path).into();
        let matching = self
            .globs
            .matches_candidate(&Candidate::from_bytes(&decoded));
        // In ascending order, and the globs of one flow come before those of the next.
        let first = *matching.first()?;
        self.flows.get(*self.owners.get(first)?)
    }
}

impl Flow {
    fn of(config: &FlowConfig) -> Self {
        let first = config.paths.0.first();
        Flow {
            name: first.map_or("", |glob| glob.glob()).into(),
            preset: config.options.clone(),
            query: config.query.0.clone(),
        }
    }

    /// Its first glob, by which answers, metrics and the log name it.
    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// What this query says, without a signature.
    pub(super) fn read_query<'a>(&self, query: &'a str) -> FlowQuery<'a> {
        let mut values = Vec::new();
        let mut rest = Vec::new();
        for parameter in query.split('&') {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            match self.find(name) {
                Some(option) => {
                    values.push((option, percent_decode_str(value).decode_utf8_lossy()))
                }
                None => rest.push(parameter),
            }
        }
        let rest = match values.is_empty() {
            true => Cow::Borrowed(query),
            false => Cow::Owned(rest.join("&")),
        };
        FlowQuery {
            options: self.preset.with(&values),
            chosen: Preset::default().with(&values),
            rest,
        }
    }

    /// The option that a parameter sets. Its name may be percent-encoded.
    fn find(&self, name: &str) -> Option<OptionName> {
        let is_named =
            |(listed, _): &&(String, OptionName)| percent_decode_str(name).eq(listed.bytes());
        self.query.iter().find(is_named).map(|(_, option)| *option)
    }
}

/// Whether all paths that a glob can match are those of transformation URLs, which no flow takes.
fn names_transformation_urls(glob: &str, prefixes: &Prefixes) -> bool {
    let literal = glob.split(['*', '?', '[', '{', '\\']).next();
    literal.is_some_and(|start| prefixes.strip(start).is_some()) || prefixes::is_next_image(glob)
}

impl fmt::Display for FlowError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FlowError::TooManyGlobs(count) => write!(
                out,
                "setting `flow`: all flows together must have at most {MAX_GLOBS} globs, got {count}"
            ),
            FlowError::TransformationUrls { flow, glob } => write!(
                out,
                "setting `flow[{flow}].match`: a glob must match plain URLs, but `{glob}` matches transformation URLs alone, which no flow changes"
            ),
            FlowError::Options { flow, reason } => {
                write!(out, "setting `flow[{flow}].options`: {reason}")
            }
            FlowError::Globs(cause) => {
                write!(
                    out,
                    "setting `flow`: the globs cannot be matched together: {cause}"
                )
            }
        }
    }
}

impl std::error::Error for FlowError {}

#[cfg(test)]
mod tests;

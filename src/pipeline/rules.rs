//! What decides about requests, and follows from the settings alone.

use crate::bucket::BucketAddress;
use crate::pipeline::{Config, PipelineError, access, flow};
use crate::policy::Policy;
use crate::request::{Extensions, Flows};

/// The rules of a pipeline.
pub(super) struct Rules {
    pub policy: Policy,
    pub extensions: Extensions,
    pub flows: Flows,
}

impl Rules {
    /// Reads the settings, and the keys that they name.
    ///
    /// # Errors
    /// [`PipelineError`] names the setting that cannot work.
    pub(super) fn of(config: &Config) -> Result<Self, PipelineError> {
        let buckets = config
            .buckets
            .iter()
            .map(BucketAddress::of)
            .collect::<Result<_, _>>()
            .map_err(PipelineError::Bucket)?;
        let policy = Policy::new(&config.policy, config.zone.clone(), buckets)
            .map_err(PipelineError::Policy)?;
        let access = access::open(&config.signatures).map_err(PipelineError::Access)?;
        let policy = policy.with_access(access);
        let extensions = Extensions {
            signatures: policy.reads_signatures(),
            presets: config.presets.clone(),
        };
        let flows = flow::open(&config.flows, &config.prefixes, &policy)?;
        Ok(Rules {
            policy,
            extensions,
            flows,
        })
    }
}

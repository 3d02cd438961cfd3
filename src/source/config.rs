//! Section `[fetch]`: how long origins may take, and how much may be fetched at once.

use std::num::NonZeroUsize;

use serde::Deserialize;

use crate::outbound::USER_AGENT;
use crate::source::memory::SourceMemory;
use crate::source::setup::SetupError;
use crate::units::{AutoByteSize, ByteSize, Seconds, above_zero};

/// Section `[fetch]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// For a connection: name lookup, TCP and TLS.
    #[serde(deserialize_with = "above_zero")]
    pub connect_timeout: Seconds,
    /// For the header of a response, connecting included.
    #[serde(deserialize_with = "above_zero")]
    pub first_byte_timeout: Seconds,
    /// Between two pieces of the content.
    #[serde(deserialize_with = "above_zero")]
    pub idle_timeout: Seconds,
    /// For the whole fetch, redirects and retries included. Before that, a fetch may wait as long for a slot.
    #[serde(deserialize_with = "above_zero")]
    pub total_timeout: Seconds,
    /// How many redirects are followed. The allowlist must approve each of them like a source.
    pub max_redirects: u32,
    /// Whether allowed origins may be at private addresses or on this machine. The zone's origin and the buckets always may.
    pub private_networks: bool,
    /// The `User-Agent` of requests to origins.
    pub user_agent: String,
    /// What all sources together may hold while they are fetched, wait for a worker and are rendered.
    pub memory: AutoByteSize,
    /// Fetches at once.
    pub concurrency: NonZeroUsize,
    /// Fetches at once from one origin. Over HTTP/1.1 each has a connection of its own.
    pub connections_per_origin: NonZeroUsize,
}

/// A default in this file that is not zero.
const fn non_zero(count: usize) -> NonZeroUsize {
    match NonZeroUsize::new(count) {
        Some(count) => count,
        None => NonZeroUsize::MIN,
    }
}

impl Default for Config {
    fn default() -> Self {
        Config {
            connect_timeout: Seconds::new(5),
            first_byte_timeout: Seconds::new(10),
            idle_timeout: Seconds::new(10),
            total_timeout: Seconds::new(30),
            max_redirects: 5,
            private_networks: false,
            user_agent: USER_AGENT.to_owned(),
            memory: AutoByteSize::Auto,
            concurrency: non_zero(1024),
            connections_per_origin: non_zero(512),
        }
    }
}

impl Config {
    /// The memory for sources, where the largest source may have `max_bytes` and all renders together may hold `render_memory`.
    ///
    /// The default is half of the renders' memory, because a render holds several times its source, but at most 1 GiB, which is hundreds of
    /// photographs, and at least twice the largest source.
    ///
    /// # Errors
    /// [`SetupError::Memory`] if the memory is less than twice the largest source.
    pub fn source_memory(
        &self,
        max_bytes: ByteSize,
        render_memory: ByteSize,
    ) -> Result<SourceMemory, SetupError> {
        const AUTO_MAX: u64 = 1 << 30;
        let min = max_bytes.bytes().saturating_mul(2);
        let total = match self.memory {
            AutoByteSize::Auto => (render_memory.bytes() / 2).min(AUTO_MAX).max(min),
            AutoByteSize::Fixed(total) if total.bytes() >= min => total.bytes(),
            AutoByteSize::Fixed(total) => {
                return Err(SetupError::Memory {
                    total: total.bytes(),
                    min,
                });
            }
        };
        Ok(SourceMemory::new(total, max_bytes.bytes()))
    }
}

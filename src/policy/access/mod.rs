//! Which URLs need a signature, and which options a client may choose without one.

mod allowed;
mod config;

use crate::options::{Options, Pixels, Warning, Width};
use crate::policy::error::Denial;
use crate::policy::refusal::SignatureError;
use crate::request::{ImageRequest, Prefixes, UrlSignature, sign};
use crate::signature;
use crate::signature::SigningKeys;

use allowed::Verdict;

pub use config::AllowedOptions;
pub use config::Required;
pub use config::SignaturesConfig;

/// Decides whether a client may have a picture with the options of its URL.
#[derive(Debug, Clone, Default)]
pub struct Access {
    required: Required,
    keys: SigningKeys,
    allowed: AllowedOptions,
}

/// What an admitted request is bound to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Terms {
    /// When its URL expires, in seconds since 1970.
    pub(super) expires: Option<u64>,
    /// The width that takes the place of the one in the URL, and what the client is told of it.
    width: Option<Pixels>,
    pub(super) warning: Option<Warning>,
}

impl Terms {
    /// The options that are carried out in place of those that were asked for, where they differ.
    pub(super) fn change(&self, options: &Options) -> Option<Options> {
        let width = self.width?;
        Some(Options {
            width: Some(Width::Pixels(width)),
            ..options.clone()
        })
    }
}

impl Access {
    /// The rules in the settings, with the keys that they name.
    pub(crate) fn new(config: &SignaturesConfig, keys: SigningKeys) -> Self {
        Access {
            required: config.required,
            keys,
            allowed: config.allowed.clone(),
        }
    }

    /// Whether URLs may have signatures.
    pub(crate) fn reads_signatures(&self) -> bool {
        !self.keys.is_empty()
    }

    /// A URL, from the slash of its path on, signed by the first key. `None` where there is no key, or the URL cannot be signed.
    pub(super) fn sign(&self, target: &str, prefixes: &Prefixes) -> Option<String> {
        let id = self.keys.first()?;
        sign(target, prefixes, (id, self.keys.find(id)?), None)
    }

    /// Decides about a request. `wanted` is the width that its client wants where the URL says `width=auto`.
    ///
    /// # Errors
    /// [`Denial::Signature`], [`Denial::Unlisted`].
    pub(super) fn terms(
        &self,
        request: &ImageRequest,
        wanted: impl FnOnce(&Options) -> Pixels,
    ) -> Result<Terms, Denial> {
        if self.required == Required::Never {
            return Ok(Terms::default());
        }
        // What is wrong with options is told in any case: nothing is made of them.
        let Ok(chosen) = request.chosen().as_result() else {
            return Ok(Terms::default());
        };
        // A plain URL of a flow, with nothing that the client chose.
        if request.is_by_flow() && *chosen == Options::default() {
            return Ok(Terms::default());
        }
        let unlisted = match self.required {
            Required::Unlisted => match self.allowed.judge(chosen) {
                Verdict::Listed => return Ok(Terms::default()),
                Verdict::Auto => {
                    let options = request.options.as_result().unwrap_or(chosen);
                    return Ok(Terms {
                        width: Some(self.allowed.round(wanted(options))),
                        ..Terms::default()
                    });
                }
                Verdict::Rounded(width) => return Ok(self.rounded(width)),
                Verdict::Unlisted(unlisted) => Some(unlisted),
            },
            Required::Always | Required::Never => None,
        };
        let verified = self.verify(request.signature.as_ref(), signature::now());
        match (verified, unlisted) {
            (Ok(expires), _) => Ok(Terms {
                expires,
                ..Terms::default()
            }),
            (Err(SignatureError::Missing), Some(unlisted)) => Err(Denial::Unlisted(unlisted)),
            (Err(error), _) => Err(Denial::Signature(error)),
        }
    }

    /// Checks a signature at `now`, in seconds since 1970. Returns when the URL expires, if it does.
    fn verify(
        &self,
        signature: Option<&UrlSignature>,
        now: u64,
    ) -> Result<Option<u64>, SignatureError> {
        let text = match signature {
            None => return Err(SignatureError::Missing),
            Some(UrlSignature::Malformed) => return Err(SignatureError::Malformed),
            Some(UrlSignature::Complete(text)) => text,
        };
        let key = self.keys.find(&text.key).ok_or(SignatureError::Wrong)?;
        if !text.is_of(key) {
            return Err(SignatureError::Wrong);
        }
        if text.expires.is_some_and(|expires| expires <= now) {
            return Err(SignatureError::Expired);
        }
        Ok(text.expires)
    }

    fn rounded(&self, asked: Pixels) -> Terms {
        let width = self.allowed.round(asked);
        let (from, to) = (asked.get(), width.get());
        Terms {
            expires: None,
            width: Some(width),
            warning: Some(Warning::new(format!("width {from} is rounded to {to}"))),
        }
    }
}

#[cfg(test)]
mod tests;

//! `safelight sign`: signs URLs with a key of the settings.

use std::io;
use std::path::PathBuf;

use clap::Args;

use super::error::CommandError;
use super::settings_file::settings_file;
use crate::config::Config;
use crate::request::{Flows, sign as signed};
use crate::signature;
use crate::signature::{MacKey, SigningKeys};
use crate::units::Seconds;

/// The arguments of `sign`.
#[derive(Debug, Args)]
pub struct SignArguments {
    /// The URLs, with or without a host, spelled as clients will ask for them; `-` reads a list of them from standard input.
    #[arg(value_name = "URL", required = true)]
    urls: Vec<String>,
    /// The name of the key; without it, the first in the settings.
    #[arg(long, value_name = "ID")]
    key: Option<String>,
    /// How long the URLs are valid, as in "7 d"; without it, for as long as the key.
    #[arg(long, value_name = "TIME", conflicts_with = "until")]
    expires_in: Option<Seconds>,
    /// Until when the URLs are valid, in seconds since 1970.
    #[arg(long, value_name = "SECONDS")]
    until: Option<u64>,
    /// A file with settings; without it, `config.toml` if the current folder has one, and the environment.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Signs, and returns the URLs.
///
/// # Errors
/// [`CommandError`] when there is no such key, or a URL cannot be signed.
pub fn sign(arguments: &SignArguments) -> Result<Vec<String>, CommandError> {
    let config = match settings_file(arguments.config.as_deref()) {
        Some(path) => Config::load(path),
        None => Config::of_environment(),
    };
    let config = config.map_err(CommandError::new)?;
    let keys = SigningKeys::open(&config.signatures.key).map_err(CommandError::new)?;
    let signer = Signer::new(&config, &keys, arguments)?;
    let mut lines = Vec::new();
    for url in &arguments.urls {
        if url == "-" {
            for line in io::stdin().lines() {
                let line = line.map_err(CommandError::new)?;
                lines.push(signer.sign(line.trim())?);
            }
        } else {
            lines.push(signer.sign(url)?);
        }
    }
    Ok(lines)
}

/// What signs one URL after the other.
struct Signer<'a> {
    config: &'a Config,
    flows: Flows,
    key: (&'a str, &'a MacKey),
    expires: Option<u64>,
}

impl<'a> Signer<'a> {
    fn new(
        config: &'a Config,
        keys: &'a SigningKeys,
        arguments: &'a SignArguments,
    ) -> Result<Self, CommandError> {
        let id = arguments.key.as_deref().or(keys.first());
        let id = id.ok_or_else(|| {
            CommandError::new(
                "there is no [[signatures.key]] in the settings: name their file with `--config`",
            )
        })?;
        let key = keys.find(id).ok_or_else(|| {
            CommandError::new(format!(
                "`--key` must be the `id` of a [[signatures.key]], got `{id}`"
            ))
        })?;
        let within = arguments.expires_in;
        let until =
            within.map(|within| signature::now().saturating_add(within.duration().as_secs()));
        let flows = Flows::new(&config.flow, &config.server.prefixes);
        Ok(Signer {
            config,
            flows: flows.map_err(CommandError::new)?,
            key: (id, key),
            expires: arguments.until.or(until),
        })
    }

    fn sign(&self, url: &str) -> Result<String, CommandError> {
        let wrong = |reason: &str| CommandError::new(format!("`{url}`: {reason}"));
        if !url.bytes().all(|byte| byte.is_ascii_graphic()) || url.contains('#') {
            return Err(wrong(
                "a URL must be spelled as clients send it: without a fragment, and with spaces and letters outside ASCII percent-encoded",
            ));
        }
        let (origin, target) = split_origin(url);
        let path = target.split('?').next().unwrap_or_default();
        let prefixes = &self.config.server.prefixes;
        if !prefixes.is_image_path(path) && !self.flows.take(path) {
            return Err(wrong(
                "a URL must begin as those of `server.prefixes`, be `/_next/image`, or be one that a [[flow]] takes",
            ));
        }
        let signed = signed(target, prefixes, self.key, self.expires);
        let signed = signed.ok_or_else(|| wrong("a URL must have options and a source"))?;
        Ok(format!("{origin}{signed}"))
    }
}

/// Scheme and host, and what follows from the slash of the path on.
fn split_origin(url: &str) -> (&str, &str) {
    let Some((scheme, rest)) = url.split_once("://") else {
        return ("", url);
    };
    if scheme.contains('/') {
        return ("", url);
    }
    let path = rest.find('/').unwrap_or(rest.len());
    url.split_at(scheme.len() + "://".len() + path)
}

#[cfg(test)]
mod tests {
    use super::split_origin;

    #[test]
    fn a_url_may_have_a_host() {
        for (url, origin) in [
            (
                "https://b.test/cdn-cgi/image/w=8/https://c.test/a.jpg",
                "https://b.test",
            ),
            ("/cdn-cgi/image/w=8/https://c.test/a.jpg", ""),
            ("https://b.test", "https://b.test"),
            ("a.jpg", ""),
        ] {
            assert_eq!(split_origin(url), (origin, &url[origin.len()..]));
        }
    }
}

//! Which server a command speaks to, and with which token.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use clap::Args;
use hyper::header::HeaderValue;
use reqwest::Client;
use url::Url;

use super::client::ApiClient;
use crate::cli::error::CommandError;
use crate::cli::settings_file::settings_file;
use crate::config::{Config, variable};
use crate::hosted::{Rights, TokenConfig};
use crate::outbound;
use crate::outbound::USER_AGENT;

/// The longest that a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest that a server may be silent. It checks what was uploaded before it answers.
const READ_TIMEOUT: Duration = Duration::from_secs(600);
/// The API of Cloudflare.
const CLOUDFLARE: &str = "https://api.cloudflare.com/client/v4";

/// The arguments that name a server and an account.
#[derive(Debug, Args)]
pub(super) struct ApiArguments {
    /// The URL of the API, as in https://img.example.com or https://api.cloudflare.com/client/v4; without it SAFELIGHT_API, or the server of the settings.
    #[arg(long, value_name = "URL", global = true)]
    api: Option<String>,
    /// The account; without it, `hosted.account` of the settings.
    #[arg(long, value_name = "NAME", global = true)]
    account: Option<String>,
    /// A token that may write; without it SAFELIGHT_TOKEN, or one of the settings if the server is theirs. Others on this machine can see it: better is a file.
    #[arg(
        long,
        value_name = "TOKEN",
        global = true,
        conflicts_with = "token_file"
    )]
    token: Option<String>,
    /// A file with the token.
    #[arg(long, value_name = "FILE", global = true)]
    token_file: Option<PathBuf>,
    /// A file with settings; without it, config.toml if there is one.
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Print JSON, a line for each image.
    #[arg(long, global = true)]
    pub json: bool,
}

impl ApiArguments {
    /// The settings.
    pub(super) fn settings(&self) -> Result<Config, CommandError> {
        settings_file(self.config.as_deref())
            .map_or_else(Config::of_environment, Config::load)
            .map_err(CommandError::new)
    }

    /// Whether a server is named, so that the settings say nothing of it.
    pub(super) fn is_elsewhere(&self) -> bool {
        self.named().is_some()
    }

    fn named(&self) -> Option<String> {
        self.api.clone().or_else(|| variable("SAFELIGHT_API"))
    }

    /// The client.
    pub(super) fn client(&self, config: &Config, say: fn(&str)) -> Result<ApiClient, CommandError> {
        let named = self.named();
        let is_of_settings = named.is_none();
        let api = match named {
            Some(text) => api_url(&text)?,
            None => own_api(config)?,
        };
        let token = match (&self.token, &self.token_file) {
            (Some(token), _) => Some(authorization(token)?),
            (None, Some(file)) => Some(read_token(file)?),
            // The tokens of the settings are for the server of the settings alone.
            (None, None) => match variable("SAFELIGHT_TOKEN") {
                Some(token) => Some(authorization(&token)?),
                None if is_of_settings => token_of_settings(config)?,
                None => None,
            },
        };
        let token = token.ok_or_else(|| {
            CommandError::new(
                "a token is needed: `--token-file`, or SAFELIGHT_TOKEN in the environment",
            )
        })?;
        let account = self.account.as_ref().unwrap_or(&config.hosted.account);
        client(api, account, token, say)
    }
}

/// A client of Cloudflare's API, with the token of the environment.
pub(super) fn cloudflare(account: &str, say: fn(&str)) -> Result<ApiClient, CommandError> {
    let token = variable("CLOUDFLARE_API_TOKEN").ok_or_else(|| {
        CommandError::new(
            "CLOUDFLARE_API_TOKEN must be a token of Cloudflare with the right `Images Read`",
        )
    })?;
    let base = variable("CLOUDFLARE_BASE_URL").unwrap_or_else(|| CLOUDFLARE.to_owned());
    client(api_url(&base)?, account, authorization(&token)?, say)
}

fn authorization(token: &str) -> Result<HeaderValue, CommandError> {
    let wrong = |_| CommandError::new("the token must be visible ASCII characters");
    let mut authorization = HeaderValue::from_str(&format!("Bearer {token}")).map_err(wrong)?;
    authorization.set_sensitive(true);
    Ok(authorization)
}

fn client(
    api: String,
    account: &str,
    authorization: HeaderValue,
    say: fn(&str),
) -> Result<ApiClient, CommandError> {
    // No redirects: the token must not be sent to another server.
    let client: Client = outbound::client()
        .user_agent(USER_AGENT)
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .build()
        .map_err(CommandError::new)?;
    Ok(ApiClient {
        client,
        api,
        account: account.to_owned(),
        authorization,
        say,
        is_said_slow: AtomicBool::new(false),
        has_answered: AtomicBool::new(false),
    })
}

fn read_token(file: &Path) -> Result<HeaderValue, CommandError> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        CommandError::new(format!(
            "the token file `{}` cannot be read: {error}",
            file.display()
        ))
    })?;
    authorization(text.trim())
}

fn token_of_settings(config: &Config) -> Result<Option<HeaderValue>, CommandError> {
    let fits = |token: &&TokenConfig| token.rights == Rights::Write && token.creators.is_empty();
    let Some(found) = config.hosted.token.iter().find(fits) else {
        return Ok(None);
    };
    match &found.token_file {
        Some(file) => read_token(file).map(Some),
        None => Ok(found.token.authorization()),
    }
}

/// The API of the server that these settings are of, on this machine.
fn own_api(config: &Config) -> Result<String, CommandError> {
    let listen = config.server.listen;
    if listen.port() == 0 {
        return Err(CommandError::new(
            "`server.listen` has port 0: give the address of the server with `--api`",
        ));
    }
    let address: IpAddr = match listen.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        address => address,
    };
    let at = SocketAddr::new(address, listen.port());
    Ok(format!("http://{at}/client/v4"))
}

/// The URL of an API without a slash at its end. `/client/v4` may be left out.
fn api_url(text: &str) -> Result<String, CommandError> {
    let wrong = || {
        CommandError::new(format!(
            "the URL of the API must be as in https://img.example.com, got `{text}`"
        ))
    };
    let full = if text.contains("://") {
        text.to_owned()
    } else {
        format!("http://{text}")
    };
    let url = Url::parse(&full).map_err(|_| wrong())?;
    let is_fine = matches!(url.scheme(), "http" | "https")
        && url.username().is_empty()
        && url.query().is_none()
        && url.fragment().is_none();
    if !is_fine {
        return Err(wrong());
    }
    let url = url.as_str().trim_end_matches('/');
    let has_path = Url::parse(url).is_ok_and(|url| url.path().len() > 1);
    Ok(if has_path {
        url.to_owned()
    } else {
        format!("{url}/client/v4")
    })
}

#[cfg(test)]
mod tests {
    use super::api_url;

    #[test]
    fn the_path_of_the_api_may_be_left_out() {
        for (text, url) in [
            ("127.0.0.1:8080", "http://127.0.0.1:8080/client/v4"),
            ("https://h.test/", "https://h.test/client/v4"),
            ("https://h.test/a/client/v4/", "https://h.test/a/client/v4"),
        ] {
            assert_eq!(api_url(text).ok().as_deref(), Some(url));
        }
        for text in ["", "ftp://h.test", "http://u:p@h.test", "http://h.test/?a"] {
            assert!(api_url(text).is_err(), "{text}");
        }
    }
}

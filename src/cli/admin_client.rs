//! The client of the admin listener, for commands that talk to a running server. They read the settings that the server was started with.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Client, RequestBuilder};
use serde_json::Value;
use url::Url;

use super::error::CommandError;
use super::settings_file::settings_file;
use crate::admin::Token;
use crate::config::Config;
use crate::outbound;
use crate::outbound::root_cause;

/// The longest that a connection to the server may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The arguments that name a server.
#[derive(Debug, Args)]
pub(super) struct ServerArguments {
    /// The file with `admin.token` and `admin.listen`; without it, config.toml if there is one.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The URL of the admin listener if it is not that of the settings, as in http://127.0.0.1:8081.
    #[arg(long, value_name = "URL")]
    admin: Option<String>,
}

/// A client for one path of an admin listener.
pub(super) struct AdminClient {
    client: Client,
    url: Url,
    /// The token, where the path needs it.
    authorization: Option<HeaderValue>,
}

/// The answer of an admin listener.
pub(super) struct AdminResponse {
    pub status: u16,
    pub text: String,
}

impl ServerArguments {
    /// The settings.
    pub(super) fn settings(&self) -> Result<Config, CommandError> {
        settings_file(self.config.as_deref())
            .map_or_else(Config::of_environment, Config::load)
            .map_err(CommandError::new)
    }

    /// A client for `path`. No request takes longer than `timeout`.
    pub(super) fn admin_client(
        &self,
        config: &Config,
        path: &str,
        timeout: Duration,
    ) -> Result<AdminClient, CommandError> {
        let authorization = Token::authorization(&config.admin.token).ok_or_else(|| {
            CommandError::new("a token is needed: set `token` under [admin], or SAFELIGHT__ADMIN__TOKEN, to what the server was started with")
        })?;
        let client = self.client_without_token(config, path, timeout)?;
        Ok(AdminClient {
            authorization: Some(authorization),
            ..client
        })
    }

    /// A client for `path`, which needs the token only where one is set.
    pub(super) fn client_with_token_if_set(
        &self,
        config: &Config,
        path: &str,
        timeout: Duration,
    ) -> Result<AdminClient, CommandError> {
        let client = self.client_without_token(config, path, timeout)?;
        Ok(AdminClient {
            authorization: Token::authorization(&config.admin.token),
            ..client
        })
    }

    /// Whether `--admin` names a server.
    pub(super) fn has_admin(&self) -> bool {
        self.admin.is_some()
    }

    /// The file that `--config` names.
    pub(super) fn file(&self) -> Option<PathBuf> {
        self.config.clone()
    }

    /// A client for `path`, which everybody may ask for.
    pub(super) fn client_without_token(
        &self,
        config: &Config,
        path: &str,
        timeout: Duration,
    ) -> Result<AdminClient, CommandError> {
        let url = endpoint(self.admin.as_deref(), config.admin.listen, path)?;
        // No redirects: the token must not be sent to another server.
        let client = outbound::client()
            .connect_timeout(CONNECT_TIMEOUT.min(timeout))
            .timeout(timeout)
            .build()
            .map_err(CommandError::new)?;
        Ok(AdminClient {
            client,
            url,
            authorization: None,
        })
    }
}

impl AdminClient {
    /// Sends a body of JSON.
    ///
    /// # Errors
    /// [`CommandError`] when the server does not answer.
    pub(super) async fn post(&self, body: Vec<u8>) -> Result<AdminResponse, CommandError> {
        let request = self.client.post(self.url.clone());
        let request = request.header(CONTENT_TYPE, "application/json").body(body);
        self.send(request).await
    }

    /// Asks for the path.
    ///
    /// # Errors
    /// [`CommandError`] when the server does not answer.
    pub(super) async fn get(&self) -> Result<AdminResponse, CommandError> {
        self.send(self.client.get(self.url.clone())).await
    }

    async fn send(&self, mut request: RequestBuilder) -> Result<AdminResponse, CommandError> {
        let unreachable = |error: reqwest::Error| {
            let kind = if error.is_timeout() {
                "does not answer in time"
            } else {
                "cannot be reached"
            };
            CommandError::new(format!(
                "the server at {} {kind}: is it running, and is this its admin listener? `--admin` names another ({})",
                self.url,
                root_cause(&error)
            ))
        };
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization.clone());
        }
        let answer = request.send().await.map_err(unreachable)?;
        Ok(AdminResponse {
            status: answer.status().as_u16(),
            text: answer.text().await.map_err(unreachable)?,
        })
    }

    /// The error that an answer stands for.
    pub(super) fn refused(&self, answer: &AdminResponse) -> CommandError {
        let body: Value = serde_json::from_str(&answer.text).unwrap_or_default();
        match answer.status {
            401 => CommandError::new(format!(
                "the server at {} does not take this token: `admin.token` here must be what it was started with",
                self.url
            )),
            421 => CommandError::new(format!(
                "the server at {} does not answer to this name: put it into `hosts` under [admin], or give its address with `--admin`",
                self.url
            )),
            _ if body["errors"].is_array() => {
                CommandError(texts(&body["errors"]).collect::<Vec<_>>().join("\n"))
            }
            status => CommandError::new(format!(
                "the server at {} is not the admin listener of safelight (status {status})",
                self.url
            )),
        }
    }
}

fn endpoint(admin: Option<&str>, listen: SocketAddr, path: &str) -> Result<Url, CommandError> {
    let text = match admin {
        Some(text) if text.contains("://") => text.to_owned(),
        Some(text) => format!("http://{text}"),
        None if listen.port() == 0 => {
            return Err(CommandError::new(
                "`admin.listen` has port 0: give the address of the server with `--admin`",
            ));
        }
        None => format!(
            "http://{}",
            SocketAddr::new(reachable(listen.ip()), listen.port())
        ),
    };
    let wrong = || {
        CommandError::new(format!(
            "`--admin` must be a URL such as http://127.0.0.1:8081, got `{text}`"
        ))
    };
    let url = Url::parse(&text).map_err(|_| wrong())?;
    if !matches!(url.scheme(), "http" | "https") || !url.username().is_empty() {
        return Err(wrong());
    }
    url.join(path).map_err(|_| wrong())
}

/// The address to connect to for a listener. One that listens on all addresses is reached on this machine.
fn reachable(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        address => address,
    }
}

/// The strings in a JSON list.
pub(super) fn texts(list: &Value) -> impl Iterator<Item = String> {
    let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
    let texts = list.iter().filter_map(Value::as_str);
    texts.map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::endpoint;

    #[test]
    fn the_admin_listener_is_found() {
        for (admin, listen, url) in [
            (None, "127.0.0.1:8081", "http://127.0.0.1:8081/purge"),
            (None, "0.0.0.0:9", "http://127.0.0.1:9/purge"),
            (None, "[::]:9", "http://[::1]:9/purge"),
            (Some("10.0.0.7:9"), "127.0.0.1:1", "http://10.0.0.7:9/purge"),
            (
                Some("https://h.test/"),
                "127.0.0.1:1",
                "https://h.test/purge",
            ),
        ] {
            let listen = listen.parse().expect("an address");
            let found = endpoint(admin, listen, "/purge").map(|url| url.to_string());
            assert_eq!(found.ok().as_deref(), Some(url));
        }
        for admin in ["", "ftp://h.test", "http://u:p@h.test"] {
            let listen = "127.0.0.1:1".parse().expect("an address");
            assert!(endpoint(Some(admin), listen, "/purge").is_err(), "{admin}");
        }
        let listen = "127.0.0.1:0".parse().expect("an address");
        assert!(endpoint(None, listen, "/purge").is_err());
    }
}

//! `safelight purge`: has a server take back what it keeps, over its admin listener.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use hyper::header::AUTHORIZATION;
use hyper::header::CONTENT_TYPE;
use serde::Serialize;
use serde_json::Value;
use url::Url;

use super::Failure;
use crate::admin::Token;
use crate::config::Config;

/// The settings that are read where no others are named.
const CONFIG: &str = "config.toml";
/// For the whole call.
const TIMEOUT: Duration = Duration::from_secs(60);

/// What to purge, and where.
#[derive(Debug, Args)]
pub struct PurgeArguments {
    #[command(flatten)]
    targets: Targets,
    /// Make it stale instead of missing: origins are asked whether it changed, and it is shown where they fail.
    #[arg(long)]
    soft: bool,
    /// The settings with `admin.token` and `admin.listen`; config.toml, if there is one.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The server's admin listener, if not where the settings say, as in http://127.0.0.1:8081.
    #[arg(long, value_name = "URL")]
    admin: Option<String>,
}

/// Each may be given several times.
#[derive(Debug, Args, Serialize)]
#[group(required = true, multiple = true)]
struct Targets {
    /// A source with all its renditions: a URL, a path of the zone or bucket:NAME/KEY.
    #[arg(long, value_name = "URL")]
    source: Vec<String>,
    /// What one transformation URL leads to.
    #[arg(long, value_name = "URL")]
    url: Vec<String>,
    /// All sources whose address begins so, as in https://b.com/themes, /uploads/ or bucket:photos/cats.
    #[arg(long, value_name = "PREFIX")]
    prefix: Vec<String>,
    /// All sources with this tag.
    #[arg(long, value_name = "TAG")]
    tag: Vec<String>,
    /// All sources.
    #[arg(long)]
    everything: bool,
}

/// The body of the call.
#[derive(Serialize)]
struct Call<'a> {
    #[serde(flatten)]
    targets: &'a Targets,
    soft: bool,
}

/// Asks the server, and returns what is to be said about it, a line each.
///
/// # Errors
/// [`Failure`] where there is no server, no token or the wrong one, or where the server does not understand.
pub async fn purge(arguments: &PurgeArguments) -> Result<Vec<String>, Failure> {
    let PurgeArguments {
        targets,
        soft,
        config,
        admin,
    } = arguments;
    let config = settings(config.as_deref())?;
    let url = endpoint(admin.as_deref(), config.admin.listen)?;
    let authorization = Token::authorization(&config.admin.token).ok_or_else(|| {
        Failure::new("a token is needed: set `token` under [admin], or SAFELIGHT__ADMIN__TOKEN, to what the server was started with")
    })?;
    let call = Call {
        targets,
        soft: *soft,
    };
    let body = serde_json::to_vec(&call).map_err(Failure::new)?;
    // reqwest takes the process's provider; a second installation is refused, and the first one is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder()
        // The token is for this server and no other.
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .timeout(TIMEOUT)
        .build()
        .map_err(Failure::new)?;
    let unreachable = |error: reqwest::Error| {
        let kind = if error.is_timeout() {
            "does not answer in time"
        } else {
            "cannot be reached"
        };
        Failure::new(format!(
            "the server at {url} {kind}: is it running, and is this its admin listener? `--admin` names another ({})",
            cause(&error)
        ))
    };
    let answer = client
        .post(url.clone())
        .header(AUTHORIZATION, authorization)
        .header(CONTENT_TYPE, "application/json")
        .body(body)
        .send()
        .await
        .map_err(unreachable)?;
    let status = answer.status().as_u16();
    let text = answer.text().await.map_err(unreachable)?;
    let told: Value = serde_json::from_str(&text).unwrap_or_default();
    match status {
        200 if told["success"] == true => Ok(lines(&told)),
        401 => Err(Failure::new(format!(
            "the server at {url} does not take this token: `admin.token` here must be what it was started with"
        ))),
        _ if told["errors"].is_array() => Err(Failure(
            texts(&told["errors"]).collect::<Vec<_>>().join("\n"),
        )),
        _ => Err(Failure::new(format!(
            "what answers at {url} is no admin listener of safelight (status {status})"
        ))),
    }
}

fn settings(path: Option<&Path>) -> Result<Config, Failure> {
    let path = match path {
        Some(path) => Some(path),
        None => Some(Path::new(CONFIG)).filter(|path| path.exists()),
    };
    path.map_or_else(Config::of_environment, Config::load)
        .map_err(Failure::new)
}

/// Where purges are asked for.
fn endpoint(admin: Option<&str>, listen: SocketAddr) -> Result<Url, Failure> {
    let text = match admin {
        Some(text) if text.contains("://") => text.to_owned(),
        Some(text) => format!("http://{text}"),
        None if listen.port() == 0 => {
            return Err(Failure::new(
                "`admin.listen` names no port: tell the server's address with `--admin`",
            ));
        }
        None => format!(
            "http://{}",
            SocketAddr::new(reachable(listen.ip()), listen.port())
        ),
    };
    let wrong = || {
        Failure::new(format!(
            "`--admin` must be a URL such as http://127.0.0.1:8081, got `{text}`"
        ))
    };
    let url = Url::parse(&text).map_err(|_| wrong())?;
    if !matches!(url.scheme(), "http" | "https") || !url.username().is_empty() {
        return Err(wrong());
    }
    url.join("/purge").map_err(|_| wrong())
}

/// Where to reach who listens at an address: "everywhere" is no place.
fn reachable(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        address => address,
    }
}

/// The last cause, which says what happened.
fn cause(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => cause(source),
        None => error.to_string(),
    }
}

fn lines(told: &Value) -> Vec<String> {
    let done = if told["soft"] == true {
        "made stale"
    } else {
        "purged"
    };
    let mut lines = Vec::new();
    if told["everything"] == true {
        lines.push(format!("{done}: everything"));
    }
    for (field, word) in [
        ("sources", "source"),
        ("prefixes", "prefix"),
        ("tags", "tag"),
    ] {
        lines.extend(texts(&told[field]).map(|text| format!("{done}: {word} {text}")));
    }
    if let Some(count) = told["renditions"].as_u64().filter(|count| *count > 0) {
        lines.push(format!(
            "purged: what the URL leads to ({count} names of renditions)"
        ));
    }
    lines.extend(texts(&told["notes"]).map(|note| format!("note: {note}")));
    lines
}

fn texts(list: &Value) -> impl Iterator<Item = String> {
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
            let found = endpoint(admin, listen).map(|url| url.to_string());
            assert_eq!(found.ok().as_deref(), Some(url));
        }
        for admin in ["", "ftp://h.test", "http://u:p@h.test"] {
            let listen = "127.0.0.1:1".parse().expect("an address");
            assert!(endpoint(Some(admin), listen).is_err(), "{admin}");
        }
        let listen = "127.0.0.1:0".parse().expect("an address");
        assert!(endpoint(None, listen).is_err());
    }
}

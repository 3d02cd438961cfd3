//! `safelight check`: says how a URL is understood, whether it is allowed and by which setting, and what would be made for it, without doing it.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::Value;
use serde_json::json;
use url::form_urlencoded;

use super::admin_client::ServerArguments;
use super::error::CommandError;
use super::startup::ServeArguments;
use crate::config::Config;
use crate::hosted;
use crate::operator::{CheckReport, Client};
use crate::pipeline::Pipeline;

/// The longest that a running server may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The arguments of `check`.
#[derive(Debug, Args)]
pub struct CheckArguments {
    /// The URL, or its path, as in /cdn-cgi/image/width=640,format=auto/cat.jpg.
    url: String,
    /// The client that asks: jxl for one that shows JPEG XL, AVIF and WebP, avif for one that shows the last two, webp for one that shows only WebP, none for others.
    #[arg(long, value_name = "CLIENT", value_parser = ["jxl", "avif", "webp", "none"], default_value = "jxl")]
    accept: String,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
    /// What would be served, as TARGET of `serve`.
    #[arg(long, value_name = "TARGET", conflicts_with = "admin")]
    zone: Option<PathBuf>,
    /// An origin that pictures may come from as well, as for `serve`; may be given several times.
    #[arg(long, value_name = "ORIGIN", conflicts_with = "admin")]
    allow: Vec<String>,
    /// With `--admin`, the running server there is asked, which knows also what is cached.
    #[command(flatten)]
    server: ServerArguments,
}

/// The result of the command.
#[derive(Debug)]
pub struct CheckOutcome {
    /// The lines to print.
    pub lines: Vec<String>,
    /// Whether there would be a picture or an original.
    pub is_admitted: bool,
}

/// Checks the URL against the settings, or lets a running server do it.
///
/// # Errors
/// [`CommandError`] when the settings are wrong, the text is no URL, or the server does not answer.
pub async fn check(arguments: &CheckArguments) -> Result<CheckOutcome, CommandError> {
    let report = match arguments.server.has_admin() {
        true => ask(arguments).await?,
        false => json!(of_settings(arguments).await?),
    };
    let is_admitted = report["refusal"].is_null() && report["kind"] != "nothing";
    let lines = match arguments.json {
        true => vec![report.to_string()],
        false => lines(&report),
    };
    Ok(CheckOutcome { lines, is_admitted })
}

async fn ask(arguments: &CheckArguments) -> Result<Value, CommandError> {
    let config = arguments.server.settings()?;
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("url", &arguments.url)
        .append_pair("accept", &arguments.accept)
        .finish();
    let path = format!("/check?{query}");
    let client = arguments
        .server
        .client_with_token_if_set(&config, &path, TIMEOUT)?;
    let answer = client.get().await?;
    match (answer.status, serde_json::from_str(&answer.text)) {
        (200, Ok(report)) => Ok(report),
        _ => Err(client.refused(&answer)),
    }
}

async fn of_settings(arguments: &CheckArguments) -> Result<CheckReport, CommandError> {
    let CheckArguments { zone, allow, .. } = arguments;
    let file = arguments.server.file();
    let serve = ServeArguments::of_zone(zone.clone(), allow.clone(), file);
    let config = serve.settings()?;
    let pipeline = Pipeline::open(without_stores(&config)).await;
    let pipeline = pipeline.map_err(CommandError::new)?;
    let mut clients = Client::ALL.into_iter();
    let client = clients.find(|client| client.word() == arguments.accept);
    // Other words are refused before.
    let client = client.unwrap_or(Client::Jxl);
    let report = pipeline.check(&arguments.url, client.accept_header()).await;
    let mut report = report.map_err(CommandError)?;
    if config.hosted.store != hosted::Store::Off && report.picture.is_none() {
        report.warnings.push(
            "delivery URLs of hosted images are known to a running server alone: ask it with `--admin`"
                .to_owned(),
        );
    }
    Ok(report)
}

/// The settings of the pipeline without anything that a running server writes to.
fn without_stores(config: &Config) -> crate::pipeline::Config {
    let mut pipeline = config.pipeline();
    pipeline.cache.disk.path = PathBuf::new();
    pipeline.cache.shared.bucket = String::new();
    pipeline.hosted = hosted::Config::default();
    pipeline
}

/// The report for people: a line for each thing that is known.
fn lines(report: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let kind = match report["kind"].as_str().unwrap_or_default() {
        "transformation" => "a transformation URL",
        "next-image" => "a URL of the Next.js optimizer",
        "flow" => "a plain URL that a flow takes",
        "hosted" => "the delivery URL of a hosted image",
        "original" => "a path of the zone, passed on as it is",
        _ => "nothing that is served",
    };
    let source = &report["source"];
    let picture = &report["picture"];
    let refusal = &report["refusal"];
    let cached = |value: &Value| match value["cached"].as_str() {
        Some(tier) if value["is_interim"] == true => format!(" (interim, in {tier})"),
        Some(tier) => format!(" (in {tier})"),
        None => String::new(),
    };
    let refused = text(&refusal["message"]).map(|message| {
        format!(
            "{message} (status {}, error {})",
            refusal["status"], refusal["number"]
        )
    });
    let rows = [
        ("URL", Some(kind.to_owned())),
        ("flow", text(&report["flow"])),
        ("options", text(&report["options"])),
        (
            "source",
            text(&source["address"]).map(|address| address + &cached(source)),
        ),
        ("allowed by", text(&source["allowed_by"])),
        ("refused", refused),
        ("setting", text(&refusal["setting"])),
        (
            "makes",
            text(&picture["summary"]).map(|words| words + &cached(picture)),
        ),
        (
            "vary",
            text(&report["vary"]).filter(|vary| !vary.is_empty()),
        ),
        ("recipe", text(&picture["recipe"])),
        ("source key", text(&source["key"])),
        (
            "picture key",
            text(&picture["key"]).or_else(|| {
                picture.is_object().then(|| {
                    "not known before the source is: a hash of its bytes is part of it".to_owned()
                })
            }),
        ),
    ];
    let warnings = report["warnings"].as_array().map(Vec::as_slice);
    let warnings = warnings.unwrap_or_default().iter().filter_map(text);
    let rows = rows
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)));
    rows.chain(warnings.map(|warning| ("warning", warning)))
        .map(|(name, value)| format!("{name:<12} {value}"))
        .collect()
}

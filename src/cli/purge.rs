//! `safelight purge`: purges the cache of a running server, over its admin listener.

use std::time::Duration;

use clap::Args;
use serde::Serialize;
use serde_json::Value;

use super::admin_client::{ServerArguments, texts};
use super::error::CommandError;

/// The longest that the request may take.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The arguments of `purge`.
#[derive(Debug, Args)]
pub struct PurgeArguments {
    #[command(flatten)]
    targets: PurgeTargets,
    /// Mark as stale instead of removing: origins are asked whether the source changed, and if they fail the old picture is served.
    #[arg(long)]
    soft: bool,
    #[command(flatten)]
    server: ServerArguments,
}

/// What to purge. Each argument may be given several times.
#[derive(Debug, Args, Serialize)]
#[group(required = true, multiple = true)]
struct PurgeTargets {
    /// A source with all its renditions: a URL, a path of the zone, or bucket:NAME/KEY.
    #[arg(long, value_name = "URL")]
    source: Vec<String>,
    /// The renditions of one transformation URL.
    #[arg(long, value_name = "URL")]
    url: Vec<String>,
    /// All sources whose address begins with this, as in https://b.com/themes, /uploads/ or bucket:photos/cats.
    #[arg(long, value_name = "PREFIX")]
    prefix: Vec<String>,
    /// All sources with this tag.
    #[arg(long, value_name = "TAG")]
    tag: Vec<String>,
    /// All sources.
    #[arg(long)]
    everything: bool,
}

/// The body of the request.
#[derive(Serialize)]
struct RequestBody<'a> {
    #[serde(flatten)]
    targets: &'a PurgeTargets,
    soft: bool,
}

/// Purges, and returns the lines to print.
///
/// # Errors
/// [`CommandError`] when there is no server or no token, or when the server refuses the request.
pub async fn purge(arguments: &PurgeArguments) -> Result<Vec<String>, CommandError> {
    let PurgeArguments {
        targets,
        soft,
        server,
    } = arguments;
    let admin_client = server.admin_client(&server.settings()?, "/purge", TIMEOUT)?;
    let call = RequestBody {
        targets,
        soft: *soft,
    };
    let body = serde_json::to_vec(&call).map_err(CommandError::new)?;
    let answer = admin_client.post(body).await?;
    let report: Value = serde_json::from_str(&answer.text).unwrap_or_default();
    if answer.status == 200 && report["success"] == true {
        Ok(lines(&report))
    } else {
        Err(admin_client.refused(&answer))
    }
}

fn lines(report: &Value) -> Vec<String> {
    let done = if report["soft"] == true {
        "made stale"
    } else {
        "purged"
    };
    let mut lines = Vec::new();
    if report["everything"] == true {
        lines.push(format!("{done}: everything"));
    }
    for (field, word) in [
        ("sources", "source"),
        ("prefixes", "prefix"),
        ("tags", "tag"),
    ] {
        lines.extend(texts(&report[field]).map(|text| format!("{done}: {word} {text}")));
    }
    if let Some(count) = report["renditions"].as_u64().filter(|count| *count > 0) {
        lines.push(format!(
            "purged: the renditions of the URL ({count} cache keys)"
        ));
    }
    lines.extend(texts(&report["notes"]).map(|note| format!("note: {note}")));
    lines
}

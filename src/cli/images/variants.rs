//! `safelight images variants`: the named sets of options.

use clap::Subcommand;
use hyper::Method;
use serde_json::{Map, Value, json};

use super::api_error::ApiError;
use super::client::{ApiClient, in_path};
use super::progress::Output;
use crate::cli::error::CommandError;

/// What is done with variants; without it they are listed.
#[derive(Debug, Subcommand)]
pub(super) enum VariantsCommand {
    /// Create a variant, or change the one of this name, as in `variants set thumb width=320,height=320,fit=cover`.
    Set {
        /// Its name.
        name: String,
        /// Its options, as in a URL.
        options: String,
        /// Everybody may see images that need signed URLs in this variant.
        #[arg(long)]
        public: bool,
    },
    /// Delete a variant.
    Delete {
        /// Its name.
        name: String,
    },
}

/// Carries the command out.
pub(super) async fn variants(
    client: &ApiClient,
    command: Option<&VariantsCommand>,
    output: Output,
) -> Result<bool, CommandError> {
    match command {
        None => list(client, output).await,
        Some(VariantsCommand::Set {
            name,
            options,
            public,
        }) => {
            let options = parse_options(options)?;
            let done = set(client, name, &options, *public).await;
            print(done.map_err(CommandError::new)?, output);
            Ok(true)
        }
        Some(VariantsCommand::Delete { name }) => {
            let path = format!("v1/variants/{}", in_path(name));
            let deleted = client.call(Method::DELETE, &path, None).await;
            deleted.map_err(CommandError::new)?;
            Ok(true)
        }
    }
}

async fn list(client: &ApiClient, output: Output) -> Result<bool, CommandError> {
    let found = client.call(Method::GET, "v1/variants", None).await;
    let found = found.map_err(CommandError::new)?;
    for variant in found["variants"]
        .as_object()
        .into_iter()
        .flat_map(Map::values)
    {
        print(variant.clone(), output);
    }
    Ok(true)
}

fn print(variant: Value, output: Output) {
    if output.json {
        (output.print)(&variant.to_string());
        return;
    }
    let options = variant["options"].as_object();
    let options: Vec<String> = options
        .into_iter()
        .flatten()
        .map(|(name, value)| match value {
            Value::String(text) => format!("{name}={text}"),
            value => format!("{name}={value}"),
        })
        .collect();
    let id = variant["id"].as_str().unwrap_or_default();
    let public = match variant["neverRequireSignedURLs"].as_bool() {
        Some(true) => "\tpublic",
        _ => "",
    };
    (output.print)(&format!("{id}\t{}{public}", options.join(",")));
}

/// Creates a variant, or changes the one of this name.
async fn set(
    client: &ApiClient,
    name: &str,
    options: &Map<String, Value>,
    public: bool,
) -> Result<Value, ApiError> {
    let body = json!({"id": name, "options": options, "neverRequireSignedURLs": public});
    let created = client.call(Method::POST, "v1/variants", Some(&body)).await;
    let mut answer = match created {
        Err(error) if error.is_conflict() => {
            let path = format!("v1/variants/{}", in_path(name));
            client.call(Method::PATCH, &path, Some(&body)).await?
        }
        created => created?,
    };
    Ok(answer["variant"].take())
}

/// Creates a variant as another server described it. Returns whether it is new: one that is there stays as it is.
pub(super) async fn create(client: &ApiClient, variant: &Value) -> Result<bool, ApiError> {
    match client
        .call(Method::POST, "v1/variants", Some(variant))
        .await
    {
        Ok(_) => Ok(true),
        Err(error) if error.is_conflict() => Ok(false),
        Err(error) => Err(error),
    }
}

/// `width=320,fit=cover` as an object, with numbers as numbers.
fn parse_options(text: &str) -> Result<Map<String, Value>, CommandError> {
    let mut options = Map::new();
    for pair in text.split(',').filter(|pair| !pair.trim().is_empty()) {
        let (name, value) = pair.split_once('=').ok_or_else(|| {
            CommandError::new(format!(
                "options must be as in `width=320,fit=cover`, got `{pair}`"
            ))
        })?;
        let (name, value) = (name.trim(), value.trim());
        let number = value.parse::<i64>().map(Value::from).ok();
        let number = number.or_else(|| value.parse::<f64>().ok().map(Value::from));
        let number = number.filter(|number| !number.is_null());
        let value = number.unwrap_or_else(|| Value::from(value));
        options.insert(name.to_owned(), value);
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::parse_options;

    #[test]
    fn options_are_written_as_in_a_url() {
        let found = parse_options("width=320, fit=cover,dpr=1.5,background=#fff,").ok();
        let wanted = json!({"width": 320, "fit": "cover", "dpr": 1.5, "background": "#fff"});
        assert_eq!(found.as_ref(), wanted.as_object());
        assert!(parse_options("width").is_err());
        assert_eq!(parse_options("").ok().map(|found| found.len()), Some(0));
    }
}

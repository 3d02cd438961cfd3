//! Rewrites messages about wrong settings for operators.

use toml::Value;

/// A message of serde or of the standard library in plain words, without the names of Rust's types. `given` is the value that it is about.
pub(super) fn plain(message: &str, given: Option<&Value>) -> String {
    if let Some(field) = missing_field(message) {
        return format!("`{field}` is missing");
    }
    let parts = |start: &str| message.strip_prefix(start)?.rsplit_once(", expected ");
    if let Some((_, known)) = parts("unknown field ") {
        let known = known.strip_prefix("one of ").unwrap_or(known);
        return format!("does not exist; there are {known}");
    }
    if let Some((found, known)) = parts("unknown variant ") {
        return format!("must be {known}, got {found}");
    }
    match parts("invalid type: ").or_else(|| parts("invalid value: ")) {
        Some((_, "string only")) => "must be a word in quotes".to_owned(),
        Some(("map", "a sequence")) => {
            "must be a list: its sections have two brackets, as in `[[flow]]`".to_owned()
        }
        Some((found, wanted)) => format!("must be {}, got {}", kind(wanted), value(found)),
        None if message == "invalid socket address syntax" => {
            let given = given.and_then(Value::as_str).unwrap_or_default();
            format!("must be {ADDRESS}, got `{given}`")
        }
        None => message.to_owned(),
    }
}

/// The field that a message says is missing.
pub(super) fn missing_field(message: &str) -> Option<&str> {
    message.strip_prefix("missing field `")?.strip_suffix('`')
}

const ADDRESS: &str = "an IP address and a port, such as \"127.0.0.1:8080\" or \"[::]:8080\"";

/// What a setting must be, from the words of serde.
fn kind(wanted: &str) -> &str {
    match wanted {
        "a boolean" => "`true` or `false`",
        "a string" | "path string" => "text in quotes",
        "a sequence" => "a list in brackets",
        "usize" | "u64" | "u32" => "a whole number of at least 0",
        "f64" => "a number",
        "u8" => "a whole number from 0 to 255",
        "a nonzero usize" => "a whole number above 0",
        "a nonzero u32" => "a whole number from 1 to 4294967295",
        "socket address" => ADDRESS,
        _ if wanted.starts_with("struct ") => "a section",
        other => other,
    }
}

/// The value that a setting has, from the words of serde: ``integer `-1` `` or `string "x"`.
fn value(found: &str) -> String {
    let text = found.strip_prefix("string \"");
    if let Some(text) = text.and_then(|text| text.strip_suffix('"')) {
        return format!("`{text}`");
    }
    match found {
        "sequence" => "a list".to_owned(),
        "map" => "a section".to_owned(),
        _ => found
            .find('`')
            .map_or(found, |start| &found[start..])
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    #[test]
    fn no_message_names_a_type_of_rust() {
        for (text, message) in [
            (
                "[server]\nlisten = \"localhost:8080\"\n",
                "setting `server.listen`: must be an IP address and a port, such as \"127.0.0.1:8080\" or \"[::]:8080\", got `localhost:8080`",
            ),
            (
                "[server]\nlisten = 8080\n",
                "setting `server.listen`: must be an IP address and a port, such as \"127.0.0.1:8080\" or \"[::]:8080\", got `8080`",
            ),
            (
                "[server]\nheader_timeout = 5\n",
                "setting `server.header_timeout`: must be a length of time such as \"30 s\" (units ms, s, min, h, d)",
            ),
            (
                "[server]\nprefixes = \"/images/\"\n",
                "setting `server.prefixes`: must be a list in brackets, got `/images/`",
            ),
            (
                "[flow]\nmatch = [\"/**\"]\n",
                "setting `flow`: must be a list: its sections have two brackets, as in `[[flow]]`",
            ),
            (
                "[limits]\nsource_bytes = true\n",
                "setting `limits.source_bytes`: must be a size such as \"100 MiB\" or a whole number of bytes",
            ),
            (
                "[limits]\ntruncated = true\n",
                "setting `limits.truncated`: must be a word in quotes",
            ),
            (
                "[limits]\ntruncated = \"hide\"\n",
                "setting `limits.truncated`: must be `show` or `refuse`, got `hide`",
            ),
            (
                "[limits]\nworkers = -1\n",
                "setting `limits.workers`: must be a whole number of at least 0, got `-1`",
            ),
            (
                "[fetch]\nconcurrency = 0\n",
                "setting `fetch.concurrency`: must be a whole number above 0, got `0`",
            ),
            (
                "[fetch]\nprivate_networks = [1]\n",
                "setting `fetch.private_networks`: must be `true` or `false`, got a list",
            ),
            (
                "[zone]\norign = \"x\"\n",
                "setting `zone.orign`: does not exist; there are `origin`, `originals`, `strip`",
            ),
            (
                "limits = 1\n",
                "setting `limits`: must be a section, got `1`",
            ),
        ] {
            let error = Config::parse(text, []).expect_err("the text is wrong");
            assert_eq!(error.to_string(), message);
        }
    }
}

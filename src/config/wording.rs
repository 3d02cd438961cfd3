//! Rewrites messages about wrong settings for operators.

/// A message of serde or of the standard library in plain words, without the names of Rust's types.
pub(super) fn plain(message: &str) -> String {
    const WORDS: [(&str, &str); 7] = [
        (
            "invalid socket address syntax",
            "must be an IP address and a port, such as \"127.0.0.1:8080\" or \"[::]:8080\"",
        ),
        (
            "invalid type: unit variant, expected string only",
            "must be a word in quotes",
        ),
        ("expected a sequence", "expected a list in brackets"),
        (
            "expected a nonzero usize",
            "expected a whole number above 0",
        ),
        (
            "expected a nonzero u32",
            "expected a whole number from 1 to 4294967295",
        ),
        ("expected usize", "expected a whole number of at least 0"),
        ("expected u64", "expected a whole number of at least 0"),
    ];
    if let Some((found, _)) = message.split_once(", expected struct ") {
        return format!("{found}, expected a section");
    }
    let mut words = WORDS.iter();
    let plainer = words.find_map(|(rust, plain)| Some((message.strip_suffix(rust)?, plain)));
    plainer.map_or_else(
        || message.to_owned(),
        |(found, plain)| format!("{found}{plain}"),
    )
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    #[test]
    fn no_message_names_a_type_of_rust() {
        for (text, message) in [
            (
                "[server]\nlisten = \"localhost:8080\"\n",
                "setting `server.listen`: must be an IP address and a port, such as \"127.0.0.1:8080\" or \"[::]:8080\"",
            ),
            (
                "[server]\nheader_timeout = 5\n",
                "setting `server.header_timeout`: must be a length of time such as \"30 s\" (units ms, s, min, h, d)",
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
                "[limits]\nworkers = -1\n",
                "setting `limits.workers`: invalid value: integer `-1`, expected a whole number of at least 0",
            ),
            (
                "[fetch]\nconcurrency = 0\n",
                "setting `fetch.concurrency`: invalid value: integer `0`, expected a whole number above 0",
            ),
            (
                "[limits]\nsource_bytes = 0\n",
                "setting `limits.source_bytes`: must be more than zero, such as \"100 MiB\", got `0 B`",
            ),
            (
                "[fetch]\nidle_timeout = \"0 ms\"\n",
                "setting `fetch.idle_timeout`: must be more than zero, such as \"10 s\", got `0 s`",
            ),
            (
                "[fetch]\nconnections_per_origin = 0\n",
                "setting `fetch.connections_per_origin`: invalid value: integer `0`, expected a whole number above 0",
            ),
            (
                "[admin]\nhosts = \"safelight\"\n",
                "setting `admin.hosts`: invalid type: string \"safelight\", expected a list in brackets",
            ),
            (
                "limits = 1\n",
                "setting `limits`: invalid type: integer `1`, expected a section",
            ),
        ] {
            let error = Config::parse(text, []).expect_err("the text is wrong");
            assert_eq!(error.to_string(), message);
        }
    }
}

//! Variables of the environment that are settings, over those of the file.

use std::collections::BTreeMap;
use std::env;

use toml::Table;
use toml::Value;

/// Variables that begin with this are settings: `SAFELIGHT__SERVER__LISTEN` is `server.listen`.
const PREFIX: &str = "SAFELIGHT__";

/// The variables that were put over a file, by the settings that come from them.
#[derive(Debug, Default)]
pub(super) struct Overlay(BTreeMap<String, String>);

impl Overlay {
    /// Puts a variable into the table. Its value is parsed as TOML (numbers, lists, tables), or else taken as text.
    ///
    /// # Errors
    /// A text, where the file has a value at the place of a section.
    pub(super) fn put(&mut self, table: &mut Table, name: &str, text: &str) -> Result<(), String> {
        let path = name
            .strip_prefix(PREFIX)
            .unwrap_or(name)
            .to_ascii_lowercase();
        let steps: Vec<&str> = path.split("__").collect();
        let Some((last, sections)) = steps.split_last() else {
            return Ok(());
        };
        let value = format!("value = {text}")
            .parse::<Table>()
            .ok()
            .and_then(|mut table| table.remove("value"));
        let value = value.unwrap_or_else(|| Value::String(text.to_owned()));
        let mut inner = table;
        for section in sections {
            let entry = inner
                .entry((*section).to_owned())
                .or_insert_with(|| Value::Table(Table::new()));
            inner = entry
                .as_table_mut()
                .ok_or_else(|| format!("variable `{name}`: `{section}` is not a section"))?;
        }
        inner.insert((*last).to_owned(), value);
        self.0.insert(steps.join("."), name.to_owned());
        Ok(())
    }

    /// The variable that a setting comes from, or what it is in.
    pub(super) fn source(&self, setting: &str) -> Option<&str> {
        let is_in = |outer: &str| {
            let rest = setting.strip_prefix(outer);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        let found = self.0.iter().rfind(|(outer, _)| is_in(outer));
        found.map(|(_, name)| name.as_str())
    }
}

/// The settings in the environment.
#[expect(
    clippy::disallowed_methods,
    reason = "settings come from here and nowhere else"
)]
pub(super) fn variables() -> impl Iterator<Item = (String, String)> {
    env::vars_os().filter_map(|(name, value)| {
        let name = name.into_string().ok()?;
        name.starts_with(PREFIX)
            .then(|| (name, value.to_string_lossy().into_owned()))
    })
}

//! Variables of the environment that are no settings: those that commands share with other tools.

use std::env;

/// The value of a variable, if it is set and not empty.
#[expect(clippy::disallowed_methods, reason = "the environment is read here")]
pub(crate) fn variable(name: &str) -> Option<String> {
    let value = env::var_os(name)?.to_string_lossy().into_owned();
    Some(value).filter(|value| !value.is_empty())
}

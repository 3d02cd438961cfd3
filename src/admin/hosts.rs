//! The host names that the admin listener answers to. A hostile page can let its own name resolve to this machine (DNS rebinding) and then read the
//! answers, because for the browser they come from the page's own host. So only known names are accepted.
//!
//! Every IP address is accepted: nobody can let an address lead elsewhere, and health checks of a pod or a container use its address.

use std::fmt;

use serde::Deserialize;

use crate::server::Host;

/// A host name, or `*.` with a name, for that name and all its subdomains.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct HostName {
    name: String,
    with_subdomains: bool,
}

/// An entry of `hosts` that is not a host name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostNameError(String);

impl fmt::Display for HostNameError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "`hosts` must be names without scheme and port, such as \"safelight\" or \"*.internal\", got `{}`",
            self.0
        )
    }
}

impl std::error::Error for HostNameError {}

impl TryFrom<String> for HostName {
    type Error = HostNameError;

    fn try_from(text: String) -> Result<Self, HostNameError> {
        let (with_subdomains, name) = match text.strip_prefix("*.") {
            Some(name) => (true, name),
            None => (false, text.as_str()),
        };
        let is_name = name.split('.').all(|label| {
            let mut bytes = label.bytes();
            !label.is_empty()
                && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        });
        if !is_name {
            return Err(HostNameError(text));
        }
        Ok(HostName {
            name: name.to_ascii_lowercase(),
            with_subdomains,
        })
    }
}

impl HostName {
    fn matches(&self, name: &str) -> bool {
        match name.strip_suffix(self.name.as_str()) {
            Some("") => true,
            Some(rest) => self.with_subdomains && rest.ends_with('.'),
            None => false,
        }
    }
}

/// Whether the listener answers to a host. A request of HTTP/1.0 without a host is accepted, because no browser sends one.
pub(super) fn is_accepted(host: Option<Host<'_>>, names: &[HostName]) -> bool {
    let Some(host) = host else { return true };
    if host.is_address() {
        return true;
    }
    let name = host.name().to_ascii_lowercase();
    let name = name.strip_suffix('.').unwrap_or(&name);
    // `localhost` and its subdomains are always this machine (RFC 6761, section 6.3).
    let is_loopback = name == "localhost" || name.ends_with(".localhost");
    is_loopback || names.iter().any(|known| known.matches(name))
}

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::HostName;
    use super::is_accepted;
    use crate::server::Host;

    fn is_answered(host: &str, names: &[&str]) -> bool {
        let names: Vec<HostName> = names
            .iter()
            .map(|name| HostName::try_from((*name).to_owned()).expect("a name"))
            .collect();
        let request = Request::get("/metrics").header("host", host).body(());
        let (head, ()) = request.expect("a request").into_parts();
        is_accepted(Host::of(&head).expect("a host"), &names)
    }

    #[test]
    fn addresses_and_localhost_are_accepted() {
        for host in [
            "localhost",
            "localhost:8081",
            "LOCALHOST.",
            "safelight.localhost",
            "127.0.0.1:8081",
            "127.9.9.9",
            "[::1]:8081",
            "10.1.2.3:8081",
        ] {
            assert!(is_answered(host, &[]), "{host}");
        }
        assert!(is_accepted(None, &[]));
    }

    #[test]
    fn other_names_are_accepted_where_they_are_configured() {
        for host in [
            "evil.test",
            "evil.test:8081",
            "localhost.evil.test",
            "evillocalhost",
            "127.0.0.1.evil.test",
            "127.1",
            "2130706433",
        ] {
            assert!(!is_answered(host, &["safelight", "*.internal"]), "{host}");
        }
        for host in ["safelight:8081", "Safelight.", "internal", "a.b.internal"] {
            assert!(is_answered(host, &["Safelight", "*.internal"]), "{host}");
        }
        for host in ["a.safelight", "xinternal"] {
            assert!(!is_answered(host, &["safelight", "*.internal"]), "{host}");
        }
    }

    #[test]
    fn an_entry_that_is_not_a_name_is_refused() {
        for text in [
            "", "*", "*.", "h:80", "http://h", "h/x", "a..b", ".h", "h.", "u@h", "a b", "**.h",
        ] {
            assert!(HostName::try_from(text.to_owned()).is_err(), "{text}");
        }
    }
}

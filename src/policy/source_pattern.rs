//! A pattern for sources, in settings that apply to some of them.

use std::fmt;

use serde::Deserialize;

use crate::policy::origin_pattern::{OriginPattern, OriginPatternError};
use crate::policy::sources::{ApprovedSource, SourceLocation};
use crate::policy::zone::{ZoneOrigin, zone_url};

/// Some of the sources: `zone`, `bucket:NAME`, or an origin as the list of allowed ones writes it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum SourcePattern {
    /// The sources without a host, wherever the zone is.
    Zone,
    /// The configured bucket of this name.
    Bucket(String),
    /// The sources on such a server, also where it is the one of the zone.
    Origin(OriginPattern),
}

/// A text that is no pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourcePatternError(OriginPatternError);

impl fmt::Display for SourcePatternError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "sources are `zone`, `bucket:NAME` or an origin: {}",
            self.0
        )
    }
}

impl std::error::Error for SourcePatternError {}

impl TryFrom<String> for SourcePattern {
    type Error = SourcePatternError;

    fn try_from(text: String) -> Result<Self, SourcePatternError> {
        match text.split_once(':') {
            None if text == "zone" => Ok(SourcePattern::Zone),
            Some(("bucket", name)) => Ok(SourcePattern::Bucket(name.to_owned())),
            _ => OriginPattern::try_from(text)
                .map(SourcePattern::Origin)
                .map_err(SourcePatternError),
        }
    }
}

impl SourcePattern {
    /// Whether the pattern covers a source, in a configuration with this zone.
    pub(crate) fn covers(&self, source: &ApprovedSource, zone: &ZoneOrigin) -> bool {
        match (self, source.location()) {
            (SourcePattern::Zone, SourceLocation::Zone { .. }) => true,
            (SourcePattern::Zone, SourceLocation::Bucket { name, .. }) => {
                matches!(zone, ZoneOrigin::Bucket(zone) if zone == name)
            }
            (SourcePattern::Bucket(wanted), SourceLocation::Bucket { name, .. }) => wanted == name,
            (SourcePattern::Origin(origin), SourceLocation::Http(url)) => origin.allows(url),
            (SourcePattern::Origin(origin), SourceLocation::Zone { path, query }) => match zone {
                ZoneOrigin::Http(base) => origin.allows(&zone_url(base, path, query.as_deref())),
                ZoneOrigin::Folder(_) | ZoneOrigin::Bucket(_) | ZoneOrigin::None => false,
            },
            // Hosted images are fresh for as long as they exist.
            (_, SourceLocation::Hosted { .. })
            | (SourcePattern::Zone, SourceLocation::Http(_))
            | (SourcePattern::Bucket(_), SourceLocation::Zone { .. } | SourceLocation::Http(_))
            | (SourcePattern::Origin(_), SourceLocation::Bucket { .. }) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::SourcePattern;
    use super::ZoneOrigin;
    use crate::bucket::{AddressingStyle, BucketAddress, Config as BucketConfig, Credentials};
    use crate::policy::{Allowlist, ApprovedSource};

    fn pattern(text: &str) -> SourcePattern {
        SourcePattern::try_from(text.to_owned()).expect(text)
    }

    fn zone(text: &str) -> ZoneOrigin {
        ZoneOrigin::try_from(text.to_owned()).expect(text)
    }

    /// What a URL or, without a host, a path of the zone leads to.
    fn source(zone: &ZoneOrigin, text: &str) -> ApprovedSource {
        let bucket = BucketConfig {
            name: "photos".to_owned(),
            bucket: "my-bucket".to_owned(),
            region: String::new(),
            endpoint: "http://s3.test".to_owned(),
            style: AddressingStyle::Path,
            credentials: Credentials::Anonymous,
        };
        let allowed = ["*.b.com", "b.com:8080"]
            .map(|entry| entry.to_owned().try_into().expect("an entry"))
            .to_vec();
        let bucket = BucketAddress::of(&bucket).expect("an address");
        let allowlist = Allowlist::new(allowed, zone.clone(), vec![bucket], &[]).expect("they fit");
        let source = match Url::parse(text) {
            Ok(url) => allowlist.approve(&url),
            Err(_) => allowlist.approve_zone(text),
        };
        source.expect(text)
    }

    #[track_caller]
    fn check(origin: &str, text: &str, covered_by: &[&str]) {
        let zone = zone(origin);
        let source = source(&zone, text);
        for name in [
            "zone",
            "bucket:photos",
            "bucket:other",
            "b.com",
            "*.b.com/themes",
            "o.test",
            "o.test/base/x",
            "s3.test",
        ] {
            let is_covered = pattern(name).covers(&source, &zone);
            assert_eq!(
                is_covered,
                covered_by.contains(&name),
                "{name} {origin} {text}"
            );
        }
    }

    #[test]
    fn sources_are_told_apart_by_where_they_are() {
        let folder = "file:/srv/photos";
        check(folder, "/themes/a.jpg", &["zone"]);
        check(folder, "https://b.com/a.jpg", &["b.com"]);
        check(
            folder,
            "https://b.com/themes/a.jpg",
            &["b.com", "*.b.com/themes"],
        );
        check(folder, "https://x.b.com/themes/a.jpg", &["*.b.com/themes"]);
        check(folder, "http://b.com:8080/a.jpg", &[]);
        check(folder, "http://s3.test/my-bucket/a.jpg", &["bucket:photos"]);
    }

    #[test]
    fn the_zone_is_the_zone_whatever_it_is() {
        check("bucket:photos", "/a.jpg", &["zone", "bucket:photos"]);
        check("http://o.test/base", "/a.jpg?v=1", &["zone", "o.test"]);
        check(
            "http://o.test/base",
            "/x/a.jpg",
            &["zone", "o.test", "o.test/base/x"],
        );
        check(
            "http://o.test/base",
            "http://o.test/base/x/a.jpg",
            &["zone", "o.test", "o.test/base/x"],
        );
        check("http://o.test:81", "/a.jpg", &["zone"]);
    }

    #[test]
    fn wrong_patterns_are_named() {
        for text in ["", "https://b.com", "*", "b com"] {
            let error = SourcePattern::try_from(text.to_owned()).expect_err(text);
            let error = error.to_string();
            assert!(
                error.starts_with("sources are `zone`, `bucket:NAME` or an origin: "),
                "{error}"
            );
            assert!(error.contains(&format!("got `{text}`: ")), "{error}");
        }
    }
}

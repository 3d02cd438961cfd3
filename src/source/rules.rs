//! Finds the freshness rules of a source: those of the first `[[cache.rule]]` that names it, or else those of `[cache]`.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;

use crate::freshness::{Rules, Tag};
use crate::policy::{ApprovedSource, SourceLocation, SourcePattern, ZoneOrigin};
use crate::units::Seconds;

/// Section `[[cache.rule]]`: freshness rules for some sources. What it leaves out comes from `[cache]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleConfig {
    /// The sources that this rule is for. Of several rules for a source the first one counts.
    pub sources: Vec<SourcePattern>,
    /// The shortest lifetime, whatever the origin sends.
    pub min_ttl: Option<Seconds>,
    /// The longest lifetime, whatever the origin sends.
    pub max_ttl: Option<Seconds>,
    /// The lifetime where the origin gives none.
    pub default_ttl: Option<Seconds>,
    /// How long a stale source may be used while it is revalidated, where the origin does not say.
    pub stale_while_revalidate: Option<Seconds>,
    /// How long a stale source may be used if its origin fails, where the origin does not say.
    pub stale_if_error: Option<Seconds>,
    /// Tags to purge the sources by, besides those in their `Cache-Tag` header.
    #[serde(default)]
    pub tags: Vec<Tag>,
}

/// The rules of all sources.
#[derive(Clone, Debug)]
pub(super) struct RuleSet {
    zone: ZoneOrigin,
    /// In the order of the settings.
    special: Vec<(Vec<SourcePattern>, SourceRules)>,
    general: SourceRules,
    /// Those of hosted images.
    hosted: SourceRules,
}

/// How long a hosted image is fresh: it never changes.
const HOSTED_TTL: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The rules for one source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SourceRules {
    pub(super) freshness: Rules,
    /// The operator's tags.
    pub(super) tags: Vec<Tag>,
}

impl RuleSet {
    /// `general` is for sources that none of `special` names. `buckets` are the names of the configured buckets.
    pub(super) fn new<'a>(
        general: Rules,
        special: &[RuleConfig],
        zone: &ZoneOrigin,
        buckets: impl Iterator<Item = &'a str> + Clone,
    ) -> Result<Self, RuleError> {
        let special = special.iter().enumerate().map(|(index, config)| {
            let rules = source_rules(config, &general, buckets.clone());
            let rules = rules.map_err(|problem| RuleError { index, problem })?;
            Ok((config.sources.clone(), rules))
        });
        Ok(RuleSet {
            zone: zone.clone(),
            special: special.collect::<Result<_, _>>()?,
            general: SourceRules {
                freshness: general,
                tags: Vec::new(),
            },
            hosted: SourceRules {
                freshness: Rules {
                    min_ttl: HOSTED_TTL,
                    max_ttl: HOSTED_TTL,
                    default_ttl: Some(HOSTED_TTL),
                    stale_while_revalidate: Duration::ZERO,
                    stale_if_error: Duration::ZERO,
                },
                tags: Vec::new(),
            },
        })
    }

    /// The rules for `source`.
    pub(super) fn of(&self, source: &ApprovedSource) -> &SourceRules {
        if let SourceLocation::Hosted { .. } = source.location() {
            return &self.hosted;
        }
        let named = |patterns: &[SourcePattern]| {
            patterns
                .iter()
                .any(|pattern| pattern.covers(source, &self.zone))
        };
        self.special
            .iter()
            .find(|(patterns, _)| named(patterns))
            .map_or(&self.general, |(_, rules)| rules)
    }
}

fn source_rules<'a>(
    config: &RuleConfig,
    general: &Rules,
    buckets: impl Iterator<Item = &'a str> + Clone,
) -> Result<SourceRules, Problem> {
    let RuleConfig {
        sources,
        min_ttl,
        max_ttl,
        default_ttl,
        stale_while_revalidate,
        stale_if_error,
        tags,
    } = config;
    if sources.is_empty() {
        return Err(Problem::NoSources);
    }
    for pattern in sources {
        if let SourcePattern::Bucket(name) = pattern
            && !buckets.clone().any(|bucket| bucket == name)
        {
            return Err(Problem::UnknownBucket(name.clone()));
        }
    }
    let or = |special: &Option<Seconds>, general| special.map_or(general, Seconds::duration);
    let rules = Rules {
        min_ttl: or(min_ttl, general.min_ttl),
        max_ttl: or(max_ttl, general.max_ttl),
        default_ttl: default_ttl.map(Seconds::duration).or(general.default_ttl),
        stale_while_revalidate: or(stale_while_revalidate, general.stale_while_revalidate),
        stale_if_error: or(stale_if_error, general.stale_if_error),
    };
    let (low, high) = (rules.min_ttl.as_secs(), rules.max_ttl.as_secs());
    match (min_ttl, low <= high) {
        (_, true) => {}
        (Some(_), false) => return Err(Problem::MinAboveMax(low, high)),
        (None, false) => return Err(Problem::MaxBelowMin(high, low)),
    }
    Ok(SourceRules {
        freshness: rules,
        tags: tags.clone(),
    })
}

/// A `[[cache.rule]]` that contradicts itself or other settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleError {
    /// Its position in the list, from zero.
    index: usize,
    problem: Problem,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Problem {
    NoSources,
    UnknownBucket(String),
    /// Both in seconds.
    MinAboveMax(u64, u64),
    MaxBelowMin(u64, u64),
}

impl fmt::Display for RuleError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RuleError { index, problem } = self;
        write!(out, "setting `cache.rule[{index}].")?;
        match problem {
            Problem::NoSources => out.write_str(
                "sources` must name at least one, such as \"b.com\", \"bucket:photos\" or \"zone\"",
            ),
            Problem::UnknownBucket(name) => write!(
                out,
                "sources`: `bucket:{name}` must be the `name` of a [[bucket]] section, and not that of `cache.shared.bucket`"
            ),
            Problem::MinAboveMax(min_ttl, max_ttl) => write!(
                out,
                "min_ttl` must not exceed the max_ttl of the rule ({max_ttl} s), got {min_ttl} s"
            ),
            Problem::MaxBelowMin(max_ttl, min_ttl) => write!(
                out,
                "max_ttl` must not be below the min_ttl of the rule ({min_ttl} s), got {max_ttl} s"
            ),
        }
    }
}

impl std::error::Error for RuleError {}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde::Deserialize;
    use url::Url;

    use super::RuleConfig;
    use super::RuleError;
    use super::RuleSet;
    use crate::freshness::{Rules, Tag};
    use crate::policy::{Config, Policy, SourcesConfig, ZoneConfig, ZoneOrigin};

    fn rules(text: &str) -> Vec<RuleConfig> {
        #[derive(Deserialize)]
        struct Section {
            rule: Vec<RuleConfig>,
        }
        let section: Section = toml::from_str(text).expect("rules as an operator writes them");
        section.rule
    }

    fn rule_set(text: &str) -> Result<RuleSet, RuleError> {
        let names = ["photos"].into_iter();
        RuleSet::new(
            Rules::default(),
            &rules(text),
            &ZoneOrigin::default(),
            names,
        )
    }

    fn hours(hours: u64) -> Duration {
        Duration::from_secs(hours * 60 * 60)
    }

    #[test]
    fn the_first_rule_for_a_source_counts_and_the_general_ones_fill_its_gaps() {
        let text = r#"
            [[rule]]
            sources = ["zone"]
            min_ttl = "0 s"

            [[rule]]
            sources = ["a.com", "*.b.com/themes"]
            min_ttl = "2 h"
            default_ttl = "3 h"
            tags = ["Themes"]

            [[rule]]
            sources = ["*.b.com"]
            max_ttl = "4 h"
            stale_while_revalidate = "5 h"
            stale_if_error = "6 h"
        "#;
        let allowed = ["a.com", "*.b.com", "c.com"]
            .map(|entry| entry.to_owned().try_into().expect("an entry"))
            .to_vec();
        let config = Config {
            sources: SourcesConfig { allowed },
            ..Config::default()
        };
        let policy = Policy::new(&config, ZoneConfig::default(), Vec::new()).expect("they fit");
        let rule_set = rule_set(text).expect("sound rules");
        let of = |url: &str| {
            let url = Url::parse(url).expect("a URL");
            let source = policy.allowlist().approve(&url).expect("it is allowed");
            rule_set.of(&source).clone()
        };

        assert_eq!(of("http://c.com/themes/a.jpg").freshness, Rules::default());
        let themes = of("http://x.b.com/themes/a.jpg");
        assert_eq!(themes, of("http://a.com/"));
        assert_eq!(themes.tags, [Tag::new("themes").expect("a tag")]);
        assert_eq!(
            themes.freshness,
            Rules {
                min_ttl: hours(2),
                default_ttl: Some(hours(3)),
                ..Rules::default()
            }
        );
        assert_eq!(
            of("http://x.b.com/a.jpg").freshness,
            Rules {
                max_ttl: hours(4),
                stale_while_revalidate: hours(5),
                stale_if_error: hours(6),
                ..Rules::default()
            }
        );
        let zone = policy.allowlist().approve_zone("/a.jpg").expect("it is");
        assert_eq!(rule_set.of(&zone).freshness.min_ttl, Duration::ZERO);
    }

    #[test]
    fn a_contradictory_rule_is_named() {
        for (text, expected) in [
            (
                "sources = []",
                "setting `cache.rule[1].sources` must name at least one, such as \"b.com\", \"bucket:photos\" or \"zone\"",
            ),
            (
                "sources = [\"bucket:photos\", \"bucket:other\"]",
                "setting `cache.rule[1].sources`: `bucket:other` must be the `name` of a [[bucket]] section, and not that of `cache.shared.bucket`",
            ),
            (
                "sources = [\"zone\"]\nmin_ttl = \"400 d\"",
                "setting `cache.rule[1].min_ttl` must not exceed the max_ttl of the rule (31536000 s), got 34560000 s",
            ),
            (
                "sources = [\"zone\"]\nmin_ttl = \"2 h\"\nmax_ttl = \"1 h\"",
                "setting `cache.rule[1].min_ttl` must not exceed the max_ttl of the rule (3600 s), got 7200 s",
            ),
            (
                "sources = [\"zone\"]\nmax_ttl = \"1 min\"",
                "setting `cache.rule[1].max_ttl` must not be below the min_ttl of the rule (3600 s), got 60 s",
            ),
        ] {
            let text = format!("[[rule]]\nsources = [\"zone\"]\n[[rule]]\n{text}");
            let error = rule_set(&text).expect_err("the second rule is wrong");
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn unknown_and_malformed_settings_are_refused() {
        for text in [
            "min_ttl = \"1 h\"",
            "sources = [\"zone\"]\nttl = \"1 h\"",
            "sources = [\"https://b.com\"]",
            "sources = [\"zone\"]\ntags = [\"two words\"]",
        ] {
            assert!(toml::from_str::<RuleConfig>(text).is_err(), "{text}");
        }
    }
}

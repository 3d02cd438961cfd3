//! A strict parser of Prometheus' text format: text that does not parse fails the test.

use std::collections::{BTreeMap, BTreeSet};

/// All samples of one response.
pub struct Metrics {
    samples: Vec<Sample>,
    /// Names that `# TYPE` lines introduce.
    pub types: BTreeMap<String, String>,
}

struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

impl Metrics {
    #[track_caller]
    pub fn parse(text: &str) -> Self {
        let mut samples = Vec::new();
        let mut types = BTreeMap::new();
        let mut seen = BTreeSet::new();
        let mut lines = text.lines().peekable();
        while let Some(line) = lines.next() {
            if let Some(comment) = line.strip_prefix("# ") {
                let words: Vec<_> = comment.splitn(3, ' ').collect();
                match words[..] {
                    ["TYPE", name, kind] => {
                        let known = ["counter", "gauge", "histogram"].contains(&kind);
                        assert!(known, "an unknown type: {line}");
                        let twice = types.insert(name.to_owned(), kind.to_owned());
                        assert!(twice.is_none(), "a second type: {line}");
                    }
                    ["HELP" | "UNIT", _, _] => {}
                    ["EOF"] => assert!(lines.peek().is_none(), "lines after the end"),
                    _ => panic!("no comment of the format: {line}"),
                }
                continue;
            }
            let (series, value) = line
                .rsplit_once(' ')
                .unwrap_or_else(|| panic!("no value: {line}"));
            assert!(seen.insert(series.to_owned()), "a second sample: {line}");
            let (name, labels) = match series.split_once('{') {
                Some((name, labels)) => {
                    let labels = labels.strip_suffix('}').unwrap_or_else(|| panic!("{line}"));
                    (name, labels_of(labels))
                }
                None => (series, BTreeMap::new()),
            };
            let is_typed = types.keys().any(|family| name.starts_with(family.as_str()));
            assert!(is_typed, "a sample without a type: {line}");
            samples.push(Sample {
                name: name.to_owned(),
                labels,
                value: value
                    .parse()
                    .unwrap_or_else(|_| panic!("no number: {line}")),
            });
        }
        assert!(text.ends_with("# EOF\n"), "the end is missing");
        Metrics { samples, types }
    }

    /// The sum over all samples of a name that have these labels, among others.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.samples
            .iter()
            .filter(|sample| sample.name == name)
            .filter(|sample| {
                labels
                    .iter()
                    .all(|(key, value)| sample.labels.get(*key).map(String::as_str) == Some(*value))
            })
            .map(|sample| sample.value)
            .sum()
    }
}

/// Our label values contain neither commas nor quotes.
fn labels_of(text: &str) -> BTreeMap<String, String> {
    text.split(',')
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or_else(|| panic!("{text}"));
            let value = value
                .strip_prefix('"')
                .and_then(|value| value.strip_suffix('"'))
                .unwrap_or_else(|| panic!("{text}"));
            (name.to_owned(), value.to_owned())
        })
        .collect()
}

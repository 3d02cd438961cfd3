//! A bucket as people write it: `s3://my-bucket?region=eu-west-1`.

use url::form_urlencoded;

use crate::bucket;
use crate::bucket::{AddressError, AddressingStyle, BucketAddress, Credentials};

/// A bucket that the command line names, with what it says of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct S3Target {
    bucket: String,
    region: Option<String>,
    endpoint: Option<String>,
    style: Option<AddressingStyle>,
    is_anonymous: Option<bool>,
}

impl S3Target {
    /// Reads what follows `s3://`.
    ///
    /// # Errors
    /// What is wrong, for the terminal. No value of an unknown parameter is repeated: it may be a secret.
    pub(super) fn parse(text: &str) -> Result<S3Target, String> {
        let (place, query) = text.split_once('?').unwrap_or((text, ""));
        if place.contains('@') {
            return Err(
                "TARGET must not hold keys: the credentials of a bucket come from where the AWS tools have them, or from a [[bucket]] section"
                    .to_owned(),
            );
        }
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        if bucket.is_empty() {
            return Err(
                "TARGET must name a bucket, as in `s3://my-bucket?region=eu-west-1`".to_owned(),
            );
        }
        if !prefix.is_empty() {
            return Err(format!(
                "TARGET must be a whole bucket, as in `s3://{bucket}`, got `s3://{place}`: put `{prefix}` into the URLs of pictures instead"
            ));
        }
        let mut target = S3Target {
            bucket: bucket.to_owned(),
            ..S3Target::default()
        };
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            target.set(&name, &value)?;
        }
        Ok(target)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let is_new = match name {
            "region" => self.region.replace(value.to_owned()).is_none(),
            "endpoint" => self.endpoint.replace(value.to_owned()).is_none(),
            "style" => self.style.replace(style(value)?).is_none(),
            "anonymous" => self.is_anonymous.replace(anonymous(value)?).is_none(),
            _ => {
                let name: String = name.chars().take(40).collect();
                return Err(format!(
                    "TARGET has the unknown parameter `{name}`; there are `region`, `endpoint`, `style` and `anonymous`"
                ));
            }
        };
        if is_new {
            Ok(())
        } else {
            Err(format!("TARGET must name `{name}` only once"))
        }
    }

    /// Adds the bucket to those of the settings, unless one of them is the same bucket; what the command line says of that one counts. Returns the name
    /// by which settings know the bucket.
    ///
    /// # Errors
    /// What is wrong, for the terminal.
    pub(super) fn add_to(self, buckets: &mut Vec<bucket::Config>) -> Result<String, String> {
        let section = self.section(free_name(&self.bucket, buckets));
        let position = self.position(&section, buckets).map_err(|error| {
            format!("TARGET must be as `s3://my-bucket?region=eu-west-1`: {error}")
        })?;
        let Some(known) = position.and_then(|position| buckets.get_mut(position)) else {
            let name = section.name.clone();
            buckets.push(section);
            return Ok(name);
        };
        if let Some(style) = self.style {
            known.style = style;
        }
        // The same bucket of AWS may be named with another region, and that of an endpoint with another scheme.
        known.region = self.region.unwrap_or_else(|| known.region.clone());
        known.endpoint = self.endpoint.unwrap_or_else(|| known.endpoint.clone());
        match self.is_anonymous {
            Some(true) => known.credentials = Credentials::Anonymous,
            Some(false) if known.credentials == Credentials::Anonymous => {
                known.credentials = Credentials::Chain;
            }
            Some(false) | None => {}
        }
        Ok(known.name.clone())
    }

    /// The place of the section that is the same bucket as `section`. A bucket without a region and an endpoint is where the settings have it.
    fn position(
        &self,
        section: &bucket::Config,
        buckets: &[bucket::Config],
    ) -> Result<Option<usize>, AddressError> {
        if self.region.is_none() && self.endpoint.is_none() {
            let by_name = buckets.iter().position(|known| known.bucket == self.bucket);
            if by_name.is_some() {
                return Ok(by_name);
            }
        }
        let address = BucketAddress::of(section)?;
        Ok(buckets.iter().position(|known| {
            BucketAddress::of(known).is_ok_and(|known| known.is_same_bucket(&address))
        }))
    }

    fn section(&self, name: String) -> bucket::Config {
        let endpoint = self.endpoint.clone().unwrap_or_default();
        // Every service other than AWS knows buckets in the path, and many know nothing else.
        let usual = if endpoint.is_empty() {
            AddressingStyle::Virtual
        } else {
            AddressingStyle::Path
        };
        bucket::Config {
            name,
            bucket: self.bucket.clone(),
            region: self.region.clone().unwrap_or_default(),
            endpoint,
            style: self.style.unwrap_or(usual),
            credentials: if self.is_anonymous == Some(true) {
                Credentials::Anonymous
            } else {
                Credentials::Chain
            },
        }
    }
}

/// The name of the bucket, or that and a number if another section has the name.
fn free_name(bucket: &str, buckets: &[bucket::Config]) -> String {
    let is_free = |name: &String| buckets.iter().all(|known| known.name != *name);
    let mut name = bucket.to_owned();
    let mut number = 2_usize;
    while !is_free(&name) {
        name = format!("{bucket}-{number}");
        number += 1;
    }
    name
}

fn style(value: &str) -> Result<AddressingStyle, String> {
    match value {
        "path" => Ok(AddressingStyle::Path),
        "virtual" => Ok(AddressingStyle::Virtual),
        _ => Err("TARGET: `style` must be `path` or `virtual`".to_owned()),
    }
}

fn anonymous(value: &str) -> Result<bool, String> {
    match value {
        "" | "true" => Ok(true),
        "false" => Ok(false),
        _ => Err("TARGET: `anonymous` must be alone, `true` or `false`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::S3Target;
    use crate::bucket;
    use crate::bucket::{AddressingStyle, Credentials};

    fn section(name: &str, bucket: &str, region: &str, endpoint: &str) -> bucket::Config {
        bucket::Config {
            name: name.to_owned(),
            bucket: bucket.to_owned(),
            region: region.to_owned(),
            endpoint: endpoint.to_owned(),
            style: AddressingStyle::Virtual,
            credentials: Credentials::Chain,
        }
    }

    fn added(text: &str, buckets: &mut Vec<bucket::Config>) -> Result<String, String> {
        S3Target::parse(text)?.add_to(buckets)
    }

    #[test]
    fn a_bucket_becomes_a_section() {
        let path = AddressingStyle::Path;
        let anonymous = Credentials::Anonymous;
        for (text, expected) in [
            ("b?region=eu-west-1", section("b", "b", "eu-west-1", "")),
            ("b/?region=eu-west-1", section("b", "b", "eu-west-1", "")),
            (
                "b?endpoint=https://s3.test:9000",
                bucket::Config {
                    style: path,
                    ..section("b", "b", "", "https://s3.test:9000")
                },
            ),
            (
                "my.shop?region=garage&endpoint=http%3A%2F%2F127.0.0.1%3A3900&anonymous",
                bucket::Config {
                    style: path,
                    credentials: anonymous.clone(),
                    ..section("my.shop", "my.shop", "garage", "http://127.0.0.1:3900")
                },
            ),
            (
                "b?endpoint=https://s3.test&style=virtual&anonymous=false",
                section("b", "b", "", "https://s3.test"),
            ),
            (
                "b?region=us-east-1&style=path&anonymous=true",
                bucket::Config {
                    style: path,
                    credentials: anonymous,
                    ..section("b", "b", "us-east-1", "")
                },
            ),
        ] {
            let mut buckets = Vec::new();
            assert_eq!(added(text, &mut buckets), Ok(expected.name.clone()));
            assert_eq!(buckets, [expected], "{text}");
        }
    }

    #[test]
    fn wrong_buckets_are_named() {
        for (text, message) in [
            ("", "must name a bucket, as in `s3://my-bucket"),
            ("?region=eu-west-1", "must name a bucket"),
            ("/cats?region=eu-west-1", "must name a bucket"),
            ("b", "`region` must name the bucket's AWS region"),
            ("b?region=", "`region` must name the bucket's AWS region"),
            ("b?region=eu%20west", "got `eu west`"),
            ("b?region=a&region=b", "must name `region` only once"),
            ("b?anonymous&anonymous", "must name `anonymous` only once"),
            (
                "b?regoin=a",
                "unknown parameter `regoin`; there are `region`",
            ),
            (
                "b?endpoint=s3.test:9000",
                "`endpoint` must be empty for AWS",
            ),
            (
                "b?endpoint=https://s3.test/%3Fx",
                "got `https://s3.test/?x`",
            ),
            ("b?region=a&style=host", "`path` or `virtual`"),
            ("b?region=a&anonymous=maybe", "`true` or `false`"),
            (
                "b/cats/tom?region=a",
                "a whole bucket, as in `s3://b`, got `s3://b/cats/tom`: put `cats/tom`",
            ),
            ("b:9000?region=a", "got `b:9000`"),
        ] {
            let error = added(text, &mut Vec::new()).expect_err(text);
            assert!(error.starts_with("TARGET"), "{error}");
            assert!(error.contains(message), "{text}: {error}");
        }
    }

    #[test]
    fn no_message_repeats_a_secret() {
        for text in [
            "AK:hunter2@b?region=a",
            "b?secret=hunter2",
            "b?region=a&credentials=hunter2",
            "b?endpoint=https://AK:hunter2@s3.test",
            "b?region=a&anonymous=hunter2",
        ] {
            let error = added(text, &mut Vec::new()).expect_err(text);
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_bucket_that_the_settings_know_is_that_one() {
        let keys = Credentials::Static {
            key: "AK".to_owned(),
            secret: "s".to_owned(),
        };
        let known = || {
            vec![
                section("b", "other", "us-east-1", ""),
                bucket::Config {
                    credentials: keys.clone(),
                    ..section("photos", "b", "eu-west-1", "")
                },
            ]
        };
        for text in ["b", "b?region=eu-west-1", "b?region=EU-west-1"] {
            let mut buckets = known();
            assert_eq!(added(text, &mut buckets).as_deref(), Ok("photos"), "{text}");
            assert_eq!(buckets.len(), 2);
            assert_eq!(buckets[1].credentials, keys, "{text}");
        }
        let mut buckets = known();
        assert_eq!(
            added("b?style=path&anonymous", &mut buckets).as_deref(),
            Ok("photos")
        );
        assert_eq!(buckets[1].credentials, Credentials::Anonymous);
        assert_eq!(buckets[1].style, AddressingStyle::Path);

        // AWS has every name of a bucket once.
        let mut buckets = known();
        let name = added("b?region=us-west-2", &mut buckets);
        assert_eq!(name.as_deref(), Ok("photos"));
        assert_eq!(buckets[1].region, "us-west-2");
        assert_eq!(buckets[1].credentials, keys);

        // Elsewhere it is another bucket, and the name of another section is taken.
        let mut buckets = known();
        let name = added("b?endpoint=https://s3.test", &mut buckets);
        assert_eq!(name.as_deref(), Ok("b-2"));
        assert_eq!(buckets.len(), 3);
        assert_eq!(buckets[..2], known());
    }
}

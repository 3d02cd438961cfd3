//! Reads what is asked of a list: pages, filters by creator, prefix, name and time, and filters by metadata as Cloudflare has them.

use chrono::DateTime;

use crate::api::error::ApiError;
use crate::hosted::{ImageQuery, MetaFilter, MetaTest};

/// The most images of a page with page numbers, and the default.
const MAX_PER_PAGE: usize = 10_000;
const PER_PAGE: usize = 1000;
/// The most filters by metadata.
const MAX_FILTERS: usize = 5;
/// The most values of one filter.
const MAX_VALUES: usize = 10;
/// The longest path of a filter, in names and in characters.
const MAX_NAMES: usize = 5;
const MAX_PATH: usize = 100;

/// The fields of a query. Unknown ones are ignored; of a field that is there twice, the last counts.
pub(super) struct Query<'a>(pub &'a [(String, String)]);

impl Query<'_> {
    /// The text of a field.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().rev().find(|(field, _)| field == name);
        found.map(|(_, text)| text.as_str())
    }

    /// The text of a field that is not empty. An empty variable of a script is no filter.
    fn filled(&self, name: &str) -> Option<String> {
        let text = self.text(name).filter(|text| !text.is_empty());
        text.map(str::to_owned)
    }

    /// A whole number in a range.
    pub(super) fn number(
        &self,
        name: &str,
        range: std::ops::RangeInclusive<usize>,
    ) -> Result<Option<usize>, ApiError> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        let number = text.parse().ok().filter(|number| range.contains(number));
        number.map(Some).ok_or_else(|| {
            let (first, last) = (range.start(), range.end());
            let got = excerpt(text);
            ApiError::bad_request(format!(
                "`{name}` must be a whole number from {first} to {last}, got `{got}`"
            ))
        })
    }

    /// How many images a page has.
    pub(super) fn per_page(&self) -> Result<usize, ApiError> {
        let number = self.number("per_page", 1..=MAX_PER_PAGE)?;
        Ok(number.unwrap_or(PER_PAGE))
    }

    /// A time in milliseconds since 1970.
    fn time(&self, name: &str) -> Result<Option<u64>, ApiError> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        let millis = millis(text).ok_or_else(|| {
            let got = excerpt(text);
            ApiError::bad_request(format!(
                "`{name}` must be a time as in `2026-11-29T10:30:00Z`, got `{got}`"
            ))
        })?;
        Ok(Some(millis))
    }

    fn boolean(&self, name: &str) -> Result<bool, ApiError> {
        match self.text(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(text) => {
                let got = excerpt(text);
                let message = format!("`{name}` must be `true` or `false`, got `{got}`");
                Err(ApiError::bad_request(message))
            }
        }
    }

    /// Everything by which images are chosen.
    pub(super) fn filters(&self) -> Result<ImageQuery, ApiError> {
        Ok(ImageQuery {
            creator: self.text("creator").map(str::to_owned),
            prefix: self.filled("prefix"),
            uploaded_after: self.time("uploaded_after")?,
            uploaded_before: self.time("uploaded_before")?,
            filename: self.filled("filename"),
            drafts: self.boolean("draft")?,
            meta: self.meta()?,
            ..ImageQuery::default()
        })
    }

    /// Whether the newest images come first.
    pub(super) fn newest_first(&self) -> Result<bool, ApiError> {
        match self.text("sort_order") {
            None | Some("desc") => Ok(true),
            Some("asc") => Ok(false),
            Some(text) => {
                let got = excerpt(text);
                let message = format!("`sort_order` must be `asc` or `desc`, got `{got}`");
                Err(ApiError::bad_request(message))
            }
        }
    }

    fn meta(&self) -> Result<Vec<MetaFilter>, ApiError> {
        let fields = self.0.iter();
        let fields: Vec<_> = fields
            .filter_map(|(name, text)| Some((name.strip_prefix("meta.")?, text)))
            .collect();
        if fields.len() > MAX_FILTERS {
            return Err(ApiError::bad_request(format!(
                "Too many metadata filters: {} provided, maximum {MAX_FILTERS} allowed",
                fields.len()
            )));
        }
        let filters = fields.into_iter();
        filters
            .map(|(name, text)| meta_filter(name, text))
            .collect()
    }
}

/// A time as RFC 3339 writes it, in milliseconds since 1970. A `+` of its offset may have become a space on its way.
pub(super) fn millis(text: &str) -> Option<u64> {
    let text = text.trim().replace(' ', "+");
    let time = DateTime::parse_from_rfc3339(&text).ok()?;
    u64::try_from(time.timestamp_millis()).ok()
}

/// The filter `PATH[OPERATOR]=text`.
fn meta_filter(name: &str, text: &str) -> Result<MetaFilter, ApiError> {
    let (path, operator) = match name.split_once('[') {
        None => (name, "eq"),
        Some((path, rest)) => (
            path,
            rest.strip_suffix(']').ok_or_else(|| unsupported(rest))?,
        ),
    };
    let names: Vec<_> = path.split('.').map(str::to_owned).collect();
    let is_name = |name: &String| {
        !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    if path.len() > MAX_PATH || names.len() > MAX_NAMES || !names.iter().all(is_name) {
        let path = excerpt(path);
        return Err(ApiError::bad_request(format!(
            "Invalid metadata path: `{path}` must have up to {MAX_NAMES} names of letters, digits and underscores with dots between them, and {MAX_PATH} characters"
        )));
    }
    Ok(MetaFilter {
        path: names,
        test: meta_test(operator, text)?,
    })
}

fn meta_test(operator: &str, text: &str) -> Result<MetaTest, ApiError> {
    let (word, kind) = operator.split_once(':').unwrap_or((operator, ""));
    let test = match (word, kind) {
        ("eq", "") => MetaTest::Text(vec![text.to_owned()]),
        ("eq", "string") => MetaTest::String(vec![text.to_owned()]),
        ("eq", "number") => MetaTest::Number(vec![number(text)?]),
        ("eq", "boolean") => MetaTest::Boolean(match text {
            "true" => true,
            "false" => false,
            _ => {
                let got = excerpt(text);
                let message =
                    format!("Invalid metadata filter value: `{got}` must be `true` or `false`");
                return Err(ApiError::bad_request(message));
            }
        }),
        ("in", "") => MetaTest::Text(values(text)?),
        ("in", "string") => MetaTest::String(values(text)?),
        ("in", "number") => {
            let values = values(text)?;
            MetaTest::Number(
                values
                    .iter()
                    .map(|text| number(text))
                    .collect::<Result<_, _>>()?,
            )
        }
        ("gt", "" | "number") => MetaTest::Above(number(text)?, false),
        ("gte", "" | "number") => MetaTest::Above(number(text)?, true),
        ("lt", "" | "number") => MetaTest::Below(number(text)?, false),
        ("lte", "" | "number") => MetaTest::Below(number(text)?, true),
        _ => return Err(unsupported(operator)),
    };
    Ok(test)
}

fn values(text: &str) -> Result<Vec<String>, ApiError> {
    let values: Vec<_> = text.split('|').map(str::to_owned).collect();
    if values.len() > MAX_VALUES {
        return Err(ApiError::bad_request(format!(
            "Too many metadata filter values: {} provided, maximum {MAX_VALUES} allowed",
            values.len()
        )));
    }
    Ok(values)
}

fn number(text: &str) -> Result<f64, ApiError> {
    let number = text.parse().ok().filter(|number: &f64| number.is_finite());
    number.ok_or_else(|| {
        let got = excerpt(text);
        ApiError::bad_request(format!(
            "Invalid metadata filter value: `{got}` must be a number"
        ))
    })
}

fn unsupported(operator: &str) -> ApiError {
    let operator = excerpt(operator);
    ApiError::bad_request(format!(
        "Unsupported metadata filter operator: '{operator}'"
    ))
}

pub(super) fn excerpt(text: &str) -> String {
    text.chars().take(100).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::{Query, millis};
    use crate::hosted::MetaTest;

    fn query(text: &str) -> Vec<(String, String)> {
        serde_urlencoded::from_str(text).expect("a query")
    }

    #[track_caller]
    fn check(text: &str, expected: &[(&str, MetaTest)]) {
        let fields = query(text);
        let filters = Query(&fields).filters().expect(text);
        let read: Vec<_> = filters
            .meta
            .into_iter()
            .map(|filter| (filter.path.join("."), filter.test))
            .collect();
        let expected: Vec<_> = expected
            .iter()
            .map(|(path, test)| ((*path).to_owned(), test.clone()))
            .collect();
        assert_eq!(read, expected, "{text}");
    }

    fn refusal(text: &str) -> String {
        let fields = query(text);
        let error = Query(&fields).filters().expect_err(text);
        let answer = axum::response::IntoResponse::into_response(error);
        let body = axum::body::to_bytes(answer.into_body(), 10_000);
        let body = futures_util::FutureExt::now_or_never(body).expect("it is there");
        let document: Value = serde_json::from_slice(&body.expect("it is whole")).expect("JSON");
        document["errors"][0]["message"]
            .as_str()
            .expect("a text")
            .to_owned()
    }

    #[test]
    fn filters_by_metadata_are_read() {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        check(
            "meta.status%5Beq%5D=active&meta.n%5Bgte%3Anumber%5D=1&meta.region.name%5Bin%5D=a%7Cb",
            &[
                ("status", MetaTest::Text(texts(&["active"]))),
                ("n", MetaTest::Above(1.0, true)),
                ("region.name", MetaTest::Text(texts(&["a", "b"]))),
            ],
        );
        check(
            "meta.a[eq:string]=5&meta.b[eq:number]=5.5&meta.c[eq:boolean]=true&meta.d[lt]=-1&meta.e[in:number]=1|2",
            &[
                ("a", MetaTest::String(texts(&["5"]))),
                ("b", MetaTest::Number(vec![5.5])),
                ("c", MetaTest::Boolean(true)),
                ("d", MetaTest::Below(-1.0, false)),
                ("e", MetaTest::Number(vec![1.0, 2.0])),
            ],
        );
        check("meta.a=1", &[("a", MetaTest::Text(texts(&["1"])))]);
    }

    #[test]
    fn filters_are_refused_in_the_words_of_cloudflare() {
        assert_eq!(
            refusal("meta.a[not-eq]=1"),
            "Unsupported metadata filter operator: 'not-eq'"
        );
        assert_eq!(
            refusal("meta.a=1&meta.b=1&meta.c=1&meta.d=1&meta.e=1&meta.f=1"),
            "Too many metadata filters: 6 provided, maximum 5 allowed"
        );
        let eleven = format!("meta.a[in]={}", ["x"; 11].join("|"));
        for text in [
            "meta.a.b.c.d.e.f=1",
            "meta.=1",
            "meta.a..b=1",
            "meta.a-b=1",
            "meta.a[gt]=x",
            "meta.a[gt]=NaN",
            "meta.a[gt:string]=1",
            "meta.a[in:boolean]=true",
            "meta.a[eq:boolean]=1",
            "meta.a[eq=1",
            &eleven,
            "uploaded_after=yesterday",
            "draft=1",
        ] {
            refusal(text);
        }
    }

    #[test]
    fn times_are_read_with_every_offset() {
        let expected = Some(1_761_993_000_000);
        for text in [
            "2025-11-01T10:30:00Z",
            "2025-11-01T10:30:00+00:00",
            "2025-11-01T10:30:00 00:00",
            "2025-11-01T11:30:00.000+01:00",
        ] {
            assert_eq!(millis(text), expected, "{text}");
        }
        assert_eq!(millis("2025-11-01"), None);
        assert_eq!(millis("1960-11-01T10:30:00Z"), None);
    }
}

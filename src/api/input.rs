//! What clients say of an image: the fields of a form, or a JSON object.

use serde_json::{Map, Value};

use crate::api::error::ApiError;
use crate::api::metadata;
use crate::hosted::{Config, ImageId};

/// The longest creator, in characters.
const MAX_CREATOR: usize = 1024;

/// The fields that may be there. One that differs from its name in the case of letters alone is a mistake: what was to be private would be public.
const FIELDS: [&str; 8] = [
    "id",
    "url",
    "metadata",
    "creator",
    "requireSignedURLs",
    "expiry",
    "max_bytes",
    "formats",
];

/// The fields of an upload, a direct upload or an update. `None`: the client does not say.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Input {
    pub id: Option<ImageId>,
    pub url: Option<String>,
    pub meta: Option<Map<String, Value>>,
    /// `Some(None)`: no creator.
    pub creator: Option<Option<String>>,
    pub require_signed_urls: Option<bool>,
    /// RFC 3339.
    pub expiry: Option<String>,
    /// The largest upload in bytes.
    pub max_bytes: Option<u64>,
    /// The formats that are accepted.
    pub formats: Vec<String>,
}

impl Input {
    /// Reads the fields of a form. Unknown ones are ignored, and so are empty ones, which forms of browsers are full of.
    pub(super) fn of_form(fields: &[(String, String)]) -> Result<Self, ApiError> {
        let mut input = Input::default();
        let is_import = fields
            .iter()
            .any(|(name, text)| name == "import" && text == "true");
        for (name, text) in fields {
            match name.as_str() {
                // Images that move here from Cloudflare keep their UUIDs.
                "id" if is_import => input.id = Some(ImageId::new(text)?),
                _ => input.set(name, text)?,
            }
        }
        input.meta = metadata::of_fields(fields)?;
        Ok(input)
    }

    fn set(&mut self, name: &str, text: &str) -> Result<(), ApiError> {
        match name {
            // An ID that is there and empty is a mistake of a script, whose pictures would get random names.
            "id" => self.id = Some(ImageId::custom(text)?),
            "requireSignedURLs" => self.require_signed_urls = Some(boolean(text)?),
            "creator" => self.creator = Some(creator(text)?),
            _ if text.is_empty() => check_spelling(name)?,
            "url" => self.url = Some(text.to_owned()),
            "expiry" => self.expiry = Some(text.to_owned()),
            "max_bytes" => {
                self.max_bytes = Some(text.parse().map_err(|_| bad_max_bytes(text))?);
            }
            "formats" => self.formats = text.split(',').map(format).collect::<Result<_, _>>()?,
            _ => check_spelling(name)?,
        }
        Ok(())
    }

    /// Reads a JSON object. Unknown fields are ignored.
    pub(super) fn of_json(object: Map<String, Value>) -> Result<Self, ApiError> {
        let mut input = Input::default();
        for (name, value) in object {
            match (name.as_str(), value) {
                ("creator", Value::Null) => input.creator = Some(None),
                ("metadata", Value::Null) => input.meta = Some(Map::new()),
                (name, Value::Null) => check_spelling(name)?,
                ("id" | "url" | "creator" | "expiry", Value::String(text)) => {
                    input.set(&name, &text)?;
                }
                ("metadata", Value::Object(meta)) => input.meta = Some(metadata::checked(meta)?),
                ("requireSignedURLs", Value::Bool(wanted)) => {
                    input.require_signed_urls = Some(wanted);
                }
                ("max_bytes", Value::Number(number)) => {
                    let bytes = number.as_u64();
                    input.max_bytes = Some(bytes.ok_or_else(|| bad_max_bytes(&number))?);
                }
                ("formats", Value::Array(formats)) => {
                    input.formats = formats
                        .iter()
                        .map(|one| one.as_str().map_or_else(|| Err(bad_format(one)), format))
                        .collect::<Result<_, _>>()?;
                }
                (
                    "id" | "url" | "creator" | "expiry" | "metadata" | "requireSignedURLs"
                    | "max_bytes" | "formats",
                    value,
                ) => return Err(wrong_type(&name, &value)),
                (name, _) => check_spelling(name)?,
            }
        }
        Ok(input)
    }

    /// The creator, if there is one.
    pub(super) fn creator(&self) -> Option<&str> {
        self.creator.as_ref()?.as_deref()
    }
}

fn wrong_type(name: &str, value: &Value) -> ApiError {
    let (expected, pointer) = match name {
        "metadata" => ("an object", "/metadata"),
        "requireSignedURLs" => ("`true` or `false`", "/requireSignedURLs"),
        "max_bytes" => ("a number of bytes", "/max_bytes"),
        "formats" => ("a list of formats", "/formats"),
        "id" => ("text", "/id"),
        "url" => ("text", "/url"),
        "creator" => ("text", "/creator"),
        _ => ("a time as in `2026-11-29T10:30:00Z`", "/expiry"),
    };
    let got: String = value.to_string().chars().take(100).collect();
    ApiError::bad_request(format!("field `{name}` must be {expected}, got `{got}`")).at(pointer)
}

fn bad_max_bytes(got: impl std::fmt::Display) -> ApiError {
    let got: String = got.to_string().chars().take(100).collect();
    let message = format!("field `max_bytes` must be a number of bytes, got `{got}`");
    ApiError::bad_request(message).at("/max_bytes")
}

fn format(text: &str) -> Result<String, ApiError> {
    let name = text.trim().to_ascii_lowercase();
    if Config::FORMATS.contains(&name.as_str()) {
        Ok(name)
    } else {
        Err(bad_format(text))
    }
}

fn bad_format(got: impl std::fmt::Display) -> ApiError {
    let (known, got) = (Config::FORMATS.join(", "), got.to_string());
    let got: String = got.chars().take(100).collect();
    let message = format!("field `formats` must name some of {known}, got `{got}`");
    ApiError::bad_request(message).at("/formats")
}

fn check_spelling(name: &str) -> Result<(), ApiError> {
    let known = FIELDS.iter().find(|known| known.eq_ignore_ascii_case(name));
    match known {
        Some(known) if *known != name => Err(ApiError::bad_request(format!(
            "there is no field `{name}`: `{known}` is meant"
        ))),
        _ => Ok(()),
    }
}

/// As clients write booleans in forms.
fn boolean(text: &str) -> Result<bool, ApiError> {
    if text.eq_ignore_ascii_case("true") || text == "1" {
        return Ok(true);
    }
    if text.eq_ignore_ascii_case("false") || matches!(text, "0" | "") {
        return Ok(false);
    }
    let got: String = text.chars().take(100).collect();
    let message = format!("field `requireSignedURLs` must be `true` or `false`, got `{got}`");
    Err(ApiError::bad_request(message).at("/requireSignedURLs"))
}

fn creator(text: &str) -> Result<Option<String>, ApiError> {
    if text.is_empty() {
        return Ok(None);
    }
    if text.chars().count() > MAX_CREATOR || text.chars().any(char::is_control) {
        let message = format!(
            "field `creator` must have at most {MAX_CREATOR} characters and no control characters"
        );
        return Err(ApiError::bad_request(message).at("/creator"));
    }
    Ok(Some(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Input;

    fn form(fields: &[(&str, &str)]) -> Result<Input, String> {
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
            .collect();
        Input::of_form(&fields).map_err(|error| error.word().to_owned())
    }

    #[test]
    fn booleans_are_read_as_clients_write_them() {
        for (text, expected) in [
            ("true", Some(true)),
            ("True", Some(true)),
            ("1", Some(true)),
            ("false", Some(false)),
            ("0", Some(false)),
            ("", Some(false)),
            ("yes", None),
            ("2", None),
        ] {
            let read = form(&[("requireSignedURLs", text)]);
            assert_eq!(
                read.ok().and_then(|input| input.require_signed_urls),
                expected,
                "{text}"
            );
        }
    }

    #[test]
    fn a_form_and_an_object_say_the_same() {
        let of_form = form(&[
            ("id", "cats/1"),
            ("creator", "u1"),
            ("metadata", r#"{"a":{"b":[1,true]}}"#),
            ("max_bytes", "10"),
            ("formats", "jpeg, PNG"),
            ("else", "x"),
        ]);
        let object = json!({
            "id": "cats/1", "creator": "u1", "metadata": {"a": {"b": [1, true]}},
            "max_bytes": 10, "formats": ["jpeg", "png"], "else": 1,
        });
        let of_json = Input::of_json(object.as_object().expect("an object").clone());
        assert_eq!(of_form.ok(), of_json.ok());
    }

    #[test]
    fn a_uuid_is_a_name_for_imports_alone() {
        let id = ("id", "2cdc28f0-017a-49c4-9ed7-87056c83901f");
        assert!(form(&[id]).is_err());
        assert!(form(&[id, ("import", "false")]).is_err());
        for fields in [[id, ("import", "true")], [("import", "true"), id]] {
            assert!(form(&fields).is_ok_and(|input| input.id.is_some()));
        }
    }

    #[test]
    fn wrong_types_are_refused() {
        for object in [
            json!({"id": 1}),
            json!({"metadata": []}),
            json!({"metadata": "{}"}),
            json!({"requireSignedURLs": "true"}),
            json!({"creator": {}}),
            json!({"max_bytes": -1}),
            json!({"max_bytes": "1"}),
            json!({"formats": "jpeg"}),
            json!({"id": "a//b"}),
            json!({"formats": ["exe"]}),
            json!({"formats": [1]}),
            json!({"requiresignedurls": true}),
            json!({"ID": null}),
        ] {
            let fields = object.as_object().expect("an object").clone();
            assert!(Input::of_json(fields).is_err(), "{object}");
        }
        for field in [
            ("id", ""),
            ("max_bytes", "x"),
            ("creator", "a\u{1}"),
            ("formats", "jpeg,exe"),
            ("requireSignedUrls", "true"),
            ("Creator", ""),
        ] {
            assert!(form(&[field]).is_err(), "{field:?}");
        }
    }
}

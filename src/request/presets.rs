//! Presets: options that the settings have under a name, which a URL says in their place: `preset=NAME`.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, de};

use crate::options::{ParsedOptions, Preset};
use crate::request::error::RequestError;

/// What a URL begins its options with to name a preset.
const NAME: &str = "preset=";
/// The longest name, in characters.
const MAX_NAME_LENGTH: usize = 64;

/// The presets by their names; section `[presets]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Presets(#[serde(deserialize_with = "presets")] BTreeMap<String, Preset>);

impl Presets {
    /// Reads options that begin with the name of a preset: all options of the request, and those that the client added to the preset. `None` for
    /// other options. Without any presets, `preset` is an option like others that do not exist.
    ///
    /// # Errors
    /// [`RequestError::UnknownPreset`].
    pub(super) fn read(
        &self,
        segment: &str,
    ) -> Result<Option<(ParsedOptions, ParsedOptions)>, RequestError> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let Some(rest) = segment.strip_prefix(NAME) else {
            return Ok(None);
        };
        let (name, added) = rest.split_once(',').unwrap_or((rest, ""));
        let Some(preset) = self.0.get(name) else {
            let name = name.chars().take(MAX_NAME_LENGTH).collect();
            return Err(RequestError::UnknownPreset(name));
        };
        let chosen = Preset::default().with_segment(added);
        Ok(Some((preset.with_segment(added), chosen)))
    }
}

/// Reads names and options. A name can stand in a URL as it is.
fn presets<'de, D: Deserializer<'de>>(input: D) -> Result<BTreeMap<String, Preset>, D::Error> {
    let presets = BTreeMap::<String, Preset>::deserialize(input)?;
    let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let is_name =
        |name: &str| (1..=MAX_NAME_LENGTH).contains(&name.len()) && name.bytes().all(is_fine);
    match presets.keys().find(|name| !is_name(name)) {
        None => Ok(presets),
        Some(name) => Err(de::Error::custom(format_args!(
            "the name of a preset must be 1 to 64 letters, digits, `-` and `_`, got `{name}`"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn presets() -> Presets {
        toml::from_str("thumb = 'width=200,height=200,fit=cover'\nsmall_2 = 'width=320'")
            .expect("two presets")
    }

    #[test]
    fn a_preset_stands_for_its_options() {
        let presets = presets();
        for (segment, all, chosen) in [
            ("preset=thumb", "width=200,height=200,fit=cover", ""),
            ("preset=small_2", "w=320", ""),
            (
                "preset=thumb,dpr=2,width=100",
                "width=100,height=200,fit=cover,dpr=2",
                "dpr=2,w=100",
            ),
        ] {
            let (options, added) = presets.read(segment).expect(segment).expect(segment);
            let parse = |text: &str| text.parse().expect("options");
            assert_eq!(options.as_result(), Ok(&parse(all)), "{segment}");
            assert_eq!(added.as_result(), Ok(&parse(chosen)), "{segment}");
        }
        let (options, _) = presets
            .read("preset=thumb,width")
            .expect("a preset")
            .expect("one");
        assert!(options.as_result().is_err());
        assert_eq!(presets.read("width=8,preset=thumb"), Ok(None));
        for wrong in ["preset=", "preset=other", "preset=Thumb", "preset=thum%62"] {
            let unknown = matches!(presets.read(wrong), Err(RequestError::UnknownPreset(_)));
            assert!(unknown, "{wrong}");
        }
        assert_eq!(Presets::default().read("preset=thumb"), Ok(None));
    }

    #[test]
    fn names_and_options_are_checked() {
        for (text, says) in [
            ("'a b' = 'width=8'", "got `a b`"),
            ("'' = 'width=8'", "got ``"),
            ("a = 'width=0'", "width"),
            ("a = 'sise=8'", "sise"),
            ("a = ''", "option"),
        ] {
            let error = toml::from_str::<Presets>(text).expect_err(text);
            assert!(error.message().contains(says), "{error}");
        }
    }
}

//! Section `[signatures]`.

use std::num::NonZeroU32;

use serde::{Deserialize, Deserializer, de};

use crate::options::{FormatChoice, Options, Pixels, Preset, Quality};
use crate::signature::KeyConfig;

/// Section `[signatures]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SignaturesConfig {
    /// Which URLs need a signature.
    pub required: Required,
    /// Who may sign.
    pub key: Vec<KeyConfig>,
    /// What needs no signature, where not all URLs do.
    pub allowed: AllowedOptions,
}

/// Which URLs need a signature.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Required {
    /// None.
    #[default]
    Never,
    /// Those with options that are not allowed for everybody.
    Unlisted,
    /// All of transformations.
    Always,
}

/// The options that everybody may choose.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AllowedOptions {
    /// Values of `width`.
    pub widths: Sides,
    /// Values of `height`.
    pub heights: Sides,
    /// Values of `quality`.
    pub qualities: Qualities,
    /// Values of `format`.
    pub formats: Formats,
    /// What else there may be, as whole texts.
    pub options: Vec<WholeOptions>,
    /// Whether another width becomes one of `widths`.
    pub round_widths: bool,
}

/// Sides in pixels, in ascending order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "Vec<NonZeroU32>")]
pub struct Sides(pub(super) Vec<Pixels>);

/// Qualities from 1 to 100.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Qualities(pub(super) Vec<Quality>);

/// Values of `format`, as in a URL.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Formats(pub(super) Vec<FormatChoice>);

/// Options as in a URL.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct WholeOptions(pub(super) Preset);

impl From<Vec<NonZeroU32>> for Sides {
    fn from(sides: Vec<NonZeroU32>) -> Self {
        let mut sides: Vec<Pixels> = sides
            .into_iter()
            .filter_map(|side| Pixels::new(side.get()))
            .collect();
        sides.sort_unstable();
        Sides(sides)
    }
}

impl<'de> Deserialize<'de> for Formats {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let names = Vec::<String>::deserialize(input)?;
        let format = |name: &String| {
            let options = Preset::parse(&format!("format={name}")).map(|preset| preset.options());
            let format = options.ok().and_then(|options| {
                let alone = Options {
                    format: options.format,
                    ..Options::default()
                };
                options.format.filter(|_| options == alone)
            });
            format.ok_or_else(|| {
                de::Error::custom(format_args!(
                    "must be values of the option `format`, as in [\"auto\", \"webp\"], got `{name}`"
                ))
            })
        };
        names
            .iter()
            .map(format)
            .collect::<Result<_, _>>()
            .map(Formats)
    }
}

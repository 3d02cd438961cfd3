//! Options whose values are a short list of words, and the macro that defines such a list.

/// Writes words as a sentence lists them: `h, v or hv`.
macro_rules! word_list {
    ($only:literal) => { $only };
    ($first:literal, $last:literal) => { concat!($first, " or ", $last) };
    ($first:literal, $($rest:literal),+) => { concat!($first, ", ", $crate::options::keywords::word_list!($($rest),+)) };
}
pub(super) use word_list;

/// Defines an enum whose variants are words of the URL dialect. A word may be followed by synonyms: words of other services that mean
/// the same picture. An unknown word is ignored with a warning, unless `unknown` names another error.
macro_rules! keywords {
    ($(#[$doc:meta])* $name:ident { $($variants:tt)+ }) => {
        $crate::options::keywords::keywords! {
            $(#[$doc])* $name, unknown: $crate::options::value::ValueError::Malformed(<$name as $crate::options::value::OptionValue>::EXPECTED), { $($variants)+ }
        }
    };
    (
        $(#[$doc:meta])* $name:ident, unknown: $unknown:expr,
        { $($(#[$variant_doc:meta])* $variant:ident = $word:literal $(| $synonym:literal)*),+ $(,)? }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $name {
            /// Every value, in the order of the definition.
            #[cfg(test)]
            pub(crate) const ALL: &'static [$name] = &[$($name::$variant),+];

            /// The word for it in a URL.
            pub(crate) const fn keyword(self) -> &'static str {
                match self {
                    $($name::$variant => $word,)+
                }
            }
        }

        impl $crate::options::value::OptionValue for $name {
            const EXPECTED: &'static str = $crate::options::keywords::word_list!($($word),+);
            const DOMAIN: $crate::options::domain::ValueDomain = $crate::options::domain::ValueDomain::words(&[$($word),+]);
            const SYNONYMS: &'static [(&'static str, &'static str)] = &[$($(($synonym, $word),)*)+];

            fn parse(text: &str) -> Result<Self, $crate::options::value::ValueError> {
                match text {
                    $($word => Ok($name::$variant),)+
                    _ => Err($unknown),
                }
            }

            #[cfg(test)]
            fn any() -> proptest::strategy::BoxedStrategy<Self> {
                proptest::strategy::Strategy::boxed(proptest::sample::select($name::ALL))
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.keyword())
            }
        }
    };
}
pub(super) use keywords;

keywords! {
    /// Whether speed is more important than the format.
    Compression {
        /// The quickest codec, whatever `format` says.
        Fast = "fast",
    }
}
keywords! {
    /// Which metadata of the source is kept.
    Metadata {
        /// The copyright, as far as the output format can hold it.
        Copyright = "copyright",
        /// All of it.
        Keep = "keep",
        /// None of it.
        Nothing = "none",
    }
}
keywords! {
    /// What the client gets when the picture cannot be made.
    OnError {
        /// A redirect to the source, where that is on the same zone.
        Redirect = "redirect",
    }
}
keywords! {
    /// Which part of the picture stays while the rest becomes transparent.
    Segment {
        /// The things in front.
        Foreground = "foreground",
    }
}
keywords! {
    /// Where the pixels of an enlarged picture come from.
    Upscale {
        /// From their neighbours.
        Interpolate = "interpolate",
        /// From a model.
        Generate = "generate",
    }
}

//! Options whose values are a short list of keywords.

macro_rules! keywords {
    ($(#[$doc:meta])* $name:ident, $expected:literal { $($(#[$variant_doc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $name {
            /// Every value, in the order of the list above.
            #[cfg(test)]
            pub(crate) const ALL: &'static [$name] = &[$($name::$variant),+];

            /// The word for it in a URL.
            pub const fn keyword(self) -> &'static str {
                match self {
                    $($name::$variant => $word,)+
                }
            }

            pub(super) fn parse(text: &str) -> Result<Self, super::values::ValueError> {
                match text {
                    $($word => Ok($name::$variant),)+
                    _ => Err(super::values::ValueError::Malformed($expected)),
                }
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
    /// Whether speed comes before format.
    Compression, "fast" {
        /// The quickest codec, whatever `format` says.
        Fast = "fast",
    }
}
keywords! {
    /// What is kept of the metadata of the source.
    Metadata, "copyright, keep or none" {
        Copyright = "copyright",
        Keep = "keep",
        Nothing = "none",
    }
}
keywords! {
    /// What the client gets when the picture cannot be made.
    OnError, "redirect" {
        /// A redirect to the source, where that is on the same zone.
        Redirect = "redirect",
    }
}
keywords! {
    /// Which part of the picture stays, the rest becoming transparent.
    Segment, "foreground" {
        Foreground = "foreground",
    }
}
keywords! {
    /// Where the pixels of an enlarged picture come from.
    Upscale, "interpolate or generate" {
        Interpolate = "interpolate",
        Generate = "generate",
    }
}

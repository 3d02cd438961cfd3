//! The macro that turns the list of options into everything that depends on the list.

/// Takes the definitions of all options, in alphabetical order of their names:
///
/// ```text
/// /// What the option does: the comment of the field, and the text in the table of `docs/options.md`.
/// field: TypeOfItsValues = "name-in-urls" | "short-name", default: "what applies without the option, for the table";
/// ```
///
/// and makes of them the struct of options, the enum of their names, the parser's table of names, the step that reads one value, the canonical
/// spelling and, for tests, a strategy and the rows of the table. What values an option accepts is up to the type: see `OptionValue`.
macro_rules! options {
    (
        $(#[$about:meta])*
        pub struct $options:ident;

        $(
            $(#[doc = $meaning:literal])+
            $field:ident: $value:ty = $name:literal $(| $alias:literal)* $(, default: $default:literal)?;
        )+
    ) => {
        $(#[$about])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
        pub struct $options {
            $($(#[doc = $meaning])+ pub $field: Option<$value>,)+
        }

        /// The name of an option. It has no capital letters, because each is called as the field that it fills.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[expect(non_camel_case_types, reason = "a macro cannot change the case of a name")]
        pub(crate) enum OptionName {
            $($field,)+
        }

        impl OptionName {
            /// Every name, in the order of the canonical spelling.
            pub const ALL: &'static [OptionName] = &[$(OptionName::$field),+];

            /// Finds a long name or an alias.
            pub fn find(text: &str) -> Option<Self> {
                match text {
                    $($name $(| $alias)* => Some(OptionName::$field),)+
                    _ => None,
                }
            }

            /// The long name, as URLs have it.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(OptionName::$field => $name,)+
                }
            }
        }

        const _: () = assert!(
            $crate::options::define::is_sorted(&[$($name),+]),
            "the definitions of options must be in alphabetical order of the names"
        );

        impl $options {
            /// Reads the value of one option; one that is malformed leaves the option as it is.
            pub(super) fn set(
                &mut self,
                name: OptionName,
                argument: $crate::options::argument::Argument<'_>,
            ) -> Result<(), $crate::options::error::OptionError> {
                match name {
                    $(OptionName::$field => {
                        if let Some(value) = argument.read()? {
                            self.$field = Some(value);
                        }
                    })+
                }
                Ok(())
            }
        }

        /// The canonical spelling.
        impl std::fmt::Display for $options {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let mut pairs = $crate::options::canonical::Pairs::new(f);
                $(pairs.add($name, &self.$field)?;)+
                Ok(())
            }
        }

        /// For each option the change that gives it any of its values, or none.
        #[cfg(test)]
        pub(super) fn any_changes() -> Vec<proptest::strategy::BoxedStrategy<$crate::options::tests::arbitrary::Change>> {
            vec![$($crate::options::tests::arbitrary::any_change(|options, value| options.$field = value)),+]
        }

        /// The table of options.
        pub(crate) const OPTION_ROWS: &[$crate::options::row::OptionRow] = &[$(
            $crate::options::row::OptionRow {
                names: &[$name $(, $alias)*],
                values: <$value as $crate::options::value::OptionValue>::EXPECTED,
                domain: <$value as $crate::options::value::OptionValue>::DOMAIN,
                default: concat!($($default)?),
                meaning: concat!($($meaning),+),
            },
        )+];
    };
}
pub(super) use options;

/// Whether each text comes after the one before it.
pub(super) const fn is_sorted(texts: &[&str]) -> bool {
    let mut index = 1;
    while index < texts.len() {
        if !comes_before(texts[index - 1].as_bytes(), texts[index].as_bytes()) {
            return false;
        }
        index += 1;
    }
    true
}

const fn comes_before(first: &[u8], second: &[u8]) -> bool {
    let mut index = 0;
    while index < first.len() && index < second.len() {
        if first[index] != second[index] {
            return first[index] < second[index];
        }
        index += 1;
    }
    first.len() < second.len()
}

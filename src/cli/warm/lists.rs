//! Files that hold a list: an entry on each line, and comments.

/// The entries of a list. Empty lines, and lines that begin with `#`, are none.
pub(super) fn lines(text: &str) -> impl Iterator<Item = &str> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
}

#[cfg(test)]
mod tests {
    use proptest::proptest;

    use super::lines;

    #[test]
    fn comments_and_space_are_left_out() {
        let text =
            "\u{feff}# sizes\r\nwidth=320,format=auto\r\n\n  width=640,background=#fff \n#end";
        let found: Vec<&str> = lines(text).collect();
        assert_eq!(
            found,
            ["width=320,format=auto", "width=640,background=#fff"]
        );
    }

    proptest! {
        #[test]
        fn any_text_is_a_list(text in "[a-z#=,\\r\\n \u{feff}\\PC]{0,200}") {
            for line in lines(&text) {
                assert!(!line.is_empty() && !line.contains('\n'));
            }
        }
    }
}

//! Lists in files: a thing on each line, and comments.

/// The lines of a text that say something, without what surrounds them. A line that begins with `#` is a comment.
pub(super) fn lines(text: &str) -> impl Iterator<Item = &str> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// Extensions of what may be a picture.
const EXTENSIONS: [&str; 23] = [
    "apng", "avif", "bmp", "gif", "heic", "heif", "ico", "jfif", "jpe", "jpeg", "jpg", "jxl",
    "pbm", "pgm", "png", "pnm", "ppm", "qoi", "svg", "svgz", "tif", "tiff", "webp",
];

/// Whether a path, or a URL's, ends like that of a picture.
pub(super) fn looks_like_picture(address: &str) -> bool {
    let path = address.split(['?', '#']).next().unwrap_or_default();
    let name = path.rsplit('/').next().unwrap_or_default();
    let extension = name.rsplit_once('.').map(|(_, extension)| extension);
    extension.is_some_and(|extension| {
        EXTENSIONS
            .iter()
            .any(|known| known.eq_ignore_ascii_case(extension))
    })
}

#[cfg(test)]
mod tests {
    use proptest::proptest;

    use super::lines;
    use super::looks_like_picture;

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

    #[test]
    fn pictures_are_told_by_their_names() {
        for (address, is_picture) in [
            ("/a.jpg", true),
            ("https://b.com/x/A.JPEG?v=1.html", true),
            ("photos/cat.webp#x", true),
            ("https://b.com/", false),
            ("https://b.jpg/page", false),
            ("/a.jpg/b", false),
            ("jpg", false),
            ("/list.xml?image=a.jpg", false),
        ] {
            assert_eq!(looks_like_picture(address), is_picture, "{address}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_list(text in "[a-z#=,\\r\\n \u{feff}\\PC]{0,200}") {
            for line in lines(&text) {
                assert!(!line.is_empty() && !line.contains('\n'));
                let _ = looks_like_picture(line);
            }
        }
    }
}

//! The extensions of files that hold pictures.

/// Extensions of picture formats, whether they can be decoded here or not.
const EXTENSIONS: [&str; 23] = [
    "apng", "avif", "bmp", "gif", "heic", "heif", "ico", "jfif", "jpe", "jpeg", "jpg", "jxl",
    "pbm", "pgm", "png", "pnm", "ppm", "qoi", "svg", "svgz", "tif", "tiff", "webp",
];

/// Whether an extension is one of a picture format.
pub(super) fn is_picture_extension(extension: &str) -> bool {
    EXTENSIONS
        .iter()
        .any(|known| known.eq_ignore_ascii_case(extension))
}

/// Whether a path, or the path of a URL, ends like that of a picture.
pub(super) fn is_picture_path(address: &str) -> bool {
    let path = address.split(['?', '#']).next().unwrap_or_default();
    let name = path.rsplit('/').next().unwrap_or_default();
    let extension = name.rsplit_once('.').map(|(_, extension)| extension);
    extension.is_some_and(is_picture_extension)
}

#[cfg(test)]
mod tests {
    use super::is_picture_path;

    #[test]
    fn a_picture_is_known_by_its_extension() {
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
            assert_eq!(is_picture_path(address), is_picture, "{address}");
        }
    }
}

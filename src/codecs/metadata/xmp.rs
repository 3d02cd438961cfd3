//! Removes from an XMP packet what is not true of an output: orientation and thumbnails. Packets are patched as text: they are UTF-8 in
//! every format here (XMP specification, part 3), and their writers spell these properties in one way.

/// The property that repeats the EXIF orientation.
const ORIENTATION: &[u8] = b"tiff:Orientation";
/// Thumbnails of the whole source, with both usual prefixes.
const THUMBNAILS: [(&[u8], &[u8]); 2] = [
    (b"<xmp:Thumbnails", b"</xmp:Thumbnails>"),
    (b"<xap:Thumbnails", b"</xap:Thumbnails>"),
];

/// The packet with upright orientation and without thumbnails; `None` if the thumbnails cannot be removed.
pub(crate) fn upright(packet: &[u8]) -> Option<Vec<u8>> {
    let mut packet = packet.to_vec();
    let mut from = 0;
    while let Some(at) = find(&packet[from..], ORIENTATION) {
        let closes = packet[..from + at].ends_with(b"/");
        from += at + ORIENTATION.len();
        if closes {
            continue;
        }
        // `tiff:Orientation="6"` or `<tiff:Orientation>6</…>`.
        let number = packet[from..]
            .iter()
            .take(8)
            .position(u8::is_ascii_digit)
            .map(|skipped| from + skipped);
        if let Some(number) = number
            && packet[from..number]
                .iter()
                .all(|byte| b"=>\"' \t\r\n".contains(byte))
        {
            packet[number] = b'1';
        }
    }
    for (start, end) in THUMBNAILS {
        packet = without(&packet, start, end)?;
    }
    Some(packet)
}

/// Removes everything from each `start` up to the following `end`.
fn without(packet: &[u8], start: &[u8], end: &[u8]) -> Option<Vec<u8>> {
    let mut kept = Vec::with_capacity(packet.len());
    let mut rest = packet;
    while let Some(at) = find(rest, start) {
        kept.extend_from_slice(&rest[..at]);
        rest = &rest[at..];
        rest = &rest[find(rest, end)? + end.len()..];
    }
    kept.extend_from_slice(rest);
    Some(kept)
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len())
        .position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::upright;

    fn upright_text(packet: &str) -> Option<String> {
        upright(packet.as_bytes()).map(|packet| String::from_utf8_lossy(&packet).into_owned())
    }

    #[test]
    fn both_spellings_of_the_orientation_become_upright() {
        for (packet, expected) in [
            (
                "<x tiff:Orientation=\"6\" a=\"6\"/>",
                "<x tiff:Orientation=\"1\" a=\"6\"/>",
            ),
            (
                "<tiff:Orientation>8</tiff:Orientation> 8",
                "<tiff:Orientation>1</tiff:Orientation> 8",
            ),
            ("tiff:Orientation = '3'", "tiff:Orientation = '1'"),
            ("tiff:Orientation", "tiff:Orientation"),
            ("tiff:OrientationX 3", "tiff:OrientationX 3"),
        ] {
            assert_eq!(upright_text(packet).as_deref(), Some(expected));
        }
    }

    #[test]
    fn thumbnails_are_removed() {
        assert_eq!(
            upright_text("a<xmp:Thumbnails><rdf:Alt>…</rdf:Alt></xmp:Thumbnails>b<xap:Thumbnails></xap:Thumbnails>")
                .as_deref(),
            Some("ab")
        );
        assert_eq!(upright_text("a<xmp:Thumbnails>never closed"), None);
    }
}

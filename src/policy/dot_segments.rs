//! Dot segments that percent-encoding hides.

use percent_encoding::percent_decode_str;

/// Whether a percent-encoded path has a `.` or `..` segment after decoding. The URL parser resolves plain ones and those written `%2e`; those
/// beside an encoded slash or backslash remain.
pub(super) fn hides_dot_segments(path: &str) -> bool {
    let decoded: Vec<u8> = percent_decode_str(path).collect();
    decoded
        .split(|&byte| matches!(byte, b'/' | b'\\'))
        .any(|segment| matches!(segment, b"." | b".."))
}

// The oldest versions of the C and C++ codecs that may be linked. Older ones have faults that a picture can use. The build script looks at what is
// really there, and a test looks at the table.

/// A library, the oldest version that may be linked, and why.
pub struct Floor {
    pub library: &'static str,
    pub oldest: [u32; 3],
    pub advisory: &'static str,
}

/// By the name under which the build script asks for them.
pub const FLOORS: [Floor; 4] = [
    Floor {
        library: "libwebp",
        oldest: [1, 3, 2],
        advisory: "CVE-2023-4863 (RUSTSEC-2023-0061): a lossless WebP writes beyond a buffer",
    },
    // CVE-2026-56208 to 56211, mended in 3.14.0, are of layers and of looking ahead: each AVIF
    // here is one frame of one layer.
    Floor {
        library: "libaom",
        oldest: [3, 9, 1],
        advisory: "CVE-2024-5493: a change of layers or scale while encoding writes beyond a buffer",
    },
    Floor {
        library: "libjpeg-turbo",
        oldest: [3, 0, 0],
        advisory: "CVE-2023-2804: a lossless JPEG of 12 bits goes beyond a buffer",
    },
    // That of Debian 12, whose own updates mend it without a new number (CVE-2023-49462, CVE-2024-41311); see docs/building.md.
    Floor {
        library: "libheif",
        oldest: [1, 15, 1],
        advisory: "CVE-2023-0996: rows with a stride are copied beyond a buffer",
    },
];

/// An error unless a library is new enough. One whose version cannot be read is not.
pub fn check(library: &str, version: &str) -> Result<(), String> {
    let Some(floor) = FLOORS.iter().find(|floor| floor.library == library) else {
        return Err(format!("{library} has no floor in .cargo/floors.rs"));
    };
    let [major, minor, patch] = floor.oldest;
    let oldest = format!("{library} must be {major}.{minor}.{patch} or newer");
    match numbers(version) {
        Some(found) if found >= floor.oldest => Ok(()),
        Some(_) => Err(format!("{oldest}, got {version}: {}", floor.advisory)),
        None => Err(format!("{oldest}, got `{version}`")),
    }
}

/// `1.15.1`, `3.11.0-dirty` and `v3.1` as numbers.
fn numbers(version: &str) -> Option<[u32; 3]> {
    let version = version.trim().trim_start_matches('v');
    let mut parts = version
        .split(['.', '-', '+'])
        .map(|part| part.parse::<u32>());
    let major = parts.next()?.ok()?;
    let minor = parts.next()?.ok()?;
    let patch = parts.next().and_then(Result::ok).unwrap_or(0);
    Some([major, minor, patch])
}

//! Content codings, alone and combined, in pieces of every size, and content that is not coded as it says.

use std::io::Write;
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use futures_util::StreamExt;
use futures_util::TryStreamExt;
use futures_util::stream;
use hyper::HeaderMap;
use hyper::header;
use hyper::header::HeaderValue;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use crate::source::coding::Codings;
use crate::source::error::SourceError;

fn codings(values: &[&str]) -> Result<Codings, SourceError> {
    let mut headers = HeaderMap::new();
    for value in values {
        let value = HeaderValue::from_str(value).expect("the tests' own");
        headers.append(header::CONTENT_ENCODING, value);
    }
    Codings::of(&headers)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("a vector takes all");
    encoder.finish().expect("a vector takes all")
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("a vector takes all");
    encoder.finish().expect("a vector takes all")
}

fn raw_deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("a vector takes all");
    encoder.finish().expect("a vector takes all")
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    compress_to_vec(bytes, CompressionLevel::Fastest)
}

/// Encodes without compression: stored blocks, with a window of 64 KiB.
fn brotli(bytes: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    for (index, block) in bytes.chunks(1 << 16).enumerate() {
        let length = u32::try_from(block.len() - 1).expect("a short block");
        // Not the last block; four hexadecimal digits of length; stored. The first block follows the bit for the window.
        let header = (length << 3) | (1 << 19);
        let shift = u32::from(index == 0);
        packed.extend_from_slice(&(header << shift).to_le_bytes()[..3]);
        packed.extend_from_slice(block);
    }
    // The last block, which is empty.
    packed.push(3);
    packed
}

/// Content that can be compressed, but not to nothing.
fn content(length: usize) -> Vec<u8> {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_103_515_245).wrapping_add(12_345);
        state.to_le_bytes()[2] & 0x3f
    };
    (0..length).map(|_| next()).collect()
}

async fn decode(names: &[&str], packed: &[u8], piece: usize) -> Result<Vec<u8>, SourceError> {
    let pieces: Vec<_> = packed
        .chunks(piece)
        .map(|piece| Ok(Bytes::copy_from_slice(piece)))
        .collect();
    let body = codings(names)?.decode(stream::iter(pieces));
    body.try_fold(Vec::new(), |mut all, piece| async move {
        all.extend_from_slice(&piece);
        Ok(all)
    })
    .await
}

type Encoder = fn(&[u8]) -> Vec<u8>;

const ENCODERS: [(&str, Encoder); 5] = [
    ("gzip", gzip),
    ("deflate", zlib),
    ("deflate", raw_deflate),
    ("br", brotli),
    ("zstd", zstd),
];

#[tokio::test]
async fn every_coding_is_decoded_in_pieces_of_every_size() {
    for (name, encode) in ENCODERS {
        for length in [1, 1000, 700_000] {
            let content = content(length);
            let packed = encode(&content);
            for piece in [1, 7, 4096, usize::MAX] {
                if piece < 4096 && length > 1000 {
                    continue;
                }
                let found = decode(&[name], &packed, piece).await;
                let found = found.unwrap_or_else(|error| panic!("{name} {length}: {error}"));
                assert!(found == content, "{name}: {length} in pieces of {piece}");
            }
        }
    }
}

#[tokio::test]
async fn codings_are_decoded_from_the_last_to_the_first() {
    let content = content(50_000);
    let packed = zstd(&gzip(&brotli(&content)));
    for names in [
        &["br, gzip, zstd"][..],
        &["br", "X-GZip , zstd"],
        &["identity, br, base64", "gzip", "zstd, identity"],
    ] {
        let found = decode(names, &packed, 4096).await.expect("three codings");
        assert!(found == content, "{names:?}");
    }
}

#[test]
fn unregistered_codings_are_ignored_and_unsupported_ones_refused() {
    for value in [
        "identity",
        "base64",
        "utf-8",
        "aws-chunked",
        "",
        " , ",
        "none",
    ] {
        assert!(codings(&[value]).expect("nothing to undo").is_empty());
    }
    for name in ["compress", "x-compress", "DCZ", "gzip, exi"] {
        let error = codings(&[name])
            .expect_err("nobody undoes that")
            .to_string();
        assert!(error.contains("must be one of gzip"), "{error}");
    }
    let error = codings(&["gzip, gzip, gzip, gzip, gzip"]).expect_err("too many");
    assert!(matches!(error, SourceError::Coding(_)), "{error}");
}

#[tokio::test]
async fn truncated_content_breaks_off_wherever_it_is_cut() {
    let content = content(5000);
    for (name, encode) in ENCODERS {
        let packed = encode(&content);
        for kept in (0..packed.len()).step_by(41).chain([packed.len() - 1]) {
            let error = decode(&[name], &packed[..kept], 1000).await;
            assert!(
                matches!(error, Err(SourceError::BrokenOff(_))),
                "{name} after {kept} of {}: {:?}",
                packed.len(),
                error.map(|found| found.len())
            );
        }
    }
}

#[tokio::test]
async fn content_of_another_format_is_corrupt() {
    for (name, _) in ENCODERS {
        let error = decode(
            &[name],
            b"\x89PNG\r\n\x1a\n and more than twenty bytes",
            1000,
        )
        .await;
        assert!(
            matches!(error, Err(SourceError::Coding(_))),
            "{name}: {error:?}"
        );
    }
    let content = content(5000);
    let mut packed = gzip(&content);
    let checksum = packed.len() - 6;
    packed[checksum] ^= 1;
    let error = decode(&["gzip"], &packed, 1000).await;
    assert!(error.is_err(), "the checksum is of other bytes");
}

#[tokio::test]
async fn members_and_frames_may_follow_each_other_and_padding_is_ignored() {
    let content = content(3000);
    let both = [content.as_slice(), &content].concat();
    for (name, encode) in [("gzip", gzip as Encoder), ("zstd", zstd)] {
        let two = encode(&content).repeat(2);
        for padding in [
            &b""[..],
            b"\0\0\0",
            b"\r\n and more than twenty bytes of it",
        ] {
            let packed = [two.as_slice(), padding].concat();
            for piece in [1, usize::MAX] {
                let found = decode(&[name], &packed, piece).await;
                let found = found.unwrap_or_else(|error| panic!("{name} {padding:?}: {error}"));
                assert!(found == both, "{name} {padding:?}");
            }
        }
    }
    let mut skipped = vec![0x50, 0x2a, 0x4d, 0x18, 5, 0, 0, 0, 1, 2, 3, 4, 5];
    skipped.extend(zstd(&content));
    let found = decode(&["zstd"], &skipped, 3).await;
    assert!(found.expect("a frame behind another") == content);
}

/// A frame of blocks that repeat one byte. Each block decodes 4 bytes to 128 KiB.
fn zstd_bomb(blocks: usize) -> Vec<u8> {
    let mut packed = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 0x38];
    for _ in 0..blocks {
        let header = (1u32 << 17 << 3) | (1 << 1);
        packed.extend_from_slice(&header.to_le_bytes()[..3]);
        packed.push(0);
    }
    packed
}

#[tokio::test]
async fn a_bomb_is_decoded_no_further_than_it_is_read() {
    let bombs = [
        ("gzip", gzip(&vec![0; 64 << 20])),
        ("deflate", raw_deflate(&vec![0; 64 << 20])),
        ("zstd", zstd_bomb(100_000)),
    ];
    for (name, bomb) in bombs {
        let all = stream::iter([Ok(Bytes::from(bomb))]);
        let mut body = codings(&[name]).expect("a coding").decode(all);
        let mut read = 0;
        while read < 1 << 20 {
            let piece = body.next().await.expect("much more").expect("not damaged");
            assert!(
                piece.len() <= 1 << 20,
                "{name}: {} bytes at once",
                piece.len()
            );
            read += piece.len();
        }
    }
}

#[tokio::test]
async fn a_window_beyond_the_largest_is_refused() {
    // A window of 16 MiB.
    let mut packed = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 14 << 3];
    packed.extend([1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let error = decode(&["zstd"], &packed, 1000).await;
    assert!(matches!(error, Err(SourceError::Coding(_))), "{error:?}");
    // Large-window Brotli.
    let error = decode(&["br"], &[0x11, 0x1e, 0, 0, 0, 0], 1000).await;
    assert!(matches!(error, Err(SourceError::Coding(_))), "{error:?}");
}

#[tokio::test]
async fn a_pause_within_a_coding_is_a_pause() {
    let packed = Bytes::from(gzip(&content(5000)));
    let half = packed.slice(..packed.len() / 2);
    let body = stream::iter([Ok(half)]).chain(stream::pending());
    let body = codings(&["gzip"]).expect("a coding").decode(body);
    let all = body.try_collect::<Vec<_>>();
    let waited = tokio::time::timeout(Duration::from_millis(50), all).await;
    assert!(waited.is_err());
}

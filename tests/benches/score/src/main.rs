//! Scores pictures by SSIMULACRA2, as many as are sent, in one process.
//!
//! Standard input is a row of messages: `R`, width and height (32 bits each, little-endian) and the samples of a reference (RGB, 8 bits
//! each); then any number of `D` and the samples of a picture of the same size. Each `D` is answered with its score on a line.

use std::io;
use std::io::{Read, Write};

use fast_ssim2::PixelDescriptor;
use fast_ssim2::PixelSlice;
use fast_ssim2::Ssimulacra2Reference;

type Failure = Box<dyn std::error::Error>;

const BYTES_PER_PIXEL: usize = 3;

struct Reference {
    width: u32,
    height: u32,
    scored: Ssimulacra2Reference,
}

fn main() -> Result<(), Failure> {
    let mut input = io::stdin().lock();
    let mut output = io::stdout().lock();
    let mut reference = None;
    let mut tag = [0];
    while input.read(&mut tag)? == 1 {
        match (tag[0], &reference) {
            (b'R', _) => reference = Some(read_reference(&mut input)?),
            (b'D', Some(reference)) => {
                writeln!(output, "{}", score(&mut input, reference)?)?;
                output.flush()?;
            }
            (b'D', None) => return Err("a picture came before its reference".into()),
            _ => {
                return Err(format!("a message must begin with R or D, got byte {}", tag[0]).into());
            }
        }
    }
    Ok(())
}

fn read_reference(input: &mut impl Read) -> Result<Reference, Failure> {
    let (width, height) = (read_side(input)?, read_side(input)?);
    let samples = read_samples(input, width, height)?;
    let scored = Ssimulacra2Reference::new(&pixels(&samples, width, height)?)?;
    Ok(Reference {
        width,
        height,
        scored,
    })
}

fn score(input: &mut impl Read, reference: &Reference) -> Result<f64, Failure> {
    let Reference {
        width,
        height,
        scored,
    } = reference;
    let samples = read_samples(input, *width, *height)?;
    Ok(scored.compare(&pixels(&samples, *width, *height)?)?)
}

fn read_side(input: &mut impl Read) -> Result<u32, Failure> {
    let mut bytes = [0; 4];
    input.read_exact(&mut bytes)?;
    Ok(u32::from_le_bytes(bytes))
}

fn read_samples(input: &mut impl Read, width: u32, height: u32) -> Result<Vec<u8>, Failure> {
    let pixels = usize::try_from(u64::from(width) * u64::from(height))?;
    let mut samples = vec![0; pixels * BYTES_PER_PIXEL];
    input.read_exact(&mut samples)?;
    Ok(samples)
}

fn pixels(samples: &[u8], width: u32, height: u32) -> Result<PixelSlice<'_>, Failure> {
    let stride = usize::try_from(width)? * BYTES_PER_PIXEL;
    Ok(PixelSlice::new(
        samples,
        width,
        height,
        stride,
        PixelDescriptor::RGB8_SRGB,
    )?)
}

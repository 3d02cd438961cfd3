//! Samples as libjxl takes them: grey where a picture has no colour, 8 or 16 bits.

use std::borrow::Cow;

use crate::codecs::TransformError;
use crate::codecs::encode::error::failed;
use crate::codecs::encode::picture::Picture;
use crate::pixels::buffer;

/// Interleaved samples, and how many of them a pixel has: 1 and 3 without alpha, 2 and 4 with it.
pub(super) enum Samples<'a> {
    Eight(Cow<'a, [u8]>, usize),
    Sixteen(Cow<'a, [u16]>, usize),
}

impl<'a> Samples<'a> {
    pub(super) fn of(picture: &'a Picture) -> Result<Self, TransformError> {
        Ok(match picture {
            Picture::Planar(..) => return Err(failed("JPEG XL takes no planes")),
            Picture::Rgb(_, samples) => {
                let (samples, channels) = least(samples, 3)?;
                Samples::Eight(samples, channels)
            }
            Picture::Rgba(_, samples) => {
                let (samples, channels) = least(samples, 4)?;
                Samples::Eight(samples, channels)
            }
            Picture::Deep(_, channels, samples) => {
                let (samples, channels) = least(samples, channels.count())?;
                Samples::Sixteen(samples, channels)
            }
        })
    }

    pub(super) fn channels(&self) -> usize {
        match self {
            Samples::Eight(_, channels) | Samples::Sixteen(_, channels) => *channels,
        }
    }
}

/// The samples without those that repeat others, where that holds for all pixels.
fn least<T: Copy + PartialEq>(
    samples: &[T],
    channels: usize,
) -> Result<(Cow<'_, [T]>, usize), TransformError> {
    let mut pixels = samples.chunks_exact(channels);
    if !pixels.all(|pixel| pixel[0] == pixel[1] && pixel[1] == pixel[2]) {
        return Ok((Cow::Borrowed(samples), channels));
    }
    let left = channels - 2;
    let pixels = samples.chunks_exact(channels);
    let grays = buffer::collected(
        pixels.len() * left,
        pixels.flat_map(|pixel| pixel[2..].iter().copied()),
    )?;
    Ok((Cow::Owned(grays), left))
}

#[cfg(test)]
mod tests {
    use super::Samples;
    use crate::codecs::encode::picture::Picture;
    use crate::pixels::{Channels, Size};

    #[test]
    fn pictures_without_colour_have_one_sample_of_light() {
        let size = Size::new(2, 1);
        let channels = |picture: &Picture| Samples::of(picture).expect("takes it").channels();
        assert_eq!(channels(&Picture::Rgb(size, vec![5, 5, 5, 9, 9, 9])), 1);
        assert_eq!(channels(&Picture::Rgb(size, vec![5, 5, 5, 9, 9, 8])), 3);
        let fade = Picture::Rgba(size, vec![5, 5, 5, 0, 9, 9, 9, 255]);
        match Samples::of(&fade).expect("takes it") {
            Samples::Eight(samples, 2) => assert_eq!(samples[..], [5, 0, 9, 255]),
            _ => panic!("grey with alpha has two samples of 8 bits"),
        }
        let deep = Picture::Deep(size, Channels::Rgb, vec![500, 500, 500, 9, 9, 9]);
        assert_eq!(channels(&deep), 1);
    }
}

"""What a perfect reduction looks like: Lanczos with three lobes in linear light, in floating point, of every pixel that the source has.

Shares no code with anything that is measured. The extent is exact (a source pixel is 2725 / 800 of a target pixel wide, whatever the
decoder could do), alpha is premultiplied, and samples are rounded once, at the end.
"""

import math

import imagecodecs
import numpy
from PIL import Image, ImageOps

LOBES = 3


def to_linear(encoded):
    """sRGB from 0 to 1 to light."""
    return numpy.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def to_encoded(light):
    light = numpy.clip(light, 0, 1)
    return numpy.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)


def samples_of(path):
    """All pixels in linear light, premultiplied, with alpha only where the source has some."""
    if path.suffix == ".avif":
        stored, most = imagecodecs.avif_decode(path.read_bytes()), 255
        if stored.dtype == numpy.uint16:
            most = 1023
    else:
        picture = ImageOps.exif_transpose(Image.open(path))
        has_alpha = "A" in picture.getbands() or "transparency" in picture.info
        stored, most = numpy.asarray(picture.convert("RGBA" if has_alpha else "RGB")), 255
    return _light(stored, most)


def light_of(picture):
    """The same of a picture that is there, without alpha."""
    return _light(numpy.asarray(picture.convert("RGB")), 255)


def _light(stored, most):
    table = to_linear(numpy.arange(most + 1) / most).astype(numpy.float32)
    light = table[stored[..., :3]]
    if stored.shape[2] == 3:
        return light
    alpha = (stored[..., 3:] / most).astype(numpy.float32)
    return numpy.concatenate([light * alpha, alpha], axis=2)


def _lanczos(x):
    x = numpy.abs(x)
    return numpy.where(x < LOBES, numpy.sinc(x) * numpy.sinc(x / LOBES), 0)


def _reduced(samples, length):
    """The first axis reduced to `length`."""
    scale = samples.shape[0] / length
    stretch = max(scale, 1)
    made = numpy.empty((length, *samples.shape[1:]), numpy.float32)
    for index in range(length):
        center = (index + 0.5) * scale
        first = max(0, math.floor(center - LOBES * stretch))
        last = min(samples.shape[0], math.ceil(center + LOBES * stretch))
        weights = _lanczos((numpy.arange(first, last) + 0.5 - center) / stretch)
        weights = (weights / weights.sum()).astype(numpy.float32)
        made[index] = numpy.tensordot(weights, samples[first:last], axes=1)
    return made


def reduced(path, width, height):
    """The picture at `path` in `width` x `height`, as 8-bit RGB or RGBA."""
    return reduced_samples(samples_of(path), width, height)


def reduced_samples(samples, width, height):
    samples = _reduced(samples, height)
    samples = _reduced(samples.swapaxes(0, 1), width).swapaxes(0, 1).astype(numpy.float64)
    if samples.shape[2] == 4:
        alpha = numpy.clip(samples[..., 3:], 0, 1)
        light = samples[..., :3] / numpy.maximum(alpha, 1e-6)
        samples = numpy.concatenate([to_encoded(light), alpha], axis=2)
    else:
        samples = to_encoded(samples)
    return (samples * 255).round().astype(numpy.uint8)


class References:
    """References as PNG files, made when first asked for."""

    def __init__(self, pictures, folder):
        self.pictures = pictures
        self.folder = folder / "references"
        self.folder.mkdir(parents=True, exist_ok=True)

    def of(self, name, width, height):
        path = self.folder / f"{name}-{width}x{height}.png"
        if not path.exists():
            part = self.folder / f".part-{path.name}"
            Image.fromarray(reduced(self.pictures / name, width, height)).save(part, "PNG", compress_level=1)
            part.rename(path)
        return numpy.asarray(Image.open(path))

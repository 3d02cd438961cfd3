"""SSIMULACRA2 of finished files against the reference. Files are decoded by Pillow, which shares no code with what is measured."""

import io
import struct
import subprocess

import imagecodecs
import numpy
from PIL import Image

import jobs
import processes


def decoded(made):
    """The bytes of a picture as 8-bit RGB or RGBA; of an animation, its first frame."""
    if jobs.is_jxl(made):
        picture = imagecodecs.jpegxl_decode(made)
        if picture.dtype == numpy.uint16:
            picture = (picture.astype(numpy.float64) / 257).round().astype(numpy.uint8)
        if picture.ndim == 2:
            picture = picture[..., None]
        # Grey, perhaps with alpha, is written without colours.
        return picture[..., [0, 0, 0, *range(1, picture.shape[2])]] if picture.shape[2] < 3 else picture
    picture = Image.open(io.BytesIO(made))
    return numpy.asarray(picture.convert("RGBA" if "A" in picture.getbands() else "RGB"))


def size_of(made):
    if jobs.is_jxl(made):
        height, width = imagecodecs.jpegxl_decode(made).shape[:2]
        return width, height
    return Image.open(io.BytesIO(made)).size


class Scorer:
    """The program `score`, kept running."""

    def __init__(self, program, references):
        self.references = references
        self.process = processes.start("score", [program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def scores(self, name, files):
        """Scores of files that were made from the picture `name`, all of one size."""
        sizes = {size_of(made) for made in files}
        if len(sizes) != 1:
            raise ValueError(f"pictures of `{name}` to compare must have one size, got {sorted(sizes)}")
        reference = self.references.of(name, *sizes.pop())
        pictures = [decoded(made) for made in files]
        if reference.shape[2] == 3:
            return self._scores(reference, [picture[..., :3] for picture in pictures])
        # Whoever has transparency is seen on both grounds; the worse of the two counts.
        scores = []
        for ground in (0, 255):
            scores.append(self._scores(_on(reference, ground), [_on(picture, ground) for picture in pictures]))
        return [min(pair) for pair in zip(*scores)]

    def score(self, reference, picture):
        """The score of one picture against pixels that are there."""
        score, = self._scores(reference, [picture])
        return score

    def _scores(self, reference, pictures):
        height, width, _ = reference.shape
        pipe = self.process.stdin
        pipe.write(b"R" + struct.pack("<II", width, height) + numpy.ascontiguousarray(reference).tobytes())
        scores = []
        for picture in pictures:
            pipe.write(b"D" + numpy.ascontiguousarray(picture).tobytes())
            pipe.flush()
            line = self.process.stdout.readline()
            if not line:
                raise processes.failure("score has ended", self.process.log)
            scores.append(float(line))
        return scores

    def stop(self):
        self.process.stdin.close()
        self.process.wait()


def _on(picture, ground):
    if picture.shape[2] == 3:
        return picture
    alpha = picture[..., 3:].astype(numpy.float64) / 255
    return (picture[..., :3] * alpha + ground * (1 - alpha)).round().astype(numpy.uint8)

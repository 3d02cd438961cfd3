"""How an animation looks: SSIMULACRA2 of frames that are shown at the same moments, against a reduction of those of the source."""

import io
import statistics

import numpy
from PIL import Image, ImageSequence

import reference

SHOWN = 6  # frames that are compared


class Frames:
    """The frames of a source that are compared, as they should look."""

    def __init__(self, path, width, height):
        self.size = (width, height)
        shown = _timeline(Image.open(path))
        whole = shown[-1][1]
        # In the middle of what each is shown for, or else roundings of times would tell.
        self.moments = [whole * (index + 0.5) / SHOWN for index in range(SHOWN)]
        self.references = [reference.reduced_samples(reference.light_of(_at(shown, moment)), width, height) for moment in self.moments]

    def score(self, scorer, made):
        """The mean score of a finished file."""
        shown = _timeline(Image.open(io.BytesIO(made)))
        pictures = [numpy.asarray(_at(shown, moment)) for moment in self.moments]
        if any(picture.shape[:2] != self.size[::-1] for picture in pictures):
            raise ValueError(f"frames of {pictures[0].shape[:2]} for {self.size[::-1]}")
        return statistics.mean(scorer.score(ours, picture) for ours, picture in zip(self.references, pictures))


def _timeline(picture):
    """Frames with the milliseconds at which each ends."""
    shown, end = [], 0
    for frame in ImageSequence.Iterator(picture):
        pixels = frame.convert("RGB")
        end += frame.info.get("duration", 0) or 100
        shown.append((pixels, end))
    return shown


def _at(shown, moment):
    return next(frame for frame, end in shown if moment < end)

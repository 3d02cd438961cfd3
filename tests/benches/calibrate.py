"""Which numbers for `quality` look alike in JPEG, WebP, AVIF and JPEG XL: `make bench-calibrate`.

    calibrate.py SAFELIGHT --folder FOLDER --score SCORE --sharp MODULES [--only pictures|graphics]

Renders every picture at 320, 800 and 1600 px through the real server at qualities 1 to 100, scores them, and prints, for each kind of pictures, width
and format, the median score of each quality; then, for each quality of JPEG, the qualities of the other formats that have the same median score. All
qualities are what the server takes now: where it maps them already, what is printed maps what came out of that map.
"""

import os
import statistics
from concurrent.futures import ThreadPoolExecutor

import numpy

import bench
import pictures
from jobs import job

WIDTHS = (320, 800, 1600)
FORMATS = ("jpeg", "webp", "avif", "jxl")
# The scales of the encoders are those of the first kind; graphics show how far they hold for text, flat areas and hard edges. The server may write
# those without loss, where that is smaller.
KINDS = {"pictures": pictures.PHOTOGRAPHS + pictures.DRAWINGS, "graphics": pictures.GRAPHICS}
# 100 is lossless in WebP and JPEG XL, and on no curve.
QUALITIES = [1, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60, 65, 70, 75, 80, 84, 88, 91, 94, 96, 98, 99]


def run(measured, group):
    for width in WIDTHS:
        calibrate(measured, width, group, KINDS[group])


def calibrate(measured, width, kind, names):
    names = [name for name in names if pictures.width_of(measured.pictures, name) >= width]
    if not names:
        return
    scores = {format: {quality: [] for quality in QUALITIES} for format in FORMATS}
    sizes = {format: {quality: [] for quality in QUALITIES} for format in FORMATS}
    scorers = [measured.another_scorer() for _ in range(os.cpu_count())]
    with ThreadPoolExecutor(len(scorers)) as pool:
        asked = [(name, format) for name in names for format in FORMATS]
        for (name, format), points in zip(asked, pool.map(lambda one: curve(measured, scorers, width, *one), asked)):
            for quality, (score, size) in zip(QUALITIES, points):
                scores[format][quality].append(score)
                sizes[format][quality].append(size)
            print(f"   {name} {format}", flush=True)
    for scorer in scorers:
        scorer.stop()
    medians = {format: [statistics.median(scores[format][quality]) for quality in QUALITIES] for format in FORMATS}
    print(f"\nmedian score of {len(names)} {kind} at {width} px, and mean bytes")
    print("quality  " + "  ".join(f"{format:>16}" for format in FORMATS))
    for index, quality in enumerate(QUALITIES):
        cells = (f"{medians[format][index]:7.2f} {statistics.mean(sizes[format][quality]):8.0f}" for format in FORMATS)
        print(f"{quality:7}  " + "  ".join(cells))
    curves = {format: _rising(medians[format]) for format in FORMATS}
    for format in FORMATS[1:]:
        print(f"\n/// (quality, quality of {format} with the score of a JPEG of that quality)")
        print(f"const {format.upper()}: [(u8, f32); {len(QUALITIES)}] = [")
        for quality, score in zip(QUALITIES, curves["jpeg"]):
            print(f"    ({quality}, {numpy.interp(score, curves[format], QUALITIES):.1f}),")
        print("];")


def curve(measured, scorers, width, name, format):
    """Score and bytes of a picture at each quality."""
    wanted = job(measured.pictures, name, width, format)
    # What is made quickly is there for minutes only.
    server = measured.safelight if format == "jpeg" else measured.settled
    made = [server.make(wanted.at(quality)) for quality in QUALITIES]
    scorer = scorers.pop()
    scores = scorer.scores(name, made)
    scorers.append(scorer)
    return list(zip(scores, map(len, made)))


def _rising(values):
    """A curve that can be read backwards: where a score is no higher than one before it, it is that one and a hair."""
    return numpy.maximum.accumulate(values) + numpy.arange(len(values)) * 1e-6


if __name__ == "__main__":
    bench.measure({kind: run for kind in KINDS})

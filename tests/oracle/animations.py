#!/usr/bin/env python3
"""Compares animations that safelight makes with Pillow's reading of their sources, frame by frame.

    pip install pillow numpy
    cargo build && python3 tests/oracle/animations.py target/debug/safelight FOLDER

Every animation under FOLDER (GIF, WebP, APNG) is made a lossless WebP of the same size, and every GIF also a GIF. The pixels are
weighed with their alpha, so colours that nobody sees do not count. Where the numbers of frames differ, neighbours that look the same
count as one, for as long as both: WebP has no use for the second. Exits with 1 when a file is beyond the bound.

Where Pillow differs from browsers, this follows the browsers:
  * what no frame of a GIF covers, and what one was cleared from, is transparent, where Pillow may show the background colour;
  * the default image of an APNG that is not part of the animation is not shown;
  * on the way from a GIF to another format, a delay of up to 10 ms becomes the 100 ms that browsers make of it.
"""

import argparse
import pathlib
import subprocess
import sys
import tempfile

import numpy
from PIL import Image

BOUND = 2

# Where Pillow is wrong. It shows a frame to be restored for ever after, if the file has a default image outside of the animation; this
# one, from the web platform tests, must end all green.
KNOWN = {"apng-fcTL-dispose-in-region-previous.png"}

# Pixels of all frames that are held at once, at 16 bytes and more each.
MOST_PIXELS = 50_000_000


class Frame:
    def __init__(self, picture, delay):
        rgba = numpy.asarray(picture.convert("RGBA")).astype(numpy.int32)
        self.alpha = rgba[..., 3]
        self.color = (rgba[..., :3] * self.alpha[..., None] + 127) // 255
        self.delay = delay

    def difference(self, other, backgrounds=()):
        """For each pixel the greatest difference of a sample; where `other` shows a background through `self`, none."""
        color = numpy.abs(self.color - other.color).max(axis=-1)
        difference = numpy.maximum(color, numpy.abs(self.alpha - other.alpha))
        for background in backgrounds:
            shines = (other.alpha == 255) & (other.color == background).all(axis=-1)
            difference[shines & (self.alpha == 0)] = 0
        return difference


def read(path):
    """Frames, how often they are played (0: for ever), and the colours that Pillow takes for a background."""
    with Image.open(path) as picture:
        count = getattr(picture, "n_frames", 1)
        first = 1 if getattr(picture, "default_image", False) else 0
        kind = picture.format
        loops = picture.info.get("loop")
        if kind == "GIF":
            loops = 1 if loops is None else loops + 1 if loops else 0
        backgrounds = []
        if kind == "GIF" and picture.global_palette:
            table = picture.global_palette.palette
            for index in {0, picture.info.get("background", 0)}:
                color = table[3 * index : 3 * index + 3]
                if len(color) == 3:
                    backgrounds.append(numpy.array(list(color)))
        frames = []
        if count * picture.width * picture.height > MOST_PIXELS:
            raise ValueError("too large to hold")
        for number in range(first, count):
            picture.seek(number)
            # WebP knows the delay of a frame only then.
            picture.load()
            frames.append(Frame(picture, picture.info.get("duration", 0)))
    return kind, frames, loops, backgrounds


def merged(frames):
    """Frames without those that look like the one before."""
    kept = []
    for frame in frames:
        if kept and kept[-1].difference(frame).max() == 0:
            kept[-1].delay += frame.delay
        else:
            kept.append(frame)
    return kept


def compare(binary, source, extension, folder):
    """What is wrong (nothing: None), and a line for the table."""
    kind, wanted, loops, backgrounds = read(source)
    if len(wanted) < 2:
        return None, None
    if kind == "GIF" and extension != "gif":
        for frame in wanted:
            frame.delay = 100 if frame.delay <= 10 else frame.delay
    output = pathlib.Path(folder) / f"made.{extension}"
    # Mirrored, because a source of which no pixel changes is answered with its own bytes.
    options = "flip=h,format=webp,quality=100" if extension == "webp" else "flip=h"
    command = [binary, "transform", str(source), options, "-o", str(output)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode != 0:
        return run.stderr.strip() or "failed", "-"
    made_kind, made, made_loops, _ = read(output)
    for frame in made:
        frame.alpha, frame.color = frame.alpha[:, ::-1], frame.color[:, ::-1]
    if len(made) != len(wanted):
        made, wanted = merged(made), merged(wanted)
    problems = []
    if made_kind.lower() != extension:
        problems.append(f"is {made_kind}")
    if len(made) != len(wanted):
        problems.append(f"{len(made)} frames for {len(wanted)}")
    worst, mean = 0, 0.0
    for ours, theirs in zip(made, wanted):
        if ours.alpha.shape != theirs.alpha.shape:
            problems.append(f"{ours.alpha.shape} for {theirs.alpha.shape}")
            break
        difference = ours.difference(theirs, backgrounds)
        worst = max(worst, int(difference.max()))
        mean = max(mean, float(difference.mean()))
    if worst > BOUND:
        problems.append(f"pixels differ by up to {worst}")
    if len(made) > 1:
        late = [abs(ours.delay - theirs.delay) for ours, theirs in zip(made, wanted)]
        if max(late) > (10 if extension == "gif" else 1) * (kind != made_kind):
            problems.append(f"delays differ by up to {max(late)} ms")
        # Both containers have 16 bits for it.
        if made_loops != loops and min(made_loops, loops) < 65_535:
            problems.append(f"plays {made_loops} times for {loops}")
    row = f"{len(made):6} {worst:5} {mean:8.4f}"
    return "; ".join(problems) or None, row


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binary", help="the safelight binary")
    parser.add_argument("folder", type=pathlib.Path, help="a folder of pictures")
    arguments = parser.parse_args()
    failed, compared = 0, 0
    print(f"{'source':50} {'to':5} frames   max     mean")
    with tempfile.TemporaryDirectory() as folder:
        for source in sorted(arguments.folder.rglob("*")):
            if source.suffix.lower() not in {".gif", ".webp", ".png", ".apng"}:
                continue
            for extension in ["webp"] + ["gif"] * (source.suffix.lower() == ".gif"):
                name = str(source.relative_to(arguments.folder))
                try:
                    problem, row = compare(arguments.binary, source, extension, folder)
                except Exception as cause:  # Pillow cannot read it: no oracle.
                    print(f"{name:50} {extension:5} skipped: {cause}")
                    continue
                if row is None:
                    continue
                compared += 1
                known = problem is not None and source.name in KNOWN
                verdict = f"known: {problem}" if known else problem or "ok"
                print(f"{name:50} {extension:5} {row}  {verdict}")
                failed += problem is not None and not known
    print(f"{compared} compared, {failed} beyond the bound of {BOUND}")
    sys.exit(1 if failed or not compared else 0)


if __name__ == "__main__":
    main()

"""Peak memory of one transform in a process of its own, and how CPU grows with the source where the result stays the same."""

import statistics
import time

import contenders
import packages
import processes
import rounds
import table
from jobs import job
from PIL import Image

# Megapixels and the picture: the same photograph once, mirrored four times, and sixteen times. All are baseline JPEG.
SIZES = ((6, "saw-baseline.jpg"), (24, "mosaic-24.jpg"), (97, "mosaic-97.jpg"))

PEAKS = [
    ("6 MP JPEG to 800 px JPEG", "saw.jpg", 800, "jpeg", False, 0.2),
    ("6 MP JPEG to 800 px WebP", "saw.jpg", 800, "webp", False, 0.2),
    ("6 MP JPEG to 800 px AVIF", "saw.jpg", 800, "avif", False, None),
    ("24 MP JPEG to 800 px JPEG", "mosaic-24.jpg", 800, "jpeg", False, 0.2),
    ("PNG with alpha to 800 px WebP", "alpha.png", 800, "webp", False, None),
    ("36 frames of GIF, 480 px to 320 px WebP", "animation.gif", 320, "webp", True, None),
]


def run(bench, group):
    for what, source, width, format, animated, bar in PEAKS:
        wanted = job(bench.pictures, source, width, format, animated=animated)
        ours, theirs = peak(bench, wanted), peak_of_sharp(bench, wanted)
        row = table.Row(group, f"{what}: peak memory against sharp in its process", table.mebibytes(ours), table.mebibytes(theirs), rounds.spread([ours / theirs]), bar)
        bench.add(row)
    flatness(bench, group)


def flatness(bench, group):
    wanted = {size: job(bench.pictures, name, 800, "jpeg") for size, name in SIZES}
    peaks = {size: peak(bench, one) for size, one in wanted.items()}
    spent = {size: [] for size in wanted}
    floor = {size: [] for size in wanted}
    for _ in range(bench.rounds):
        for size, one in wanted.items():
            times = max(2, 60 // size)
            spent[size].append(bench.safelight.cpu(one, times))
            floor[size].append(entropy_decoding(bench.pictures / one.source, times))
    small = SIZES[0][0]
    for size, _ in SIZES[1:]:
        bench.add(
            table.Row(
                group,
                f"{size} MP against {small} MP baseline JPEG to 800 px JPEG: peak memory",
                table.mebibytes(peaks[size]),
                table.mebibytes(peaks[small]),
                rounds.spread([peaks[size] / peaks[small]]),
            )
        )
        growth = [big - little for big, little in zip(spent[size], spent[small])]
        least = [big - little for big, little in zip(floor[size], floor[small])]
        bench.add(
            table.Row(
                group,
                f"{size} MP against {small} MP: CPU added, over that of libjpeg-turbo at 1/8",
                table.millis(statistics.median(growth)),
                table.millis(statistics.median(least)),
                rounds.ratios(growth, least),
            )
        )


def entropy_decoding(path, times):
    """CPU of what no decoder can leave out: libjpeg-turbo (in Pillow) at an eighth of the size reads all codes and computes next to nothing."""
    before = time.thread_time()
    for _ in range(times):
        with Image.open(path) as picture:
            picture.draft("YCbCr", (1, 1))
            picture.load()
    return (time.thread_time() - before) / times


def peak(bench, wanted):
    """The most memory that `safelight transform` holds. A process begins with the peak of the one it was forked from: hence GNU time."""
    time_program = packages.debian("time", bench.arguments.folder) / "usr/bin/time"
    out, told = bench.scratch / f"peak.{wanted.format}", bench.scratch / "peak.txt"
    command = [bench.arguments.safelight, "transform", bench.pictures / wanted.source, wanted.options(), "-o", out]
    processes.run("safelight transform", [time_program, "--format=%M", f"--output={told}", *command])
    return int(told.read_text()) * 1024


def peak_of_sharp(bench, wanted):
    alone = contenders.Sharp(bench.arguments.sharp, bench.pictures, bench.scratch)
    most = alone.peak(wanted)
    alone.stop()
    return most

"""Bytes and CPU together, at equal looks: `photographs`, `graphics` and `animations`.

Ours are made at the qualities that people ask for. Each peer makes a curve of qualities, and is told of at the score of our picture,
between its points: bytes by the logarithm, CPU on a straight line. A peer whose curve does not reach our score is counted, not guessed.
"""

import math
import statistics
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy

import pictures
import rounds
import table
from jobs import job
from motion import Frames

QUALITIES = (60, 75, 85)
WIDTHS = (320, 800, 1600)
# The curves of peers.
CURVES = {
    "jpeg": (40, 60, 72, 80, 86, 91, 95, 98),
    "webp": (40, 60, 72, 80, 86, 91, 95, 98),
    "avif": (30, 45, 57, 68, 80, 90, 97),
}
# JPEG XL, which they do not write, is told of beside their AVIF.
BESIDE = {"jxl": "avif"}
# Short jobs are done again, and the least CPU counts.
SHORT, AGAIN = 0.12, 3
ACCEPT = {"accept": "image/avif,image/webp,*/*"}

# What is told of each format: whose answer, and what it may come to in bytes and in CPU against sharp.
FORMS = {
    "jpeg": [("", "alone", None, 0.60)],
    "webp": [("first", "alone", 1.02, 0.75), ("settled", "settled", 0.93, None)],
    "avif": [("first", "alone", None, 0.03), ("settled", "settled", 0.92, 0.5)],
    "jxl": [("first", "alone", None, 0.05), ("settled", "settled", None, 0.5)],
}


@dataclass
class Point:
    """A picture that was made."""

    bytes: int
    cpu: float
    score: float = math.nan


def photographs(bench, group):
    for format in bench.formats(("jpeg", "webp", "avif", "jxl")):
        for width in WIDTHS:
            _kind(bench, group, pictures.HOLD_OUT, width, format)


def graphics(bench, group):
    for format in bench.formats(("webp", "avif", "jxl")):
        _kind(bench, group, pictures.GRAPHICS, 800, format)
    for width in (800, None):
        _against_lossless(bench, group, width)


def animations(bench, group):
    _kind(bench, group, pictures.ANIMATIONS, 320, "webp", animated=True)


def _kind(bench, group, names, width, format, **more):
    forms = [(kind, getattr(bench, server), bar, cpu) for kind, server, bar, cpu in FORMS[format]]
    found = []  # For each picture: our points by form and quality, and curves by peer.
    with ThreadPoolExecutor(1) as pool:
        for name in names:
            wanted = job(bench.pictures, name, width, format, **more)
            if not more and pictures.width_of(bench.pictures, name) < width:
                continue
            ours = [[_made(server, wanted.at(quality)) for quality in QUALITIES] for _, server, _, _ in forms]
            theirs = {peer.name: _curve(peer, wanted) for peer in bench.peers}
            made = [one for row in [*ours, *theirs.values()] for one in row]
            # While the next picture is made, this one is scored.
            found.append((name, ours, theirs, pool.submit(_score, bench, wanted, made)))
        for name, ours, theirs, scored in found:
            scored.result()
            _tell(name, width, format, forms, ours, theirs)
    for index, (kind, _, most_bytes, most_cpu) in enumerate(forms):
        for at, quality in enumerate(QUALITIES):
            points = [ours[index][at][0] for _, ours, _, _ in found]
            score = statistics.median(point.score for point in points)
            for peer in bench.peers:
                pairs = [_ratios(point, [point for point, _ in theirs[peer.name]]) for point, (_, _, theirs, _) in zip(points, found)]
                what = f"{width} px {format} {kind}".strip()
                is_barred = peer is bench.sharp and group != "graphics"
                bars = (most_bytes, most_cpu) if is_barred else (None, None)
                bench.add_pair(_pair(group, what, quality, score, peer, pairs, bars))


def _made(who, wanted):
    made, cpu = who.timed(wanted)
    for _ in range(AGAIN if cpu < SHORT else 0):
        made, again = who.timed(wanted)
        cpu = min(cpu, again)
    return Point(len(made), cpu), made


def _curve(peer, wanted):
    format = BESIDE.get(wanted.format, wanted.format)
    return [_made(peer, replace(wanted, format=format, quality=quality)) for quality in CURVES[format]]


def _score(bench, wanted, made):
    """Fills in the scores of all that was made of one picture."""
    if wanted.animated:
        frames = Frames(bench.pictures / wanted.source, wanted.width, wanted.height)
        scores = [frames.score(bench.scorer, file) for _, file in made]
    else:
        scores = bench.scorer.scores(wanted.source, [file for _, file in made])
    for (point, _), score in zip(made, scores):
        point.score = score


def _tell(name, width, format, forms, ours, theirs):
    for (kind, *_), points in zip(forms, ours):
        told = [f"{point.score:.1f} {point.bytes} B {table.millis(point.cpu)}" for point, _ in points]
        for peer, curve in theirs.items():
            ratios = [_ratios(point, [point for point, _ in curve]) for point, _ in points]
            told.append(f"{peer} " + ", ".join(f"x{size:.3f} CPU x{cpu:.3f}" for size, cpu in ratios))
        print(f"   {name} {width} {format} {kind}: {'; '.join(told)}", flush=True)


def _ratios(point, curve):
    """Our bytes and CPU over those of a curve at our score; not a number where it does not reach it."""
    curve = sorted(curve, key=lambda one: one.score)
    scores = [one.score for one in curve]
    if not scores[0] <= point.score <= scores[-1]:
        return math.nan, math.nan
    size = math.exp(numpy.interp(point.score, scores, numpy.log([one.bytes for one in curve])))
    cpu = numpy.interp(point.score, scores, [one.cpu for one in curve])
    return point.bytes / size, point.cpu / cpu


def _pair(group, what, quality, score, peer, pairs, bars):
    reached = [pair for pair in pairs if not math.isnan(pair[0])]
    sizes, cpus = (zip(*reached) if reached else ((math.nan,), (math.nan,)))
    return table.Pair(group, what, quality, score, peer.name, f"{len(reached)} of {len(pairs)}", _mean(sizes), _mean(cpus), bars)


def _mean(values):
    """The geometric mean, with the least and the greatest."""
    return math.exp(statistics.mean(map(math.log, values))), min(values), max(values)


def _against_lossless(bench, group, width):
    """What `format=auto` answers, first and settled, beside the smaller of sharp's PNG and lossless WebP."""
    for kind, server in (("first", bench.safelight), ("settled", bench.settled)):
        ratios, cpus = [], []
        for name in pictures.GRAPHICS + pictures.DRAWN:
            if width and pictures.width_of(bench.pictures, name) < width:
                continue
            wanted = job(bench.pictures, name, width, "auto", headers=ACCEPT)
            ours, cpu = server.timed(wanted)
            png, png_cpu = bench.sharp.timed(replace(wanted, format="png", sharp={"compressionLevel": 9, "palette": False}))
            webp, webp_cpu = bench.sharp.timed(replace(wanted, format="webp", sharp={"lossless": True}))
            best, best_cpu = min((len(png), png_cpu), (len(webp), webp_cpu))
            ratios.append(len(ours) / best)
            cpus.append(cpu / best_cpu)
            score, = bench.scorer.scores(name, [ours])
            print(f"   {name} {kind}: {len(ours)} B, score {score:.1f}; sharp PNG {len(png)} B, lossless WebP {len(webp)} B: x{ratios[-1]:.3f}", flush=True)
        what = f"{f'{width} px' if width else 'own size'}, format=auto {kind}, against sharp's smaller of PNG and lossless WebP"
        bench.add_pair(table.Pair(group, what, 75, math.nan, "sharp", f"{len(ratios)} of {len(ratios)}", _mean(ratios), _mean(cpus), (1.0, None)))

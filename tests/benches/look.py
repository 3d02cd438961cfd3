"""How pictures look for their bytes: SSIMULACRA2 against the reference, at the same quality number and at the same score."""

import math

import numpy

import pictures
import rounds
import table
from jobs import job

# What they are, the pictures, format, width, and whether bars are set for them.
KINDS = (
    ("photographs", pictures.PHOTOGRAPHS, "jpeg", 300, True),
    ("photographs", pictures.PHOTOGRAPHS, "jpeg", 800, True),
    ("drawings", pictures.DRAWINGS, "jpeg", 800, False),
    ("photographs", pictures.PHOTOGRAPHS, "webp", 800, False),
)
QUALITY = 75
# Ours at these, to find the bytes at somebody else's score between them.
QUALITIES = (50, 60, 68, 75, 81, 86, 91, 95)
# By how much our score may be below oximg's at no more bytes.
MARGIN = 0.5


def run(bench, group):
    for kind, names, format, width, has_bars in KINDS:
        differences = {peer.name: [] for peer in bench.peers}
        sizes = {peer.name: [] for peer in bench.peers}
        equal = {peer.name: [] for peer in bench.peers}
        for name in names:
            wanted = job(bench.pictures, name, width, format, QUALITY)
            ours = curve(bench, wanted, QUALITIES)
            score, size = ours[QUALITIES.index(QUALITY)]
            told = [f"safelight {score:.1f} {size} B"]
            for peer in bench.peers:
                (their_score, their_size), = curve(bench, wanted, [QUALITY], peer)
                differences[peer.name].append(score - their_score)
                sizes[peer.name].append(size / their_size)
                equal[peer.name].append(bytes_at(ours, their_score) / their_size)
                told.append(f"{peer.name} {their_score:.1f} {their_size} B (bytes at its score x{equal[peer.name][-1]:.3f})")
            print(f"   {name} {width} {format}: {', '.join(told)}", flush=True)
        count = f"{len(names)} {kind}, {width} px {format} q{QUALITY}"
        for peer in bench.peers:
            is_barred = has_bars and peer.name == "oximg"
            bench.add(summary(group, f"{count}: score above {peer.name}", differences[peer.name], -MARGIN if is_barred else None, True))
            bench.add(summary(group, f"{count}: bytes against {peer.name}", sizes[peer.name], 1 if is_barred else None))
            bench.add(summary(group, f"{count}: bytes at the score of {peer.name}", equal[peer.name]))


def curve(bench, wanted, qualities, who=None):
    """Score and bytes at each quality."""
    made = [(who or bench.safelight).make(wanted.at(quality)) for quality in qualities]
    return list(zip(bench.scorer.scores(wanted.source, made), map(len, made)))


def bytes_at(points, score):
    """The bytes at which a curve reaches a score: between its points by the logarithm, beyond them not at all."""
    scores, sizes = zip(*sorted(points))
    if not scores[0] <= score <= scores[-1]:
        return math.nan
    return math.exp(numpy.interp(score, scores, numpy.log(sizes)))


def quality_at(points, qualities, score):
    """Our quality number that comes nearest to a score."""
    pairs = sorted((scored, quality) for (scored, _), quality in zip(points, qualities))
    return round(float(numpy.interp(score, [pair[0] for pair in pairs], [pair[1] for pair in pairs])))


def summary(group, what, values, bar=None, at_least=False):
    known = [value for value in values if not math.isnan(value)]
    return table.Row(group, what, "", f"{len(known)} of {len(values)}" if len(known) < len(values) else "", rounds.spread(known), bar, at_least)

"""How one picture looks for its bytes: SSIMULACRA2 against the reference, at several qualities."""

import math

import numpy

import rounds
import table

QUALITY = 75
# Ours at these, to find the bytes at somebody else's score between them.
QUALITIES = (50, 60, 68, 75, 81, 86, 91, 95)


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

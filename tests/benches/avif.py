"""AVIF with alpha, and of 10 bits, beside sharp's at the same score."""

import statistics

import pictures
import rounds
import table
from jobs import job
from look import bytes_at, curve, quality_at, summary

WIDTH = 800
QUALITIES = (20, 30, 40, 50, 60, 70, 80, 88, 94)
ROUNDS = 3
MOST_CPU = 0.5  # over that of sharp


def run(bench, group):
    like_sharp(bench, group, "PNG with alpha", ["alpha.png"])
    like_sharp(bench, group, "10-bit AVIF", list(pictures.DEEP))


def like_sharp(bench, group, what, names):
    """Bytes for pictures at the score of sharp's q50, and CPU for the first of them."""
    by_sharp = []
    for name in names:
        wanted = job(bench.pictures, name, WIDTH, "avif", 50)
        ours = curve(bench, wanted, QUALITIES, bench.settled)
        (score, size), = curve(bench, wanted, [50], bench.sharp)
        by_sharp.append(bytes_at(ours, score) / size)
        print(f"   {name}: sharp q50 {score:.1f} {size} B; ours at its score x{by_sharp[-1]:.3f}", flush=True)
        if name == names[0]:
            first, ours_at = wanted, quality_at(ours, QUALITIES, score)
    what = f"{what} to {WIDTH} px AVIF, settled, at the score of sharp q50"
    count = f", {len(names)} pictures" if len(names) > 1 else ""
    bench.add(summary(group, f"{what}{count}: bytes against sharp", by_sharp, 1))
    compare(bench, group, what, first.at(ours_at), first, bench.settled, MOST_CPU)


def compare(bench, group, what, ours, theirs, server, bar):
    spent = rounds.cpu_rounds([server, bench.sharp], {"safelight": ours, "sharp": theirs}, min(bench.rounds, ROUNDS))
    bench.add(
        table.Row(
            group,
            f"{what}: CPU against sharp",
            f"{table.millis(statistics.median(spent['safelight']))}, q{ours.quality}",
            table.millis(statistics.median(spent["sharp"])),
            rounds.ratios(spent["safelight"], spent["sharp"]),
            bar,
        )
    )

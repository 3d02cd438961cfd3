"""AVIF beside sharp's, and beside our own WebP, at the same score: its quality numbers mean something else everywhere."""

import statistics

import pictures
import rounds
import table
from jobs import job
from look import bytes_at, curve, quality_at, summary

# sharp takes seconds for each.
PHOTOGRAPHS = ["saw.jpg", "ladybird.jpg", "twowings.jpg", "wood.jpg", "yellowflower.jpg", "dogs.jpg"]
WIDTH = 800
SHARP_QUALITIES = (50, 60)
QUALITIES = (20, 30, 40, 50, 60, 70, 80, 88, 94)
ROUNDS = 3
# CPU over that of sharp.
BARS = {"first answer": 0.03, "settled": 0.5}


def run(bench, group):
    for what, server in (("first answer", bench.safelight), ("settled", bench.settled)):
        photographs(bench, group, what, server)
    like_sharp(bench, group, "PNG with alpha", ["alpha.png"])
    like_sharp(bench, group, "10-bit AVIF", list(pictures.DEEP))


def photographs(bench, group, kind, server):
    curves = {}
    for name in PHOTOGRAPHS:
        wanted = job(bench.pictures, name, WIDTH, "avif")
        webp = job(bench.pictures, name, WIDTH, "webp")
        curves[name] = (curve(bench, wanted, QUALITIES, server), curve(bench, webp, QUALITIES))
    for quality in SHARP_QUALITIES:
        by_sharp, by_webp = [], []
        for name, (avif, webp) in curves.items():
            (score, size), = curve(bench, job(bench.pictures, name, WIDTH, "avif"), [quality], bench.sharp)
            by_sharp.append(bytes_at(avif, score) / size)
            by_webp.append(bytes_at(avif, score) / bytes_at(webp, score))
            print(f"   {name}, {kind}: sharp q{quality} {score:.1f} {size} B; ours at its score x{by_sharp[-1]:.3f}, of our WebP x{by_webp[-1]:.3f}", flush=True)
            if name == PHOTOGRAPHS[0]:
                ours_at = quality_at(avif, QUALITIES, score)
        count = f"{len(PHOTOGRAPHS)} photographs, {WIDTH} px AVIF, {kind}, at the score of sharp q{quality}"
        bench.add(summary(group, f"{count}: bytes against sharp", by_sharp, None if kind == "first answer" else 1))
        bench.add(summary(group, f"{count}: bytes against our WebP", by_webp, 1))
        wanted = job(bench.pictures, PHOTOGRAPHS[0], WIDTH, "avif", ours_at)
        what = f"6 MP JPEG to {WIDTH} px AVIF, {kind}, at the score of sharp q{quality}"
        compare(bench, group, what, wanted, wanted.at(quality), server, BARS[kind])


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
    compare(bench, group, what, first.at(ours_at), first, bench.settled, BARS["settled"])


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

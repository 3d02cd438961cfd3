"""CPU for one picture, ours over theirs: `jpeg`, `webp` and `other`."""

import statistics

import rounds
import table
from jobs import job
from look import QUALITIES, QUALITY, curve, quality_at

# Group, what is said of it, source, width, format, bar against sharp, bar against oximg.
ROWS = [
    ("jpeg", "6 MP JPEG to 800 px JPEG", "saw.jpg", 800, "jpeg", 0.60, 0.50),
    ("jpeg", "6 MP JPEG to 300 px JPEG", "saw.jpg", 300, "jpeg", None, None),
    ("jpeg", "24 MP JPEG to 800 px JPEG", "mosaic-24.jpg", 800, "jpeg", 0.65, None),
    ("webp", "6 MP JPEG to 800 px WebP", "saw.jpg", 800, "webp", 0.45, None),
    ("other", "PNG with alpha to 800 px WebP", "alpha.png", 800, "webp", 0.5, None),
    ("other", "1080p WebP to 800 px WebP", "1080.webp", 800, "webp", 0.4, None),
]
# Sources so large that a smaller copy is kept of them.
COPIED = ("mosaic-24.jpg",)


def run(bench, group):
    for of, what, source, width, format, by_sharp, by_oximg in ROWS:
        if of == group:
            wanted = job(bench.pictures, source, width, format)
            compare(bench, group, what, wanted, {"sharp": by_sharp, "oximg": by_oximg}, bench.alone)
            if source in COPIED:
                compare(bench, group, f"{what}, and its copy for other sizes", wanted, {}, bench.thorough)
    if group == "other":
        animation(bench)


def compare(bench, group, what, wanted, bars, ours):
    """Rows of CPU for one job, with the bytes that come out: theirs at a quality number, ours at the one with the score of sharp, or at
    the same where it is that of JPEG, which means the same to all."""
    contenders = [ours, *bench.peers]
    jobs = {one.name: wanted for one in contenders}
    if wanted.format != "jpeg":
        (score, _), = curve(bench, wanted, [QUALITY], bench.sharp)
        jobs["safelight"] = wanted.at(quality_at(curve(bench, wanted, QUALITIES), QUALITIES, score))
    spent = rounds.cpu_rounds(contenders, jobs, bench.rounds)
    bytes_of = {one.name: len(one.make(jobs[one.name])) for one in contenders}
    for peer in bench.peers:
        own, theirs = spent["safelight"], spent[peer.name]
        bench.add(
            table.Row(
                group,
                f"{what}, q{wanted.quality}: CPU against {peer.name}",
                f"{table.millis(statistics.median(own))}, q{jobs['safelight'].quality}, {bytes_of['safelight']} B",
                f"{table.millis(statistics.median(theirs))}, {bytes_of[peer.name]} B",
                rounds.ratios(own, theirs),
                bars.get(peer.name),
            )
        )


def animation(bench):
    wanted = job(bench.pictures, "animation.gif", 320, "webp", animated=True)
    contenders = [bench.safelight, bench.sharp]
    spent = rounds.cpu_rounds(contenders, {one.name: wanted for one in contenders}, max(1, bench.rounds // 2))
    bytes_of = {one.name: len(one.make(wanted)) for one in contenders}
    ours, theirs = spent["safelight"], spent["sharp"]
    bench.add(
        table.Row(
            "other",
            "36 frames of GIF, 480 px to 320 px WebP: CPU against sharp",
            f"{table.millis(statistics.median(ours))}, {bytes_of['safelight']} B",
            f"{table.millis(statistics.median(theirs))}, {bytes_of['sharp']} B",
            rounds.ratios(ours, theirs),
        )
    )

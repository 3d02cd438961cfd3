"""Everything that is said about speed, size and memory, measured: `make bench`.

    bench.py SAFELIGHT --folder FOLDER --score SCORE --sharp MODULES [--oximg BINARY] [--only GROUPS] [--rounds N]

SAFELIGHT is a release binary, FOLDER keeps pictures and references between runs, and the logs of the last one, SCORE is the program in `score/`, and MODULES a
folder in which npm installed sharp. Prints a table, and writes it as Markdown to FOLDER/table.md.
"""

import argparse
import pathlib
import tempfile
import time

import avif
import contenders
import hits
import hosted_images
import isolation
import memory
import originals
import overload
import pareto
import pictures
import processes
import shared
import still
import table
import waiting
from reference import References
from score import Scorer

GROUPS = {
    "jpeg": still.run,
    "webp": still.run,
    "other": still.run,
    "photographs": pareto.photographs,
    "graphics": pareto.graphics,
    "animations": pareto.animations,
    "avif": avif.run,
    "memory": memory.run,
    "hits": hits.run,
    "originals": originals.run,
    "hosted": hosted_images.run,
    "shared": shared.run,
    "isolation": isolation.run,
    "latency": waiting.latency,
    "idle": waiting.idle,
    "overload": overload.run,
}


class Bench:
    """What the groups share: who is compared, where the pictures are, and the rows so far."""

    def __init__(self, arguments, scratch):
        self.arguments = arguments
        self.scratch = scratch
        self.rounds = arguments.rounds
        self.rows = []
        self.pairs = []
        self.others = {}
        self.pictures = pictures.gather(arguments.folder)
        self.scorer = self.another_scorer()
        self.safelight = contenders.Safelight(arguments.safelight, self.pictures, scratch)
        # AVIF as whoever asks again gets it, at once.
        self.settled = contenders.Safelight(arguments.safelight, self.pictures, scratch, '[cache]\ninterim_ttl = "0 s"\nreduced_copies = false\n[cache.disk]\npath = ""\n')
        self.alone = contenders.Safelight(arguments.safelight, self.pictures, scratch, contenders.Safelight.ALONE)
        self.thorough = contenders.Thorough(arguments.safelight, self.pictures, scratch)
        self.sharp = contenders.Sharp(arguments.sharp, self.pictures, scratch)
        self.oximg = contenders.Oximg(arguments.oximg, self.pictures, scratch) if arguments.oximg else None
        self.peers = [peer for peer in (self.sharp, self.oximg) if peer]
        self.contenders = [self.safelight, *self.peers]

    def another_scorer(self):
        return Scorer(self.arguments.score, References(self.pictures, self.arguments.folder))

    def add(self, row):
        self.rows.append(row)
        print("  ".join(cell for cell in row.cells() if cell), flush=True)

    def add_pair(self, pair):
        self.pairs.append(pair)
        print("  ".join(cell for cell in pair.cells() if cell), flush=True)

    def formats(self, known):
        """Those of the formats that were asked for, and that this build writes."""
        asked = self.arguments.formats or known
        return [format for format in known if format in asked and self.safelight.writes(format)]

    def versions(self):
        known = {"safelight": _version(self.arguments.safelight), **self.sharp.versions}
        if self.oximg:
            known["oximg"] = _version(self.arguments.oximg)
        return {**known, **self.others}

    def stop(self):
        for one in [*self.contenders, self.settled, self.alone, self.thorough]:
            one.stop()
        self.scorer.stop()


def _version(binary):
    return processes.run(f"{binary.name} --version", [binary, "--version"], text=True).split()[-1]


def arguments(groups):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("safelight", type=pathlib.Path)
    parser.add_argument("--folder", type=pathlib.Path, required=True)
    parser.add_argument("--score", type=pathlib.Path, required=True)
    parser.add_argument("--sharp", type=pathlib.Path, required=True, metavar="MODULES")
    parser.add_argument("--oximg", type=pathlib.Path, metavar="BINARY")
    parser.add_argument("--only", default="", metavar="GROUPS", help=f"some of {','.join(groups)}; all where nothing is said")
    parser.add_argument("--formats", default="", metavar="FORMATS", help="of `photographs` and `graphics`: some of jpeg,webp,avif,jxl")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    # Programs that are started may have other ideas of where they are.
    given.folder = given.folder.resolve()
    given.only = [group for group in given.only.split(",") if group] or list(groups)
    given.formats = [format for format in given.formats.split(",") if format]
    for group in given.only:
        if group not in groups:
            parser.error(f"group `{group}` must be one of {', '.join(groups)}")
    return given


def measure(groups):
    """Runs those of `groups` (functions by name) that are asked for, and tells the rows that they add."""
    given = arguments(groups)
    processes.keep_logs(given.folder)
    with tempfile.TemporaryDirectory(dir=given.folder) as scratch:
        bench = Bench(given, pathlib.Path(scratch))
        try:
            for group in given.only:
                started = time.monotonic()
                groups[group](bench, group)
                print(f"== {group}: {time.monotonic() - started:.0f} s", flush=True)
            versions = bench.versions()
        finally:
            bench.stop()
    if bench.rows or bench.pairs:
        for rows, heads in ((bench.pairs, table.PAIR_HEADS), (bench.rows, table.HEADS)):
            if rows:
                print(f"\n{table.plain(rows, heads)}")
        (given.folder / "table.md").write_text(table.markdown(bench.rows, bench.pairs, versions))
        print(f"\n{given.folder / 'table.md'} has it as Markdown")
    print(f"\n{table.machine()}\n{', '.join(f'{name} {version}' for name, version in versions.items())}")


if __name__ == "__main__":
    measure(GROUPS)

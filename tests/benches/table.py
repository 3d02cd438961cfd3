"""One table of everything: what was measured, of us, of them, the ratio with its spread, and whether it meets its bar."""

import datetime
import math
import os
import pathlib
import platform
from dataclasses import dataclass

HEADS = ("group", "what", "ours", "theirs", "value", "least", "greatest", "bar", "met")


@dataclass
class Row:
    group: str
    what: str
    ours: str
    theirs: str
    value: tuple  # median, least, greatest
    bar: float | None = None
    at_least: bool = False  # whether the bar is a floor

    def met(self):
        if self.bar is None:
            return ""
        is_met = self.value[0] >= self.bar if self.at_least else self.value[0] <= self.bar
        return "yes" if is_met else "NO"

    def cells(self):
        bar = "" if self.bar is None else f"{'>=' if self.at_least else '<='} {self.bar:g}"
        return [self.group, self.what, self.ours, self.theirs, *(f"{value:.3f}" for value in self.value), bar, self.met()]


PAIR_HEADS = ("group", "what", "q", "score", "against", "reached", "bytes", "least", "greatest", "CPU", "least", "greatest", "bars", "met")


@dataclass
class Pair:
    """Bytes and CPU of many pictures at equal looks, over those of a peer."""

    group: str
    what: str
    quality: int
    score: float  # the median of ours
    peer: str
    reached: str  # how many pictures the peer can make look like ours
    bytes: tuple  # geometric mean, least, greatest
    cpu: tuple
    bars: tuple = (None, None)

    def met(self):
        judged = [value[0] <= bar for value, bar in zip((self.bytes, self.cpu), self.bars) if bar is not None and not math.isnan(value[0])]
        return "" if not judged else "yes" if all(judged) else "NO"

    def cells(self):
        bars = "" if self.bars == (None, None) else ", ".join("-" if bar is None else f"<= {bar:g}" for bar in self.bars)
        numbers = [f"{value:.3f}" for value in (*self.bytes, *self.cpu)]
        return [self.group, self.what, f"{self.quality}", f"{self.score:.1f}", self.peer, self.reached, *numbers, bars, self.met()]


def millis(seconds):
    return f"{seconds * 1000:.1f} ms"


def mebibytes(count):
    return f"{count / 2**20:.1f} MiB"


def machine():
    model = next(
        (line.split(":", 1)[1].strip() for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")),
        platform.machine(),
    )
    return f"{os.cpu_count()} x {model}, {platform.freedesktop_os_release()['PRETTY_NAME']}, Linux {platform.release()}"


def plain(rows, heads=HEADS):
    lines = [list(heads)] + [row.cells() for row in rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines)


def markdown(rows, pairs, versions):
    """For README files: with date, machine and versions, without which no number means anything."""
    lines = [f"Measured on {datetime.date.today()}: {machine()}.", "", ", ".join(f"{name} {version}" for name, version in versions.items()) + ".", ""]
    for heads, of in ((PAIR_HEADS, pairs), (HEADS, rows)):
        if of:
            lines += ["| " + " | ".join(heads) + " |", "|" + " --- |" * len(heads)]
            lines += ["| " + " | ".join(row.cells()) + " |" for row in of] + [""]
    return "\n".join(lines) + "\n"

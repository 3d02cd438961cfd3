"""One table of everything: what was measured, of us, of them, the ratio with its spread, and whether it meets its bar."""

import datetime
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


def plain(rows):
    lines = [list(HEADS)] + [row.cells() for row in rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADS))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines)


def markdown(rows, versions):
    """For README files: with date, machine and versions, without which no number means anything."""
    lines = [f"Measured on {datetime.date.today()}: {machine()}.", "", ", ".join(f"{name} {version}" for name, version in versions.items()) + ".", ""]
    lines += ["| " + " | ".join(HEADS) + " |", "|" + " --- |" * len(HEADS)]
    lines += ["| " + " | ".join(row.cells()) + " |" for row in rows]
    return "\n".join(lines) + "\n"

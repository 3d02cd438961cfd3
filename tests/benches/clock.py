"""CPU time of processes, to the nanosecond, threads that are gone, and children, included."""

import os
import pathlib
import time

# Linux: which clock of a process is meant stands in the lowest bits of its number.
SCHEDULED = 2
# Of what follows the name of a process in its `stat`: user and system time of children that it waited for.
GONE = slice(13, 15)


def _clock(pid):
    return (~pid << 3) | SCHEDULED


def _children(pid):
    found = []
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        try:
            found += [int(child) for child in (task / "children").read_text().split()]
        except FileNotFoundError:
            continue
    return found


def _reaped(pid):
    """Seconds spent by children that are gone; the kernel tells these in whole ticks only."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(int(ticks) for ticks in fields[GONE]) / os.sysconf("SC_CLK_TCK")


def of_process(pid):
    """Seconds spent by a process and all its children."""
    return time.clock_gettime(_clock(pid)) + _reaped(pid) + sum(of_process(child) for child in _children(pid))


def peak_of(pid):
    """The most memory that a process ever held, in bytes."""
    return _memory(pid, "VmHWM")


def resident(pid):
    """The memory that a process holds now, in bytes."""
    return _memory(pid, "VmRSS")


def _memory(pid, name):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"no `{name}` in the status of process {pid}")

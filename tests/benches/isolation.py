"""What worker processes cost: the same server with `limits.isolation` as "process" and as "thread", asked in turn."""

import contextlib
import io
import os
import pathlib
import statistics
import time
from concurrent.futures import ThreadPoolExecutor

import clock
import contenders
import hits
import rounds
import table
from jobs import job
from PIL import Image

MODES = ("process", "thread")
SMALL = 100_000  # bytes of the small source, about
ALONE = 24  # pictures of a round, one after another
TOGETHER = 64  # pictures of a round, as many at a time as there are processors, and one more
RESTING = 5  # seconds after which workers have given memory back


def run(bench, group):
    _small(bench)
    settings = '[limits]\nisolation = "{}"\n[cache]\nreduced_copies = false\n[cache.disk]\npath = ""\n'
    with contextlib.ExitStack() as stack:
        servers = {}
        for mode in MODES:
            server = contenders.Safelight(bench.arguments.safelight, bench.pictures, bench.scratch, settings.format(mode))
            stack.callback(server.stop)
            servers[mode] = server
        for what, picture in (
            ("6 MP JPEG to 800 px", job(bench.pictures, "saw.jpg", 800, "jpeg")),
            (f"JPEG of {SMALL // 1000} kB to 300 px", job(bench.pictures, "small.jpg", 300, "jpeg")),
        ):
            _alone(bench, group, servers, what, picture)
            _together(bench, group, servers, what, picture)
        _kept(bench, group, servers)
        _idle(bench, group, servers["process"])


def _alone(bench, group, servers, what, picture):
    """The time of a picture while nothing else is done: what is added, and how much that is of it."""
    taken = _rounds(bench, servers, lambda server: _one_by_one(server, picture))
    added = [process - thread for process, thread in zip(taken["process"], taken["thread"])]
    times = [table.millis(statistics.median(taken[mode])) for mode in MODES]
    bench.add(table.Row(group, f"{what}: time in a process, over a thread", *times, rounds.ratios(taken["process"], taken["thread"]), 1.03))
    bench.add(table.Row(group, f"{what}: milliseconds that a process adds", *times, rounds.spread([seconds * 1000 for seconds in added]), 1))


def _together(bench, group, servers, what, picture):
    """Pictures in a second, while there is always more to do."""
    taken = _rounds(bench, servers, lambda server: _all_at_once(server, picture))
    rates = [f"{1 / statistics.median(taken[mode]):.1f} in a second" for mode in MODES]
    ratios = rounds.ratios(taken["thread"], taken["process"])
    bench.add(table.Row(group, f"{what}: rate at saturation, over threads", *rates, ratios, 0.97, at_least=True))


def _kept(bench, group, servers):
    """What is in the cache never comes near a worker."""
    picture = job(bench.pictures, "saw.jpg", 600, "jpeg")
    paths = {mode: server.path(picture) for mode, server in servers.items()}
    for mode, server in servers.items():
        server.get(paths[mode])
    tags = {mode: hits._asked(server, paths[mode])[0] for mode, server in servers.items()}
    for what, conditional in (("a hit in memory", False), ("a 304", True)):
        ask = lambda mode: hits.load(bench, servers[mode], paths[mode], tags[mode] if conditional else None)
        spent = {mode: [] for mode in MODES}
        for index in range(bench.rounds):
            for mode in MODES if index % 2 == 0 else reversed(MODES):
                spent[mode].append(ask(mode))
        micros = [f"{statistics.median(spent[mode]) * 1e6:.1f} us" for mode in MODES]
        bench.add(table.Row(group, f"{what}: CPU of the server", *micros, rounds.ratios(spent["process"], spent["thread"]), 1.03))


def _idle(bench, group, server):
    """The private memory of each worker, after the work above and a rest."""
    time.sleep(RESTING)
    private = [_private(pid) for pid in clock._children(server.process.pid)]
    bench.add(
        table.Row(group, f"private memory of each of {len(private)} workers at rest, MiB", table.mebibytes(max(private)), "", rounds.spread([size / 2**20 for size in private]), 15)
    )


def _private(pid):
    lines = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))


def _rounds(bench, servers, once):
    taken = {mode: [] for mode in MODES}
    for server in servers.values():
        once(server)
    for index in range(bench.rounds):
        for mode in MODES if index % 2 == 0 else reversed(MODES):
            taken[mode].append(once(servers[mode]))
    return taken


def _one_by_one(server, picture):
    """Seconds for one picture: the median, since the machine has other things to do now and then."""
    taken = []
    for path in [server.path(picture) for _ in range(ALONE)]:
        started = time.perf_counter()
        server.get(path)
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def _all_at_once(server, picture):
    """Seconds for one picture of many."""
    paths = [server.path(picture) for _ in range(TOGETHER)]
    started = time.perf_counter()
    with ThreadPoolExecutor(os.cpu_count() + 1) as pool:
        list(pool.map(server.get, paths))
    return (time.perf_counter() - started) / TOGETHER


def _small(bench):
    """A photograph whose file has about the size of a picture on a page."""
    place = bench.pictures / "small.jpg"
    if not place.exists():
        with Image.open(bench.pictures / "saw.jpg") as picture:
            picture.thumbnail((1000, 1000))
            picture.save(bench.pictures / ".part-small.jpg", "jpeg", quality=min(range(60, 96), key=lambda quality: abs(_length(picture, quality) - SMALL)))
        (bench.pictures / ".part-small.jpg").rename(place)


def _length(picture, quality):
    buffer = io.BytesIO()
    picture.save(buffer, "jpeg", quality=quality)
    return buffer.tell()

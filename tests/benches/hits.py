"""What is kept, served: CPU per request beside nginx serving the same bytes as a file, with the same client and as many connections."""

import contextlib
import statistics

import contenders
import loads
import rounds
import table
from jobs import job

CONNECTIONS = 32
BODY = 40_000  # bytes that the picture should have, about
# What keeps a rendition out of memory, and on disk.
DISK_ONLY = '[cache.memory]\nrenditions = "0 B"\n[cache.disk]\npath = "{folder}"\n'


def run(bench, group):
    with contextlib.ExitStack() as stack:
        memory = _started(stack, contenders.Safelight(bench.arguments.safelight, bench.pictures, bench.scratch))
        disk = _started(stack, contenders.Safelight(bench.arguments.safelight, bench.pictures, bench.scratch, DISK_ONLY.format(folder=bench.scratch / "disk")))
        picture = min((job(bench.pictures, "saw.jpg", width, "jpeg") for width in range(480, 721, 20)), key=lambda one: abs(len(memory.make(one)) - BODY))
        path = memory.path(picture)
        body = memory.get(path)
        kept = disk.path(picture)
        disk.get(kept)
        files = bench.scratch / "files"
        files.mkdir()
        (files / "picture.jpg").write_bytes(body)
        nginx = _started(stack, loads.Nginx(bench, "files", loads.files(files, "on")))
        copying = _started(stack, loads.Nginx(bench, "files-copied", loads.files(files, "off")))
        etag, _ = _asked(memory, path)
        their_etag, _ = _asked(nginx, "/picture.jpg")
        ways = {
            "memory": (memory, path, None),
            "not modified": (memory, path, etag),
            "disk": (disk, kept, None),
            "nginx": (nginx, "/picture.jpg", None),
            "nginx without sendfile": (copying, "/picture.jpg", None),
            "nginx not modified": (nginx, "/picture.jpg", their_etag),
        }
        spent = {way: [] for way in ways}
        for index in range(bench.rounds):
            for way in ways if index % 2 == 0 else reversed(ways):
                spent[way].append(load(bench, *ways[way]))
        # Only now, since the first answers from disk may still have come out of the queue that writes it.
        for server, where, expected in ((memory, path, "memory"), (disk, kept, "disk")):
            told = _asked(server, where)[1]
            if expected not in told:
                raise SystemExit(f"a hit should have come from {expected}, `Cache-Status` says `{told}`")
    bench.others["nginx"] = nginx.version()
    size = f"{len(body) / 1000:.0f} kB"
    for what, way, theirs, bar in (
        (f"hit in memory, {size}", "memory", "nginx", 1.05),
        ("304 for a picture in memory", "not modified", "nginx not modified", 1.0),
        (f"hit on disk, {size}", "disk", "nginx", 3),
        # What nginx does for TLS and whatever else it cannot hand to the kernel.
        (f"hit in memory, {size}", "memory", "nginx without sendfile", None),
    ):
        bench.add(
            table.Row(
                group,
                f"{what}, {CONNECTIONS} connections: CPU against {theirs}",
                _micros(spent[way]),
                _micros(spent[theirs]),
                rounds.ratios(spent[way], spent[theirs]),
                bar,
            )
        )


def load(bench, server, path, etag=None):
    """Seconds of CPU of the server for one request."""
    spent, requests, _ = loads.load(bench, server, path, CONNECTIONS, [f"If-None-Match: {etag}"] if etag else ())
    return spent / requests


def _asked(server, path):
    """`ETag` and `Cache-Status` of an answer. Connections that had nothing to do for a while are closed by now."""
    server.connection.close()
    server.connection.request("GET", path)
    answer = server.connection.getresponse()
    answer.read()
    return answer.headers["ETag"], answer.headers["Cache-Status"]


def _started(stack, server):
    stack.callback(server.stop)
    return server


def _micros(seconds):
    return f"{statistics.median(seconds) * 1e6:.1f} us"

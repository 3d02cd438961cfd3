"""What happens beside transforms: `latency` of hits and of the health check while all processors transform, and memory when `idle`."""

import contextlib
import http.client
import itertools
import os
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import clock
import contenders
import processes
import rounds
import table
from jobs import job

PROBING = 6  # seconds of each round
PAUSE = 0.004  # seconds between two requests
ROUNDS = 3
IDLE = 60  # seconds
TRANSFORMS = 500


def latency(bench, group):
    server = contenders.Safelight(bench.arguments.safelight, bench.pictures, bench.scratch)
    try:
        hit = server.path(job(bench.pictures, "saw.jpg", 600, "jpeg"))
        server.get(hit)
        heavy = job(bench.pictures, "mosaic-24.jpg", 800, "jpeg")
        quiet = [percentile(probe(server.port, hit), 0.99)]
        with _busy(server, heavy):
            hits = [percentile(probe(server.port, hit), 0.99) for _ in range(ROUNDS)]
            health = [percentile(probe(server.admin, "/healthz"), 0.99) for _ in range(ROUNDS)]
    finally:
        server.stop()
    for what, values, bar in (("a hit", hits, 10), ("/healthz", health, 20)):
        bench.add(
            table.Row(
                group,
                f"99th percentile of the time to the first byte of {what} while {os.cpu_count()} transforms of 24 MP run, ms",
                "",
                f"{quiet[0] * 1000:.1f} ms for a hit when idle",
                rounds.spread([value * 1000 for value in values]),
                bar,
            )
        )


@contextlib.contextmanager
def _busy(server, heavy):
    """As many transforms as there are processors, always, asked for by another process."""
    paths = "\n".join(server.path(heavy) for _ in range(4000))
    askers = [
        processes.start("asker", [sys.executable, __file__, server.port], stdin=subprocess.PIPE, text=True)
        for _ in range(os.cpu_count())
    ]
    try:
        for asker, part in zip(askers, _parts(paths.split("\n"), len(askers))):
            threading.Thread(target=_feed, args=(asker, part), daemon=True).start()
        time.sleep(1)
        yield
    finally:
        for asker in askers:
            asker.terminate()
            asker.wait()


def _parts(paths, count):
    return [paths[index::count] for index in range(count)]


def _feed(asker, paths):
    with contextlib.suppress(BrokenPipeError):
        asker.stdin.write("\n".join(paths))
        asker.stdin.close()


def probe(port, path):
    """Seconds to the first byte, of many requests over one connection."""
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
    taken = []
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        end = time.monotonic() + PROBING
        while time.monotonic() < end:
            started = time.perf_counter()
            connection.sendall(request)
            answer = connection.recv(65536)
            taken.append(time.perf_counter() - started)
            if not answer.startswith(b"HTTP/1.1 200"):
                raise SystemExit(f"{path}: {answer[:100]!r}")
            head, _, body = answer.partition(b"\r\n\r\n")
            length = int(next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")).split(b":")[1])
            while len(body) < length:
                body += connection.recv(65536)
            time.sleep(PAUSE)
    return taken


def percentile(values, part):
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def idle(bench, group):
    """Memory after many transforms and a minute of rest, over memory after one of each kind and the same rest."""
    # What is kept on purpose is no leak: almost nothing is kept.
    server = contenders.Safelight(
        bench.arguments.safelight, bench.pictures, bench.scratch, '[cache.memory]\nrenditions = "1 MiB"\n[cache.disk]\npath = ""\n'
    )
    sources = ("saw.jpg", "ladybird.jpg", "wood.jpg", "alpha.png", "1080.webp", "storm.jpg")
    kinds = [job(bench.pictures, source, width, format) for width in (320, 640, 800, 1200) for format in ("jpeg", "webp", "avif") for source in sources]
    try:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(server.make, kinds))
            time.sleep(IDLE)
            warm = clock.resident(server.process.pid)
            list(pool.map(server.make, itertools.islice(itertools.cycle(kinds), TRANSFORMS)))
        busy = clock.peak_of(server.process.pid)
        time.sleep(IDLE)
        rested = clock.resident(server.process.pid)
    finally:
        server.stop()
    bench.add(
        table.Row(
            group,
            f"memory after {TRANSFORMS} mixed transforms (peak {table.mebibytes(busy)}) and {IDLE} s of rest, over that after {len(kinds)} and as much rest",
            table.mebibytes(rested),
            table.mebibytes(warm),
            rounds.spread([rested / warm]),
            1.2,
        )
    )


def _ask(port):
    """The other process: asks for the paths on standard input, one after another, until it is ended."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=contenders.ANSWERING)
    for path in sys.stdin.read().split():
        connection.request("GET", path)
        connection.getresponse().read()


if __name__ == "__main__":
    _ask(int(sys.argv[1]))

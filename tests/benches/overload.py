"""Three times more pictures than one processor can make, asked for whether earlier ones are answered or not (an open loop): what is still made, what is
refused, and how hits and the health check fare. The server has processor 0, the clients have processor 1."""

import asyncio
import contextlib
import json
import os
import random
import subprocess
import sys
import time
from dataclasses import dataclass

import clock
import contenders
import processes
import rounds
import table
from jobs import job

TIMEOUT = 2  # seconds that a request may take
CAPACITY = 8  # seconds of each closed loop
OPEN = 16  # seconds of each open loop
RATE = 3  # times the capacity
CONNECTIONS = 4  # of the closed loop: enough that the server never waits for a client
PAUSE = 0.05  # seconds after which such a client asks again that was refused
PROBES = 25  # requests of each kind per second, for what should not notice
SLACK = 0.25  # seconds between the deadline and what a client sees of it
RENDERS = 192 << 20
SOURCES = 64 << 20
SETTINGS = f"""
[cache]
reduced_copies = false
[cache.disk]
path = ""
[cache.memory]
renditions = "8 MiB"
[limits]
render_memory = "{RENDERS >> 20} MiB"
source_bytes = "{SOURCES >> 21} MiB"
[fetch]
memory = "{SOURCES >> 20} MiB"
"""
# A picture that takes long, and one that is for the thread of small ones.
PICTURES = (("a photograph of 6 MP", "saw.jpg", 800, "jpeg"), ("AVIF", "saw.jpg", 600, "avif"))


@dataclass
class Answer:
    kind: str  # picture, hit or health
    status: int
    seconds: float

    def is_good(self):
        return self.status == 200 and self.seconds <= TIMEOUT + SLACK


def run(bench, group):
    for what, source, width, format in PICTURES:
        wanted = job(bench.pictures, source, width, format)
        with _server(bench) as server:
            _measure(bench, group, what, server, wanted)


@contextlib.contextmanager
def _server(bench):
    settings = SETTINGS.replace("[cache]", '[cache]\ninterim_ttl = "0 s"', 1)
    own = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {0})
    try:
        server = contenders.Safelight(bench.arguments.safelight, bench.pictures, bench.scratch, settings, f'request_timeout = "{TIMEOUT} s"\n')
    finally:
        os.sched_setaffinity(0, own)
    try:
        yield server
    finally:
        server.stop()


def _measure(bench, group, what, server, wanted):
    hit = server.path(job(bench.pictures, "alpha.png", 64, "png"))
    server.get(hit)
    server.make(wanted)
    rested = clock.resident(server.process.pid)
    quiet = _ask(server, hit, [], 0, 4)
    made, probed, fetched, refused = [], [], [], []
    before = _closed(server, wanted)
    for _ in range(max(1, bench.rounds // 2)):
        rate = before * RATE
        paths = [server.path(wanted) for _ in range(int(rate * OPEN))]
        # The pictures of the closed loop may have taken its place in memory.
        server.get(hit)
        counted = _fetches(server)
        answers = _ask(server, hit, paths, rate, OPEN)
        counted = _fetches(server) - counted
        pictures = [answer for answer in answers if answer.kind == "picture"]
        after = _closed(server, wanted)
        made.append(sum(answer.is_good() for answer in pictures) / OPEN / ((before + after) / 2))
        fetched.append(counted / max(1, sum(answer.status == 200 for answer in pictures)))
        refused += [answer.seconds for answer in pictures if answer.status == 503]
        probed += answers
        before = after
    pictures = [answer for answer in probed if answer.kind == "picture"]
    late = sum(answer.status != 503 and not answer.is_good() for answer in pictures)
    peak = clock.peak_of(server.process.pid)
    name = f"{what}, {RATE} times the capacity of one processor"
    kept = f"{sum(answer.status == 200 for answer in pictures)} made, {len(refused)} refused"
    bench.add(table.Row(group, f"{name}: made in time, over the capacity", kept, f"{before:.1f} a second", rounds.spread(made), 0.9, at_least=True))
    bench.add(table.Row(group, f"{name}: neither made in time nor refused, per request", f"{late}", f"{len(pictures)} requests", rounds.spread([late / len(pictures)]), 0))
    bench.add(
        table.Row(group, f"{name}: 99th percentile of the time of a refusal, ms", table.millis(_percentile(refused, 0.5)) + " is the median", "", rounds.spread([_percentile(refused, 0.99) * 1000]), 20)
    )
    bench.add(table.Row(group, f"{name}: sources fetched, over pictures made", "", "", rounds.spread(fetched), 1.1))
    for kind in ("hit", "health"):
        here, there = (_percentile([answer.seconds for answer in answers if answer.kind == kind], 0.99) for answers in (probed, quiet))
        bench.add(table.Row(group, f"{name}: 99th percentile of {kind}, ms", "", f"{table.millis(there)} when idle", rounds.spread([here * 1000]), 20))
        bad = [answer for answer in probed if answer.kind == kind and answer.status != 200]
        if bad:
            raise SystemExit(f"{kind} under load: {bad[:3]}")
    grown = (peak - rested) / (RENDERS + SOURCES)
    bench.add(table.Row(group, f"{name}: memory taken, over its budget", table.mebibytes(peak - rested), table.mebibytes(RENDERS + SOURCES), rounds.spread([grown]), 1))


def _percentile(values, part):
    return sorted(values)[min(len(values) - 1, int(len(values) * part))] if values else float("nan")


def _fetches(server):
    """Sources that were fetched so far."""
    return sum(float(line.split()[-1]) for line in _metrics(server) if line.startswith('safelight_source_fetches_total{result="fetched"'))


def _metrics(server):
    connection = contenders.http.client.HTTPConnection("127.0.0.1", server.admin, timeout=contenders.ANSWERING)
    try:
        connection.request("GET", "/metrics")
        return connection.getresponse().read().decode().splitlines()
    finally:
        connection.close()


def _closed(server, wanted):
    """Pictures a second where each client waits for its answer."""
    paths = [server.path(wanted) for _ in range(4000)]
    return _client(server, {"closed": CONNECTIONS, "paths": paths, "seconds": CAPACITY})["rate"]


def _ask(server, hit, paths, rate, seconds):
    told = _client(server, {"paths": paths, "rate": rate, "hit": hit, "seconds": seconds})
    return [Answer(*answer) for answer in told["answers"]]


def _client(server, plan):
    """Another process, on the other processor."""
    command = [sys.executable, __file__, server.port, server.admin]
    other = max(os.sched_getaffinity(0))
    told = processes.run("clients", command, input=json.dumps(plan), text=True, preexec_fn=lambda: os.sched_setaffinity(0, {other}))
    return json.loads(told)


async def _get(port, path):
    """The status of an answer that was read to its end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
        return int((await reader.read()).split(b" ", 2)[1])
    finally:
        writer.close()


async def _timed(answers, kind, port, path):
    started = time.monotonic()
    status = await _get(port, path)
    answers.append((kind, status, time.monotonic() - started))


async def _open_loop(port, admin, plan):
    answers, tasks = [], []
    dice = random.Random(1)

    async def ask(kind, port, paths, rate):
        due = time.monotonic()
        for path in paths:
            due += dice.expovariate(rate)
            await asyncio.sleep(due - time.monotonic())
            tasks.append(asyncio.create_task(_timed(answers, kind, port, path)))

    probes = PROBES * plan["seconds"]
    await asyncio.gather(
        ask("picture", port, plan["paths"], plan["rate"] or 1),
        ask("hit", port, [plan["hit"]] * probes, PROBES),
        ask("health", admin, ["/healthz"] * probes, PROBES),
    )
    await asyncio.gather(*tasks)
    return {"answers": answers}


async def _closed_loop(port, plan):
    paths, made = iter(plan["paths"]), 0
    end = time.monotonic() + plan["seconds"]

    async def ask():
        nonlocal made
        while time.monotonic() < end:
            if await _get(port, next(paths)) == 200:
                made += time.monotonic() < end
            else:
                await asyncio.sleep(PAUSE)

    await asyncio.gather(*(ask() for _ in range(plan["closed"])))
    return {"rate": made / plan["seconds"]}


if __name__ == "__main__":
    PLAN = json.load(sys.stdin)
    PORT, ADMIN = (int(word) for word in sys.argv[1:3])
    print(json.dumps(asyncio.run(_closed_loop(PORT, PLAN) if "closed" in PLAN else _open_loop(PORT, ADMIN, PLAN))))

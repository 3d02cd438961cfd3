#!/usr/bin/env python3
"""The model of scale.py beside real servers, at a small size: plays requests against one safelight or several, and compares who answered.

    measure.py target/release/safelight

Takes a minute and the ports 18600 to 18605. Nothing but Python is needed.
"""

import collections
import http.client
import pathlib
import random
import re
import struct
import subprocess
import sys
import tempfile
import time
import zlib

import scale

SOURCES = 250
WIDTHS = (40, 48, 56, 64)
REQUESTS = 8_000
SETTINGS = """
[server]
listen = "127.0.0.1:{port}"
[admin]
listen = "127.0.0.1:{admin}"
[zone]
origin = "file:{folder}/pictures"
[cache]
interim_ttl = "0 s"
[cache.memory]
renditions = "{memory}"
[cache.disk]
path = "{folder}/cache-{port}"
renditions = "{disk}"
[log]
level = "warn"
"""


def main():
    program = str(pathlib.Path(sys.argv[1]).resolve())
    print("| nodes, routing | tier | measured | model |\n| --- | --- | --- | --- |")
    worst = 0.0
    for nodes, routing in [(1, "hash"), (3, "hash"), (3, "any")]:
        worst = max(worst, play(program, nodes, routing))
    print(f"\nThe largest difference is {worst:.3f} of all requests.")


def play(program, nodes, routing):
    rng = random.Random(1)
    with tempfile.TemporaryDirectory() as folder:
        pictures = pathlib.Path(folder, "pictures")
        pictures.mkdir()
        for number in range(SOURCES):
            (pictures / f"{number}.png").write_bytes(noise(number))
        servers = [Server(program, folder, 18600 + 2 * node) for node in range(nodes)]
        try:
            urls = [f"/cdn-cgi/image/width={width},format=webp,quality=60/{number}.png" for number in range(SOURCES) for width in WIDTHS]
            rng.shuffle(urls)
            weights = [rank ** -0.9 for rank in range(1, len(urls) + 1)]
            drawn = rng.choices(range(len(urls)), weights=weights, k=REQUESTS)
            for number, rendition in enumerate(drawn):
                if number == REQUESTS // 2:
                    before = outcomes(servers)
                node = servers[zlib.crc32(urls[rendition].encode()) % nodes] if routing == "hash" else rng.choice(servers)
                node.get(urls[rendition])
            counts = outcomes(servers)
            counts.subtract(before)
            entry = servers[0].entry()
        finally:
            for server in servers:
                server.stop()
    total = sum(counts.values())
    profile = scale.Profile(
        name="measured", sources=SOURCES, sizes=len(WIDTHS), requests=REQUESTS, zipf=0.9, changed=0, source_bytes=1, rendition_bytes=1, nodes=nodes,
        memory=Server.MEMORY / entry["memory"], disk=Server.DISK / entry["disk"], routing=routing,
    )
    result = scale.run(profile)
    worst = 0.0
    for tier, modelled in [("memory", result.memory), ("disk", result.disk), ("miss", result.renders)]:
        measured, modelled = counts[tier] / total, modelled / REQUESTS
        print(f"| {nodes}, {routing} | {tier} | {measured:.3f} | {modelled:.3f} |")
        worst = max(worst, abs(measured - modelled))
    return worst


class Server:
    """A safelight with small caches."""

    MEMORY, DISK = 256 << 10, 2 << 20

    def __init__(self, program, folder, port):
        self.port, self.admin = port, port + 1
        path = pathlib.Path(folder, f"{port}.toml")
        path.write_text(SETTINGS.format(port=port, admin=port + 1, folder=folder, memory=f"{self.MEMORY >> 10} KiB", disk=f"{self.DISK >> 20} MiB"))
        self.process = subprocess.Popen([program, "serve", "--config", str(path)], stdout=subprocess.DEVNULL)
        for _ in range(200):
            try:
                if self.text("/readyz") == "ready\n":
                    break
            except OSError:
                time.sleep(0.05)
        self.connection = http.client.HTTPConnection("127.0.0.1", port)

    def get(self, url):
        self.connection.request("GET", url)
        answer = self.connection.getresponse()
        body = answer.read()
        assert answer.status == 200, (url, answer.status, body)

    def text(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.admin)
        connection.request("GET", path)
        return connection.getresponse().read().decode()

    def entry(self):
        """What an entry takes in each tier."""
        text, means = self.text("/metrics"), {}
        for tier in ("memory", "disk"):
            kept = dict(re.findall(rf'safelight_cache_(bytes|entries){{tier="{tier}",store="renditions"}} (\d+)', text))
            means[tier] = int(kept["bytes"]) / max(int(kept["entries"]), 1)
        return means

    def stop(self):
        self.process.terminate()
        self.process.wait()


def outcomes(servers):
    counts = collections.Counter()
    for server in servers:
        for outcome, count in re.findall(r'safelight_requests_total{status="200",outcome="([^"]+)"} (\d+)', server.text("/metrics")):
            counts[outcome] += int(count)
    return counts


def noise(seed):
    """A PNG of 64 by 64 pixels of noise: results of one width have about the same size."""
    rng = random.Random(seed)
    rows = b"".join(b"\0" + rng.randbytes(64 * 3) for _ in range(64))
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 64, 64, 8, 2, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


if __name__ == "__main__":
    main()

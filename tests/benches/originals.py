"""Originals, passed on: CPU for each megabyte beside nginx with `proxy_pass`, with the same origin, the same client and as many connections."""

import contextlib
import os
import statistics

import contenders
import loads
import rounds
import table
from shared import BUCKET, SeaweedFS

# The size of an object, what is said of it, and over how many connections it is asked for.
OBJECTS = ((10_000_000, "10 MB", 8), (100_000, "100 kB", 32))
BAR = 1.5
ORIGINALS = '[zone]\norigin = "{zone}"\noriginals = "all"\n'
# As one would tune it for objects of any size: connections are kept, and nothing is written to disk on the way.
PROXY = """
    upstream origin {{ server 127.0.0.1:{port}; keepalive 64; keepalive_requests 100000000; }}
    server {{
        listen 127.0.0.1:{{port}};
        location / {{
            proxy_pass http://origin{path}; proxy_http_version 1.1; proxy_set_header Connection "";
            proxy_buffers 16 32k; proxy_busy_buffers_size 256k; proxy_max_temp_file_size 0;
        }}
    }}
"""


def run(bench, group):
    with contextlib.ExitStack() as stack:
        files = bench.scratch / "originals"
        files.mkdir()
        for size, _, _ in OBJECTS:
            (files / f"{size}.bin").write_bytes(os.urandom(size))
        origin = _started(stack, loads.Nginx(bench, "origin", loads.files(files, "on")))
        bucket = _started(stack, SeaweedFS(bench.scratch))
        for size, _, _ in OBJECTS:
            bucket.put(f"{size}.bin", (files / f"{size}.bin").read_bytes())
        for server in (origin, bucket):
            loads.pin(server.process.pid, {1})
        http = f"http://127.0.0.1:{origin.port}"
        pairs = {
            "from a server": (Safelight(bench, http), _proxy(bench, "origin-proxy", origin), "nginx proxy_pass", BAR),
            "from a bucket": (Safelight(bench, "bucket:shared", BUCKET.format(port=bucket.port)), _proxy(bench, "bucket-proxy", bucket, "/shared/"), "nginx proxy_pass", None),
            "from a folder": (Safelight(bench, f"file:{files}"), loads.Nginx(bench, "copied", loads.files(files, "off")), "nginx without sendfile", None),
        }
        for ours, theirs, _, _ in pairs.values():
            stack.callback(ours.stop)
            stack.callback(theirs.stop)
        for size, said, connections in OBJECTS:
            for what, (ours, theirs, name, bar) in pairs.items():
                spent = {server: [] for server in (ours, theirs)}
                for server in spent:
                    if len(server.get(f"/{size}.bin")) != size:
                        raise SystemExit(f"{server.name} does not have all of it")
                for index in range(bench.rounds):
                    for server in (ours, theirs) if index % 2 == 0 else (theirs, ours):
                        spent[server].append(_per_megabyte(bench, server, f"/{size}.bin", connections))
                bench.add(
                    table.Row(
                        group,
                        f"original {what}, {said}, {connections} connections: CPU for each MB against {name}",
                        _micros(spent[ours]),
                        _micros(spent[theirs]),
                        rounds.ratios(spent[ours], spent[theirs]),
                        bar,
                    )
                )
        bench.others["nginx"] = origin.version()


class Safelight(contenders.Safelight):
    """The real server in front of a zone, everything of which it serves."""

    def __init__(self, bench, zone, settings=""):
        self.of_zone = zone
        super().__init__(bench.arguments.safelight, bench.pictures, bench.scratch, settings + '[cache.disk]\npath = ""\n')

    def zone_settings(self):
        return ORIGINALS.format(zone=self.of_zone)


def _proxy(bench, name, origin, path=""):
    return loads.Nginx(bench, name, PROXY.format(port=origin.port, path=path))


def _per_megabyte(bench, server, path, connections):
    spent, _, read = loads.load(bench, server, path, connections)
    return spent / (read / 1e6)


def _started(stack, server):
    stack.callback(server.stop)
    return server


def _micros(seconds):
    return f"{statistics.median(seconds) * 1e6:.0f} us"

"""What is kept, served: CPU per request beside nginx serving the same bytes as a file, with the same client and as many connections."""

import contextlib
import os
import re
import statistics
import subprocess

import clock
import contenders
import packages
import processes
import rounds
import table
from jobs import job

CONNECTIONS = 32
SECONDS = 3
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
        nginx = _started(stack, Nginx(bench, body, "on"))
        copying = _started(stack, Nginx(bench, body, "off"))
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


class Nginx(contenders.Server):
    """nginx as one would tune it for files, one worker, no log."""

    name = "nginx"

    def __init__(self, bench, body, sendfile):
        folder = bench.scratch / f"nginx-{sendfile}"
        (folder / "files").mkdir(parents=True)
        (folder / "files/picture.jpg").write_bytes(body)
        port = contenders.free_port()
        (folder / "nginx.conf").write_text(
            f"""
            daemon off; worker_processes 1; pid {folder}/pid; user root;
            events {{ worker_connections 1024; }}
            http {{
                access_log off; sendfile {sendfile}; output_buffers 1 128k; tcp_nodelay on; keepalive_requests 100000000;
                open_file_cache max=100 inactive=60s; open_file_cache_valid 60s;
                types {{ image/jpeg jpg; }}
                {' '.join(f'{name}_temp_path {folder}/{name};' for name in ('client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'))}
                server {{ listen 127.0.0.1:{port}; root {folder}/files; }}
            }}
            """
        )
        self.program = packages.debian("nginx", bench.arguments.folder) / "usr/sbin/nginx"
        super().__init__([self.program, "-e", "stderr", "-c", folder / "nginx.conf"], port)

    def version(self):
        return subprocess.run([self.program, "-v"], capture_output=True, text=True).stderr.split("/")[-1].strip()


def load(bench, server, path, etag=None):
    """Seconds of CPU of the server for one request, while `wrk` asks as fast as it can from the other processor."""
    programs = [packages.debian(name, bench.arguments.folder) for name in ("wrk", "libluajit-5.1-2")]
    libraries = next(programs[1].glob("usr/lib/*-linux-gnu"))
    _pin(server.process.pid, {0})
    command = [programs[0] / "usr/bin/wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", f"http://127.0.0.1:{server.port}{path}"]
    if etag:
        command += ["-H", f"If-None-Match: {etag}"]
    before = clock.of_process(server.process.pid)
    told = processes.run("wrk", command, env={**os.environ, "LD_LIBRARY_PATH": str(libraries)}, text=True, preexec_fn=lambda: os.sched_setaffinity(0, {1}))
    spent = clock.of_process(server.process.pid) - before
    if "Non-2xx" in told or "Socket errors" in told:
        raise SystemExit(f"not all requests to {server.name} were answered:\n{told}")
    return spent / int(re.search(r"(\d+) requests in", told)[1])


def _pin(pid, processors):
    """All threads that there are, and so all that come of them."""
    for task in os.listdir(f"/proc/{pid}/task"):
        os.sched_setaffinity(int(task), processors)
        for child in open(f"/proc/{pid}/task/{task}/children").read().split():
            _pin(int(child), processors)


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

"""A server under load, and nginx to compare it with: `wrk` asks as fast as it can from one processor, the server has the other."""

import os
import re
import subprocess

import clock
import contenders
import packages
import processes

SECONDS = 3
UNITS = {"B": 1, "KB": 2**10, "MB": 2**20, "GB": 2**30}


class Nginx(contenders.Server):
    """nginx with one worker and no log. `lines` are those of its section `http`, with a server that listens on `{port}`."""

    name = "nginx"

    def __init__(self, bench, name, lines):
        folder = bench.scratch / f"nginx-{name}"
        folder.mkdir()
        port = contenders.free_port()
        (folder / "nginx.conf").write_text(
            f"""
            daemon off; worker_processes 1; pid {folder}/pid; user root;
            events {{ worker_connections 1024; }}
            http {{
                access_log off; tcp_nodelay on; keepalive_requests 100000000;
                types {{ image/jpeg jpg; }}
                {' '.join(f'{kind}_temp_path {folder}/{kind};' for kind in ('client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'))}
                {lines.replace('{port}', str(port))}
            }}
            """
        )
        self.program = packages.debian("nginx", bench.arguments.folder) / "usr/sbin/nginx"
        super().__init__([self.program, "-e", "stderr", "-c", folder / "nginx.conf"], port)

    def version(self):
        return subprocess.run([self.program, "-v"], capture_output=True, text=True).stderr.split("/")[-1].strip()


def files(folder, sendfile):
    """The lines that serve the files of a folder, as one would tune them."""
    return f"""
        sendfile {sendfile}; output_buffers 1 128k; open_file_cache max=100 inactive=60s; open_file_cache_valid 60s;
        server {{ listen 127.0.0.1:{{port}}; root {folder}; }}
    """


def load(bench, server, path, connections, headers=()):
    """Seconds of CPU of the server under load, the requests that were answered meanwhile, and the bytes."""
    programs = [packages.debian(name, bench.arguments.folder) for name in ("wrk", "libluajit-5.1-2")]
    libraries = next(programs[1].glob("usr/lib/*-linux-gnu"))
    pin(server.process.pid, {0})
    command = [programs[0] / "usr/bin/wrk", "-t1", f"-c{connections}", f"-d{SECONDS}s", f"http://127.0.0.1:{server.port}{path}"]
    for header in headers:
        command += ["-H", header]
    before = clock.of_process(server.process.pid)
    told = processes.run("wrk", command, env={**os.environ, "LD_LIBRARY_PATH": str(libraries)}, text=True, preexec_fn=lambda: os.sched_setaffinity(0, {1}))
    spent = clock.of_process(server.process.pid) - before
    if "Non-2xx" in told or "Socket errors" in told:
        raise SystemExit(f"not all requests to {server.name} were answered:\n{told}")
    requests, read, unit = re.search(r"(\d+) requests in [^,]*, ([\d.]+)([KMG]?B) read", told).groups()
    return spent, int(requests), float(read) * UNITS[unit]


def pin(pid, processors):
    """All threads that there are, and so all that come of them."""
    for task in os.listdir(f"/proc/{pid}/task"):
        os.sched_setaffinity(int(task), processors)
        for child in open(f"/proc/{pid}/task/{task}/children").read().split():
            pin(int(child), processors)

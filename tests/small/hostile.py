"""Every picture of some folders, by many clients at once, with little memory for the server and its workers together: `make hostile`.

    hostile.py SAFELIGHT FOLDER... [--mebibytes 512] [--at-once 16] [--isolation process]

Each file is asked for in several ways. Nothing but an answer within its deadline is right: a picture, or an error that says what is wrong with the file.
The limit is that of a control group of its own, version 1 or 2, with everything that counts there: all memory of the server and of its
workers, and files in memory. Where no group can be made (that needs root), what the processes hold is added up ten times a second instead.
Exits with 1 when the server ends, when an answer is late or missing, or when more memory is used.
"""

import argparse
import collections
import concurrent.futures
import http.client
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

OPTIONS = (
    "width=320",
    "width=800,format=webp",
    "width=400,format=avif",
    "width=200,height=200,fit=cover,gravity=auto,format=jpeg",
    "format=json",
    "width=64,format=png,anim=false,rotate=90,blur=5",
)
TIMEOUT = 10  # seconds that the server gives a request
LATE = 1.5  # seconds after those: the answer has to come through as well
STARTING = 30
REST = 6  # seconds after which what is free has been given back

SETTINGS = """
[server]
listen = "127.0.0.1:{port}"
request_timeout = "{timeout} s"
[admin]
listen = "127.0.0.1:{admin}"
[zone]
origin = "file:{zone}"
[limits]
isolation = "{isolation}"
rasterize_svg = true
[cache.disk]
path = ""
[log]
level = "warn"
"""


class Group:
    """A control group with a limit of its memory. Without one, nothing holds the processes back."""

    def __init__(self, limit):
        self.limit, self.place, self.peak = limit, None, 0
        own = dict(line.split(":", 2)[1:] for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines())
        first = pathlib.Path("/sys/fs/cgroup/memory")
        for base, names in (
            (first / own.get("memory", "/").lstrip("/"), ("memory.limit_in_bytes", "memory.max_usage_in_bytes")),
            (first, ("memory.limit_in_bytes", "memory.max_usage_in_bytes")),
            (pathlib.Path("/sys/fs/cgroup") / own.get("", "/").lstrip("/"), ("memory.max", "memory.peak")),
        ):
            place = base / f"safelight-{os.getpid()}"
            try:
                place.mkdir()
                (place / names[0]).write_text(str(limit))
                self.place, self.highest = place, place / names[1]
                return
            except OSError:
                if place.is_dir():
                    place.rmdir()

    def enter(self):
        """To be called by the process that is to be limited."""
        if self.place:
            (self.place / "cgroup.procs").write_text(str(os.getpid()))

    def watch(self, server):
        """Adds up what the server and its workers hold."""
        total = sum(held(pid) for pid in (server, *children(server)))
        self.peak = max(self.peak, total)

    def most(self):
        return int(self.highest.read_text()) if self.place else self.peak

    def kills(self):
        """How many processes the system has ended for lack of memory."""
        for name in ("memory.oom_control", "memory.events"):
            file = self.place and self.place / name
            if file and file.exists():
                return dict(line.split() for line in file.read_text().splitlines()).get("oom_kill", "?")
        return "?"

    def leave(self):
        if self.place:
            self.place.rmdir()


def children(parent):
    tasks = pathlib.Path(f"/proc/{parent}/task").glob("*/children")
    found = []
    for task in tasks:
        try:
            found += [int(pid) for pid in task.read_text().split()]
        except OSError:
            pass
    return found


def held(pid):
    """The memory of a process, with its share of what it has in common with others."""
    try:
        lines = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def get(port, path, timeout):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", path, headers={"Accept": "image/avif,image/webp,*/*"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def zone_of(folders, place):
    """Links to all files, under names that are no part of their paths. Returns the names, and which file each is."""
    files = sorted(file for folder in folders for file in folder.rglob("*") if file.is_file())
    names = {}
    for number, file in enumerate(files):
        name = f"{number}{file.suffix}"
        os.link(file, place / name) if file.stat().st_dev == place.stat().st_dev else (place / name).write_bytes(file.read_bytes())
        names[name] = file
    return names


class Run:
    def __init__(self, given, folder):
        self.given = given
        zone = folder / "zone"
        zone.mkdir()
        self.names = zone_of(given.folders, zone)
        self.port, self.admin = free_port(), free_port()
        settings = folder / "config.toml"
        settings.write_text(SETTINGS.format(port=self.port, admin=self.admin, zone=zone, timeout=TIMEOUT, isolation=given.isolation))
        self.group = Group(given.mebibytes << 20)
        self.log = folder / "log"
        with open(self.log, "wb") as log:
            command = [str(given.safelight), "serve", "--config", str(settings)]
            self.server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log, preexec_fn=self.group.enter)
        self.wrong, self.answers = [], collections.Counter()

    def metric(self, name):
        text = get(self.admin, "/metrics", 10)[1].decode()
        rows = [line.rsplit(" ", 1) for line in text.splitlines() if line.startswith(name)]
        return {label.removeprefix(name): float(value) for label, value in rows}

    def until_it_listens(self):
        for _ in range(STARTING * 20):
            try:
                return get(self.admin, "/healthz", 5)
            except OSError:
                time.sleep(0.05)
        raise SystemExit(f"the server does not start: {self.log.read_text()}")

    def ask(self, job):
        name, options = job
        started = time.monotonic()
        try:
            status, body = get(self.port, f"/cdn-cgi/image/{options}/{urllib.parse.quote(name)}", TIMEOUT + 10)
        except (OSError, http.client.HTTPException) as error:
            self.wrong.append(f"{self.names[name]} {options}: no answer: {error!r}")
            return
        taken = time.monotonic() - started
        self.answers[status] += 1
        if taken > TIMEOUT + LATE:
            self.wrong.append(f"{self.names[name]} {options}: {status} after {taken:.1f} s")
        if status == 200 and not body:
            self.wrong.append(f"{self.names[name]} {options}: an empty picture")

    def watch(self, end):
        while not end.wait(0.1):
            self.group.watch(self.server.pid)

    def run(self):
        self.until_it_listens()
        first = sum(map(held, (self.server.pid, *children(self.server.pid))))
        jobs = [(name, options) for name in self.names for options in OPTIONS]
        random.Random(1).shuffle(jobs)
        end = threading.Event()
        watcher = threading.Thread(target=self.watch, args=(end,))
        watcher.start()
        started = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(self.given.at_once) as clients:
            list(clients.map(self.ask, jobs))
        seconds = time.monotonic() - started
        end.set()
        watcher.join()
        if self.server.poll() is not None:
            self.wrong.append(f"the server has ended with status {self.server.returncode}")
            return
        time.sleep(REST)
        failures = {kind: int(count) for kind, count in self.metric("safelight_worker_failures").items() if count}
        last = sum(map(held, (self.server.pid, *children(self.server.pid))))
        most = self.group.most()
        print(f"{len(jobs)} requests for {len(self.names)} files in {seconds:.0f} s: {dict(sorted(self.answers.items()))}")
        print(f"memory: {first >> 20} MiB at the start, {most >> 20} MiB at most, {last >> 20} MiB at rest; {'a control group' if self.group.place else 'added up'}")
        print(f"processes ended by the system for lack of memory: {self.group.kills()}; workers lost: {failures or 'none'}")
        if most > self.given.mebibytes << 20:
            self.wrong.append(f"{most >> 20} MiB were used")

    def stop(self):
        if self.server.poll() is None:
            self.server.send_signal(signal.SIGTERM)
            try:
                self.server.wait(TIMEOUT + 10)
            except subprocess.TimeoutExpired:
                self.wrong.append("the server does not end")
                self.server.kill()
                self.server.wait()
        self.group.leave()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("safelight", type=pathlib.Path)
    parser.add_argument("folders", type=pathlib.Path, nargs="+")
    parser.add_argument("--mebibytes", type=int, default=512)
    parser.add_argument("--at-once", type=int, default=16)
    parser.add_argument("--isolation", default="process")
    given = parser.parse_args()
    given.safelight = given.safelight.resolve()
    with tempfile.TemporaryDirectory(prefix="safelight-hostile-") as folder:
        run = Run(given, pathlib.Path(folder))
        try:
            run.run()
        finally:
            run.stop()
        log = run.log.read_text(errors="replace").splitlines()
        told = collections.Counter(line.split(" ", 2)[-1][:400] for line in log if " ERROR " in line or "worker process ended" in line)
        for line, count in told.most_common(12):
            print(f"  log, {count} times: {line}")
    for line in run.wrong[:40]:
        print(f"WRONG: {line}")
    sys.exit(bool(run.wrong))


if __name__ == "__main__":
    main()

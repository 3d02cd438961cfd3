"""Those who are compared, each behind the same two questions: make this picture, and how much CPU does one like it take?"""

import http.client
import itertools
import json
import os
import pathlib
import signal
import socket
import subprocess
import tempfile
import threading
import time

import clock
import jobs
import processes

STARTING = 20  # seconds
ANSWERING = 120  # seconds
RESTING = 0.3  # seconds after which a server that does nothing has nothing to do


class Failed(Exception):
    """A picture that one of them could not make."""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A server that makes pictures. Requests go one after another over one connection, a thread each."""

    name = "server"

    def __init__(self, command, port, environment=None):
        self.port = port
        self.process = processes.start(self.name, command, env={**os.environ, **(environment or {})})
        self.own = threading.local()
        self._wait()

    @property
    def connection(self):
        """The connection of this thread."""
        if not hasattr(self.own, "connection"):
            self.own.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWERING)
        return self.own.connection

    def _wait(self):
        end = time.monotonic() + STARTING
        while time.monotonic() < end:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.02)
        raise processes.failure(f"{self.name} does not start", self.process.log)

    def get(self, path, headers=None):
        """The body of the answer to `path`, which must be a picture."""
        try:
            self.connection.request("GET", path, headers=headers or {})
            answer = self.connection.getresponse()
        except (http.client.RemoteDisconnected, ConnectionError):
            # Servers close connections on which nothing came for a while.
            self.connection.close()
            self.connection.request("GET", path, headers=headers or {})
            answer = self.connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise Failed(f"{self.name}: {path}: {answer.status} {body[:200]!r}")
        return body

    def make(self, job):
        return self.get(self.path(job), job.headers)

    def timed(self, job):
        """The picture, and the seconds of CPU that it took."""
        before = clock.of_process(self.process.pid)
        made = self.make(job)
        return made, clock.of_process(self.process.pid) - before

    def cpu(self, job, times):
        """Seconds of CPU for one such picture: all threads and children, HTTP and reading the source included."""
        before = clock.of_process(self.process.pid)
        for _ in range(times):
            self.make(job)
        return (clock.of_process(self.process.pid) - before) / times

    def path(self, job):
        raise NotImplementedError

    def stop(self):
        self.connection.close()
        # Not SIGTERM, after which safelight goes on answering for a while.
        self.process.send_signal(signal.SIGINT)
        self.process.wait()


class Safelight(Server):
    """The real server, with its defaults, but for caches that would answer what is to be measured."""

    name = "safelight"
    # Without a copy of large sources for other sizes, which nobody else makes.
    ALONE = '[cache]\nreduced_copies = false\n[cache.disk]\npath = ""\n'
    unique = itertools.count(int(time.time()) * 1000)

    def __init__(self, binary, pictures, folder, settings="", server=""):
        self.admin = free_port()
        port = free_port()
        self.pictures = pictures
        # The same for all servers of a run, so that they have the same sources.
        self.zone = folder / "zone"
        self.zone.mkdir(exist_ok=True)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="safelight-", dir=folder))
        config = self.folder / "config.toml"
        config.write_text(
            f'[server]\nlisten = "127.0.0.1:{port}"\n{server}[admin]\nlisten = "127.0.0.1:{self.admin}"\n'
            f'[log]\nlevel = "error"\n{self.zone_settings()}'
            + (settings or '[cache.disk]\npath = ""\n')
        )
        super().__init__([binary, "serve", "--config", config], port)

    def writes(self, format):
        """Whether this build writes a format. What is no option is refused, or another format is answered."""
        if format != "jxl":
            return True
        try:
            return jobs.is_jxl(self.make(jobs.job(self.pictures, "badge.png", 16, format)))
        except Failed:
            return False

    def zone_settings(self):
        return f'[zone]\norigin = "file:{self.zone}"\n'

    def path(self, job):
        # What nobody asked for before: another name is another source, although the file is the same.
        source = f"{next(self.unique)}-{job.source}"
        os.link(self.pictures / job.source, self.zone / source)
        return f"/cdn-cgi/image/{job.options()}/{source}"


class Thorough(Safelight):
    """The same, with what is done on idle processors after an answer."""

    def cpu(self, job, times):
        before = clock.of_process(self.process.pid)
        for _ in range(times):
            self.make(job)
        spent = clock.of_process(self.process.pid)
        while True:
            time.sleep(RESTING)
            now = clock.of_process(self.process.pid)
            if now - spent < RESTING / 100:
                return (now - before) / times
            spent = now


class Oximg(Server):
    name = "oximg"

    def __init__(self, binary, pictures, folder):
        port = free_port()
        environment = {"PORT": str(port), "IMAGES_DIR": str(pictures.resolve()), "OXIMG_OPTIONS_PREFIX": "/image"}
        super().__init__([binary, "serve"], port, environment)

    def path(self, job):
        # It keeps nothing: the same URL is made anew each time.
        return f"/image/{job.options()}/{job.source}"


class Sharp:
    name = "sharp"

    def __init__(self, modules, pictures, folder):
        self.pictures = pictures
        self.out = folder / "sharp.out"
        script = pathlib.Path(__file__).with_name("sharp.js")
        self.process = processes.start(self.name, ["node", script, modules], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.versions = self._read()

    def _read(self):
        line = self.process.stdout.readline()
        if not line:
            raise processes.failure("sharp has ended", self.process.log)
        return json.loads(line)

    def _run(self, job, **more):
        asked = {
            "source": str(self.pictures / job.source),
            "width": job.width,
            "height": job.height,
            "format": job.format,
            "options": {"quality": job.quality, **(job.sharp or {})},
            "animated": job.animated,
            **more,
        }
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()
        answer = self._read()
        if "error" in answer:
            raise Failed(f"sharp: {job.source}: {answer['error']}")
        return answer

    def make(self, job):
        return self.timed(job)[0]

    def timed(self, job):
        spent = self._run(job, times=1, out=str(self.out))["cpu"] / 1e6
        return self.out.read_bytes(), spent

    def cpu(self, job, times):
        return self._run(job, times=times)["cpu"] / 1e6

    def peak(self, job):
        self._run(job, times=1)
        return clock.peak_of(self.process.pid)

    def stop(self):
        self.process.stdin.close()
        self.process.wait()

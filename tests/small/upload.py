"""A small machine: `make small`. safelight with hosted images in a folder and 256 MiB of memory gets a photo of 12 megapixels, makes three
variants of it in three formats, and answers for the gallery meanwhile.

    upload.py SAFELIGHT [--mebibytes N] [--portable] [--runner "COMMAND ..."]

The limit is that of the address space (`ulimit -v`), which is harder than one of the memory that is used: whatever is reserved counts.
The portable encoder of AVIF takes more memory: there the largest variant is WebP for everybody.
RUNNER is put before SAFELIGHT, as in `qemu-x86_64 -cpu qemu64`, and then runs without a limit, because its own memory would count.
Exits with 1 when anything fails. Nothing but Python is needed.
"""

import argparse
import http.client
import json
import pathlib
import resource
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

TOKEN = "token-of-a-small-machine"
ACCOUNT = "/client/v4/accounts/main"
VARIANTS = {"small": 320, "medium": 960, "large": 1920}
FORMATS = ("avif", "webp", "jpeg")
PHOTO = pathlib.Path(__file__).parents[2] / "examples/photos/dogs.jpg"
GALLERY = 6  # pictures that are there before
STARTING = 30  # seconds; an emulator is slow
RENDERING = 600
ANSWERING = 60  # the longest that the gallery may wait for one answer
PAUSE = 0.05  # seconds between requests of the gallery
LOST = "could not be made ahead"

SETTINGS = """
[server]
listen = "127.0.0.1:{port}"
[admin]
listen = "127.0.0.1:{admin}"
[zone]
origin = "file:{folder}"
[hosted]
store = "file:{folder}/store"
index = "{folder}/index"
eager = {eager}
eager_formats = {formats}
[[hosted.token]]
token = "{token}"
rights = "write"
[cache.disk]
path = "{folder}/cache"
[log]
level = "warn"
"""


class Failure(Exception):
    """What did not go as it should."""


class Machine:
    """The server under its limit."""

    def __init__(self, arguments, folder):
        self.port, admin = free_port(), free_port()
        settings = folder / "config.toml"
        eager, formats = json.dumps(list(VARIANTS)), json.dumps(FORMATS)
        settings.write_text(SETTINGS.format(port=self.port, admin=admin, folder=folder, eager=eager, formats=formats, token=TOKEN) + arguments.settings)
        limit = None if arguments.runner else arguments.mebibytes << 20
        self.file = folder / "log"
        command = [*shlex.split(arguments.runner), str(arguments.safelight), "serve", "--config", str(settings)]
        with open(self.file, "wb") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log, preexec_fn=lambda: limit and resource.setrlimit(resource.RLIMIT_AS, (limit, limit)))
        until(self.listens, STARTING, "the server listens")

    def log(self):
        return self.file.read_text(errors="replace")

    def check(self):
        if self.process.poll() is not None:
            raise Failure(f"the server ended with status {self.process.returncode}")
        if LOST in self.log():
            raise Failure("a variant could not be made")

    def listens(self):
        self.check()
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            return True
        except OSError:
            return False

    def get(self, path, headers):
        return self.ask("GET", path, None, headers)

    def ask(self, method, path, body, headers, timeout=ANSWERING):
        """Body of the answer, which must be 200."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
        except OSError as error:
            raise Failure(f"{method} {path} is not answered: {error}") from error
        finally:
            connection.close()
        if answer.status != 200:
            raise Failure(f"{method} {path} is answered {answer.status}: {content[:300]!r}")
        return content

    def call(self, method, path, body=None, media_type="application/json"):
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": media_type}
        return json.loads(self.ask(method, ACCOUNT + path, body, headers, RENDERING))["result"]

    def upload(self, id, photo):
        boundary = "boundary-of-a-small-machine"
        field = f'--{boundary}\r\nContent-Disposition: form-data; name="id"\r\n\r\n{id}\r\n'
        file = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{id}.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'
        body = b"".join([field.encode(), file.encode(), photo, f"\r\n--{boundary}--\r\n".encode()])
        return self.call("POST", "/images/v1", body, f"multipart/form-data; boundary={boundary}")

    def renditions(self, id):
        found = self.call("GET", f"/images/v1/{id}")["safelight"]["renditions"]
        return {(one["variant"], one["format"]) for one in found}

    def wait_for(self, id, wanted):
        """Waits until renditions of an image are there."""

        def are_there():
            self.check()
            return self.renditions(id) >= wanted

        until(are_there, RENDERING, f"{len(wanted)} renditions of {id} are made")

    def memory(self):
        """What the kernel says of the process."""
        lines = pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        values = dict(line.split(":", 1) for line in lines)
        used, reserved, most_used, most_reserved = (int(values[name].split()[0]) // 1024 for name in ("VmRSS", "VmSize", "VmHWM", "VmPeak"))
        return f"{used} MiB used, {reserved} MiB of addresses; at most {most_used} MiB and {most_reserved} MiB"

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait()


class Visitor(threading.Thread):
    """Somebody who looks at the gallery all the time: its list, and a picture of it."""

    def __init__(self, machine):
        super().__init__()
        self.machine = machine
        self.is_over = threading.Event()
        self.failure = None
        self.answers = 0
        self.longest = 0

    def run(self):
        asks = []
        for number in range(GALLERY):
            asks.append((f"{ACCOUNT}/images/v2?per_page=100", {"Authorization": f"Bearer {TOKEN}"}))
            asks.append((f"/cdn-cgi/imagedelivery/main/gallery-{number}/small", {"Accept": "image/webp"}))
        try:
            while not self.is_over.is_set():
                path, headers = asks[self.answers % len(asks)]
                begun = time.monotonic()
                self.machine.get(path, headers)
                self.longest = max(self.longest, time.monotonic() - begun)
                self.answers += 1
                time.sleep(PAUSE)
        except Failure as failure:
            self.failure = failure


def run(arguments, folder):
    photo, thumbnail = (photograph(arguments, folder, *size) for size in ((4000, 3000), (1200, 900)))
    machine = Machine(arguments, folder)
    try:
        print(f"after the start: {machine.memory()}", flush=True)
        for name, width in VARIANTS.items():
            machine.call("POST", "/images/v1/variants", json.dumps({"id": name, "options": {"width": width, "fit": "scale-down"}}))
        for number in range(GALLERY):
            machine.upload(f"gallery-{number}", thumbnail)
        visitor = Visitor(machine)
        visitor.start()
        begun = time.monotonic()
        try:
            machine.upload("photo", photo)
            uploaded = time.monotonic() - begun
            print(f"a photo of {len(photo) / 1e6:.1f} MB and 12 megapixels is uploaded in {uploaded:.1f} s", flush=True)
            wanted = {(variant, format) for variant in VARIANTS for format in FORMATS}
            if arguments.portable:
                wanted.remove(("large", "avif"))
            machine.wait_for("photo", wanted)
            made = time.monotonic() - begun
        finally:
            visitor.is_over.set()
            visitor.join()
        if visitor.failure:
            raise visitor.failure
        print(f"its {len(wanted)} renditions are there after {made:.1f} s, those of {GALLERY} pictures of the gallery before")
        print(f"the gallery had {visitor.answers} answers meanwhile, the slowest in {visitor.longest:.2f} s")
        for variant in VARIANTS:
            for format in FORMATS:
                if not machine.get(f"/cdn-cgi/imagedelivery/main/photo/{variant}", {"Accept": f"image/{format}"}):
                    raise Failure(f"{variant} as {format} is empty")
        machine.check()
        print(f"at the end: {machine.memory()}, of {arguments.mebibytes} MiB of addresses")
    except Failure:
        print(machine.log(), file=sys.stderr)
        raise
    finally:
        machine.stop()


def photograph(arguments, folder, width, height):
    """A JPEG of that size with some grain, baseline as cameras make it."""
    photo = folder / f"photo-{width}.jpg"
    options = f"width={width},height={height},fit=cover,sharpen=5,format=baseline-jpeg,quality=95"
    command = [*shlex.split(arguments.runner), arguments.safelight, "transform", PHOTO, options, "-o", photo]
    subprocess.run([str(word) for word in command], check=True, stdout=subprocess.DEVNULL)
    return photo.read_bytes()


def until(is_so, seconds, what):
    end = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > end:
            raise Failure(f"not so after {seconds} s: {what}")
        time.sleep(0.2)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("safelight", type=pathlib.Path)
    parser.add_argument("--mebibytes", type=int, default=256, metavar="N")
    parser.add_argument("--portable", action="store_true", help="the binary is the portable build")
    parser.add_argument("--runner", default="", metavar="COMMAND")
    parser.add_argument("--settings", default="", metavar="TOML", help="more settings, as in '[limits]\\nworkers = 1'")
    arguments = parser.parse_args()
    arguments.safelight = arguments.safelight.resolve()
    with tempfile.TemporaryDirectory() as folder:
        try:
            run(arguments, pathlib.Path(folder))
        except Failure as failure:
            sys.exit(f"FAILED: {failure}")


if __name__ == "__main__":
    main()

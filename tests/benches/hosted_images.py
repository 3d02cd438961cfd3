"""Hosted images: an upload beside a plain PUT to the same store, a list of 100 of 100,000, and a delivery beside an ordinary hit."""

import contextlib
import hashlib
import http.client
import io
import itertools
import json
import os
import statistics
import threading
import time
import urllib.parse

import numpy
from PIL import Image

import clock
import contenders
import hits
import loads
import rounds
import shared
import table

TOKEN = "token-of-the-benchmark"
ACCOUNT = "/client/v4/accounts/main"
UPLOAD_BYTES = 2_000_000
BATCH = 15  # uploads of a client in a round
CLIENTS = 4  # who upload at once
RECORDS = 100_000
PAGE = 100  # images of a list
LISTS = 100  # lists in a round
IDLE = 3  # seconds after which a server may have closed a connection
REBUILDING = 600  # seconds that an index may take
DELIVERY_BAR = 1.1

HOSTED = """
[hosted]
store = "{store}"
index = "{index}"
verify = "{verify}"
[[hosted.token]]
token = "{token}"
rights = "write"
[cache.disk]
path = ""
"""
# What a plain server of WebDAV does with an upload: it flushes nothing to the disk.
DAV = """
    client_max_body_size 100m; client_body_buffer_size 128k;
    server {{ listen 127.0.0.1:{{port}}; root {folder}; location / {{ dav_methods PUT; create_full_put_path on; }} }}
"""


def run(bench, group):
    with contextlib.ExitStack() as stack:
        photo = photograph()
        uploads_to_a_folder(bench, group, stack, photo)
        uploads_to_a_bucket(bench, group, stack, photo)
        deliveries(bench, group, stack)
    with contextlib.ExitStack() as stack:
        lists(bench, group, stack)


class Connections:
    """A connection for each thread."""

    def __init__(self, port):
        self.port = port
        self.local = threading.local()

    def ask(self, method, path, body, headers):
        """Status and body of an answer. What had nothing to do for a while may be closed by now."""
        if not hasattr(self.local, "connection"):
            self.local.connection = http.client.HTTPConnection("127.0.0.1", self.port)
        if time.monotonic() - getattr(self.local, "last", 0) > IDLE:
            self.local.connection.close()
        self.local.connection.request(method, path, body, headers)
        answer = self.local.connection.getresponse()
        content = answer.read()
        self.local.last = time.monotonic()
        return answer.status, content


class Hosted(contenders.Safelight):
    """The real server with hosted images."""

    def __init__(self, bench, name, verify="decode", store=None, more=""):
        self.root = bench.scratch / f"hosted-{name}"
        store = store or f"file:{self.root}"
        settings = HOSTED.format(store=store, index=bench.scratch / f"index-{name}", verify=verify, token=TOKEN)
        super().__init__(bench.arguments.safelight, bench.pictures, bench.scratch, more + settings)
        self.connections = Connections(self.port)

    def call(self, method, path, body=None, media_type="application/json"):
        """Status and body of an answer of the API."""
        headers = {"Authorization": f"Bearer {TOKEN}"}
        if body is not None:
            headers["Content-Type"] = media_type
        return self.connections.ask(method, ACCOUNT + path, body, headers)

    def upload(self, id, photo):
        boundary = "boundary-of-the-benchmark"
        field = f'--{boundary}\r\nContent-Disposition: form-data; name="id"\r\n\r\n{id}\r\n'
        file = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="photo.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'
        body = b"".join([field.encode(), file.encode(), photo, f"\r\n--{boundary}--\r\n".encode()])
        status, answer = self.call("POST", "/images/v1", body, f"multipart/form-data; boundary={boundary}")
        if status != 200:
            raise SystemExit(f"an upload is answered {status}: {answer[:300]!r}")


class Dav(loads.Nginx):
    """nginx, which stores what is PUT."""

    def __init__(self, bench):
        folder = bench.scratch / "dav"
        folder.mkdir()
        super().__init__(bench, "dav", DAV.format(folder=folder))
        self.connections = Connections(self.port)

    def upload(self, id, photo):
        status, body = self.connections.ask("PUT", f"/{id}.jpg", photo, {})
        if status not in (201, 204):
            raise SystemExit(f"nginx answers {status} to a PUT: {body[:300]!r}")


def photograph():
    """A JPEG of about 2 MB: shapes of all sizes with some noise, as a phone makes it."""
    random = numpy.random.default_rng(17)
    width, height = 2400, 1800
    pixels = numpy.zeros((height, width, 3))
    for cells, strength in ((4, 60), (16, 40), (64, 25), (256, 15)):
        coarse = Image.fromarray(random.integers(0, 255, (cells * 3 // 4, cells, 3), numpy.uint8))
        pixels += (numpy.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), float) - 127) * strength / 64
    pixels += random.normal(127, 7, (height, width, 1))
    picture = Image.fromarray(pixels.clip(0, 255).astype(numpy.uint8))
    made = []
    for quality in range(80, 99, 2):
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=quality)
        made.append(file.getvalue())
    return min(made, key=lambda one: abs(len(one) - UPLOAD_BYTES))


def uploads_to_a_folder(bench, group, stack, photo):
    decode, header = (started(stack, Hosted(bench, verify, verify)) for verify in ("decode", "header"))
    nginx = started(stack, Dav(bench))
    bench.others["nginx"] = nginx.version()
    copy = Copy(bench.scratch / "copies")
    spent, taken, rates = in_turn(bench, {"decode": decode, "header": header, "nginx": nginx}, photo)
    flushed = [timed(copy, photo) for _ in range(bench.rounds)]
    size = f"{len(photo) / 1e6:.1f} MB JPEG"
    for verify in ("decode", "header"):
        what = f'upload of a {size} to a folder, verify = "{verify}"'
        rates_of = [f"{statistics.median(rates[one]):.0f}/s" for one in (verify, "nginx")]
        bench.add(table.Row(group, f"{what}: CPU against nginx PUT", millis(spent[verify]), millis(spent["nginx"]), rounds.ratios(spent[verify], spent["nginx"])))
        bench.add(table.Row(group, f"{what}: time against a copy with fsync", millis(taken[verify]), millis(flushed), rounds.ratios(taken[verify], flushed)))
        bench.add(table.Row(group, f"{what}, {CLIENTS} clients: uploads against nginx PUT", *rates_of, rounds.ratios(rates[verify], rates["nginx"])))


def uploads_to_a_bucket(bench, group, stack, photo):
    try:
        weed = started(stack, shared.SeaweedFS(bench.scratch))
    except SystemExit as error:
        print(f"uploads to a bucket are left out: {error}", flush=True)
        return
    bench.others["SeaweedFS"] = weed.version()
    ours = started(stack, Hosted(bench, "bucket", "header", "bucket:shared/hosted", shared.BUCKET.format(port=weed.port)))
    plain = Put(weed)
    spent, taken, rates = in_turn(bench, {"ours": ours, "plain": plain}, photo)
    what = f'upload of a {len(photo) / 1e6:.1f} MB JPEG to a bucket, verify = "header"'
    bench.add(table.Row(group, f"{what}: CPU, without that of SeaweedFS, against what SeaweedFS spends on a plain PUT", millis(spent["ours"]), millis(spent["plain"]), rounds.ratios(spent["ours"], spent["plain"])))
    bench.add(table.Row(group, f"{what}: time against a plain PUT to SeaweedFS", millis(taken["ours"]), millis(taken["plain"]), rounds.ratios(taken["ours"], taken["plain"])))
    told = [f"{statistics.median(rates[one]):.0f}/s" for one in ("ours", "plain")]
    bench.add(table.Row(group, f"{what}, {CLIENTS} clients: uploads against plain PUTs", *told, rounds.ratios(rates["ours"], rates["plain"])))


class Put:
    """PUTs to a bucket, without anything between."""

    def __init__(self, bucket):
        self.process = bucket.process
        self.connections = Connections(bucket.port)

    def upload(self, id, photo):
        status, _ = self.connections.ask("PUT", f"/shared/plain/{id}.jpg", photo, {"Content-Type": "image/jpeg"})
        if status != 200:
            raise SystemExit(f"the bucket answers {status} to a PUT")


class Copy:
    """Files that are written, flushed to the disk and renamed; the least that keeps an upload safe."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()

    def upload(self, id, photo):
        part = self.folder / "part"
        with open(part, "wb") as file:
            file.write(photo)
            os.fsync(file.fileno())
        part.rename(self.folder / id)
        folder = os.open(self.folder, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)


NAMES = (f"photo-{number}" for number in itertools.count())


def in_turn(bench, servers, photo):
    """By server, lists of the rounds: CPU and time of an upload, one after another, and uploads per second of several clients at once."""
    for server in servers.values():
        timed(server, photo)  # Whatever is done once in a life is done now.
    spent, taken, rates = ({name: [] for name in servers} for _ in range(3))
    for index in range(bench.rounds):
        for name in servers if index % 2 == 0 else reversed(servers):
            server = servers[name]
            before = clock.of_process(server.process.pid) if server.process else 0
            taken[name].append(timed(server, photo))
            spent[name].append((clock.of_process(server.process.pid) - before) / BATCH if server.process else 0)
            rates[name].append(at_once(server, photo))
    return spent, taken, rates


def timed(server, photo):
    """Seconds for an upload, one after another."""
    names = list(itertools.islice(NAMES, BATCH))
    begun = time.perf_counter()
    for name in names:
        server.upload(name, photo)
    return (time.perf_counter() - begun) / BATCH


def at_once(server, photo):
    """Uploads per second of several clients."""
    failures = []

    def client(names):
        try:
            for name in names:
                server.upload(name, photo)
        except (SystemExit, OSError, http.client.HTTPException) as error:
            failures.append(error)

    each = [list(itertools.islice(NAMES, BATCH)) for _ in range(CLIENTS)]
    clients = [threading.Thread(target=client, args=(names,)) for names in each]
    begun = time.perf_counter()
    for one in clients:
        one.start()
    for one in clients:
        one.join()
    if failures:
        raise SystemExit(f"not all uploads were answered: {failures[0]!r}")
    return CLIENTS * BATCH / (time.perf_counter() - begun)


def deliveries(bench, group, stack):
    server = started(stack, Hosted(bench, "delivery"))
    source = (bench.pictures / "saw.jpg").read_bytes()
    (server.zone / "delivered.jpg").write_bytes(source)
    server.upload("delivered", source)
    options = {"width": 600, "fit": "scale-down", "metadata": "none"}
    status, told = server.call("POST", "/images/v1/variants", json.dumps({"id": "medium", "options": options}))
    if status != 200:
        raise SystemExit(f"a variant is answered {status}: {told[:300]!r}")
    ways = {
        "delivery": "/cdn-cgi/imagedelivery/main/delivered/medium",
        "ordinary": "/cdn-cgi/image/width=600,fit=scale-down,metadata=none,format=auto/delivered.jpg",
    }
    sizes = {way: len(server.get(path)) for way, path in ways.items()}
    if len(set(sizes.values())) != 1:
        raise SystemExit(f"the pictures must be the same, they have {sizes} bytes")
    spent = {way: [] for way in ways}
    for index in range(bench.rounds):
        for way in ways if index % 2 == 0 else reversed(ways):
            spent[way].append(hits.load(bench, server, ways[way]))
    what = f"delivery of a hosted image from memory, {sizes['delivery'] / 1000:.0f} kB, {hits.CONNECTIONS} connections: CPU against an ordinary hit"
    bench.add(table.Row(group, what, micros(spent["delivery"]), micros(spent["ordinary"]), rounds.ratios(spent["delivery"], spent["ordinary"]), DELIVERY_BAR))


def lists(bench, group, stack):
    few, many = (with_records(bench, group, stack, count) for count in (PAGE, RECORDS))
    filtered = urllib.parse.urlencode({"per_page": PAGE, "meta.status[eq]": "active", "meta.priority[gte:number]": 5})
    ways = {
        "few": (few, f"/images/v2?per_page={PAGE}"),
        "many": (many, f"/images/v2?per_page={PAGE}"),
        "filtered": (many, f"/images/v2?{filtered}"),
    }
    spent = {way: [] for way in ways}
    for way, (server, path) in ways.items():
        listed(server, path)
    for index in range(bench.rounds):
        for way in ways if index % 2 == 0 else reversed(ways):
            server, path = ways[way]
            before = clock.of_process(server.process.pid)
            for _ in range(LISTS):
                listed(server, path)
            spent[way].append((clock.of_process(server.process.pid) - before) / LISTS)
    for what, way, other, theirs in (
        (f"list of {PAGE} of {RECORDS:,} images", "many", "few", f"{PAGE} of {PAGE}"),
        (f"list of {PAGE} of {RECORDS:,} images by two values of metadata", "filtered", "many", "all of them"),
    ):
        bench.add(table.Row(group, f"{what}: CPU against {theirs}", millis(spent[way]), millis(spent[other]), rounds.ratios(spent[way], spent[other])))


def listed(server, path):
    status, body = server.call("GET", path)
    found = len(json.loads(body)["result"]["images"]) if status == 200 else 0
    if found != PAGE:
        raise SystemExit(f"a list is answered {status} with {found} images: {body[:300]!r}")


def with_records(bench, group, stack, count):
    """A server whose index was built from `count` records in its folder."""
    name = f"records-{count}"
    root = bench.scratch / f"hosted-{name}"
    for number in range(count):
        write_record(root, number)
    begun = time.perf_counter()
    server = started(stack, Hosted(bench, name))
    while True:
        status, body = server.call("GET", "/images/v1/stats")
        current = json.loads(body)["result"]["count"]["current"] if status == 200 else 0
        if current == count:
            break
        if time.perf_counter() - begun > REBUILDING:
            raise SystemExit(f"the index has {current} of {count} images after {REBUILDING} s")
        time.sleep(0.05)
    took, spent = time.perf_counter() - begun, clock.of_process(server.process.pid)
    if count == RECORDS:
        bench.add(table.Row(group, f"index built from {count:,} records in a folder: time, and CPU", f"{took:.1f} s", f"{spent:.1f} s", rounds.spread([took / spent])))
    return server


def write_record(root, number):
    """A record as the server writes it, of an image whose file is not there."""
    id = f"shop-{number % 100:02}/image-{number:06}"
    record = {
        "v": 1,
        "rev": f"{number:026}",
        "id": id,
        "state": "ready",
        "filename": f"image-{number}.jpg",
        "creator": f"creator-{number % 50}",
        "meta": {"status": ("active", "hidden", "sold")[number % 3], "priority": number % 10, "shop": {"town": f"town-{number % 100}"}},
        "requireSignedURLs": False,
        "uploaded": 1_700_000_000_000 + number * 1000,
        "original": {
            "key": f"originals/{id}/-/{number:026}.jpg",
            "bytes": UPLOAD_BYTES,
            "sha256": hashlib.sha256(id.encode()).hexdigest(),
            "format": "jpeg",
            "mime": "image/jpeg",
            "extension": "jpg",
            "width": 4000,
            "height": 3000,
            "frames": 1,
        },
    }
    folder = root / "records" / id / "-"
    os.makedirs(folder)
    with open(folder / "record.json", "w") as file:
        json.dump(record, file)


def started(stack, server):
    stack.callback(server.stop)
    return server


def millis(seconds):
    return f"{statistics.median(seconds) * 1000:.2f} ms"


def micros(seconds):
    return f"{statistics.median(seconds) * 1e6:.1f} us"

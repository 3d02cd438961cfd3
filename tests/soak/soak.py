"""Minutes of mixed load on one server, with an origin that fails, purges, clients that go away, and kills: `make soak`.

    soak.py SAFELIGHT [--minutes 10] [--seed 1]

In the first part the server is killed now and then, and started again on its cache. In the second it lives on, and what it holds at rest (memory,
descriptors, threads, child processes) is compared between the beginning and the end. Where the server has child processes, one is killed now and then all the
time. Every request must be answered, by what its source explains: anything else is told, and ends with status 1.
"""

import argparse
import collections
import http.client
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time

from origin import Origin

THREADS = 8
ANSWERING = 20  # seconds after which a request counts as one without an answer
REST = 6  # seconds without load or background work before something is measured
WORKING = 600  # seconds that background work may go on without load
KILLING = 0.4  # the part of the time in which the server is killed now and then
GROWTH = 1.25
SLACK = 16 << 20  # what malloc may keep
TOKEN = "the-token-of-the-soak-test"
BUSY = {"9522", "9527"}
ORIGIN_DOWN = {"9402", "9504", "9505", "9509"}
# What may be answered for each kind of source, beside pictures: numbers of errors.
KINDS = {
    "good": set(),
    "slow": set(),
    "fail": ORIGIN_DOWN,
    "gone": {"9404"},
    "broken": ORIGIN_DOWN | {"9516"},
    "junk": {"9520", "9412"},
}


class Soak:
    def __init__(self, given, folder):
        self.binary = given.binary.resolve()
        self.folder = folder
        self.dice = random.Random(given.seed)
        self.origin = Origin(pathlib.Path(__file__).parents[2] / "examples/photos")
        self.port, self.admin = free_port(), free_port()
        self.end = threading.Event()
        self.load = threading.Event()
        self.lock = threading.Lock()
        self.told = collections.Counter()
        self.odd = []
        # Spans of time in which the server or the origin was gone.
        self.outages = []
        self.server = None
        (folder / "config.toml").write_text(
            f"""
            [server]
            listen = "127.0.0.1:{self.port}"
            request_timeout = "10 s"
            [admin]
            listen = "127.0.0.1:{self.admin}"
            token = "{TOKEN}"
            [zone]
            origin = "http://127.0.0.1:{self.origin.port}"
            [fetch]
            first_byte_timeout = "2 s"
            idle_timeout = "2 s"
            [cache.memory]
            renditions = "32 MiB"
            [cache.disk]
            path = "{folder}/cache"
            renditions = "200 MiB"
            sources = "100 MiB"
            [log]
            level = "error"
            """
        )

    def start(self):
        with open(self.folder / "log", "ab") as log:
            self.server = subprocess.Popen([self.binary, "serve", "--config", self.folder / "config.toml"], stdout=log, stderr=log)
        end = time.monotonic() + 20
        while self.get("/readyz", self.admin)[0] != 200:
            if time.monotonic() > end or self.server.poll() is not None:
                raise SystemExit(f"the server does not start:\n{(self.folder / 'log').read_text()[-2000:]}")
            time.sleep(0.05)

    def get(self, path, port=None, headers=None, method="GET", body=None):
        """Status, number of the error, and ETag. Status 0: the connection was refused or broke off; -1: no answer in time."""
        connection = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=ANSWERING)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            answer.read()
            number = dict(pair.split("=", 1) for pair in (answer.getheader("cf-resized") or "").split() if "=" in pair).get("err", "")
            return answer.status, number, answer.getheader("etag")
        except TimeoutError:
            return -1, "", None
        except (http.client.HTTPException, OSError):
            return 0, "", None
        finally:
            connection.close()

    def outage(self, action):
        """Does what takes the server or the origin away for a while."""
        span = [time.monotonic(), float("inf")]
        with self.lock:
            self.outages.append(span)
        action()
        # What began before is over by then.
        span[1] = time.monotonic() + 1

    def was_out(self, since, until):
        with self.lock:
            return any(since <= end and until >= start for start, end in self.outages)

    def client(self, seed):
        dice = random.Random(seed)
        tags = {}
        while not self.end.is_set():
            self.load.wait()
            kind = dice.choices(list(KINDS) + ["original", "away", "wrong"], [70, 6, 4, 4, 4, 4, 4, 3, 4])[0]
            started = time.monotonic()
            if kind == "away":
                go_away(self.port, f"/cdn-cgi/image/width={dice.randint(16, 900)}/good/{dice.randint(0, 9)}.jpg")
                continue
            path, expected = self.target(kind, dice)
            headers = {"accept": dice.choice(("image/avif,image/webp", "image/webp", "*/*"))}
            if path in tags and dice.random() < 0.3:
                headers["if-none-match"] = tags[path]
            status, number, tag = self.get(path, headers=headers)
            if status == 0:
                time.sleep(0.1)
            if tag and len(tags) < 500:
                tags[path] = tag
            is_fine = status in (200, 304) if not number else number in expected | BUSY
            if kind in ("gone", "wrong") and status in (200, 304):
                is_fine = False
            if not is_fine and status != -1 and self.was_out(started, time.monotonic()):
                number, is_fine = "while something was gone", True
            with self.lock:
                self.told[kind, status if not is_fine or status in (200, 304) else number] += 1
                if not is_fine and len(self.odd) < 20:
                    self.odd.append(f"{path}: {status} {number} after {time.monotonic() - started:.1f} s")

    def target(self, kind, dice):
        if kind == "original":
            return f"/good/{dice.randint(0, 9)}.jpg", set()
        if kind == "wrong":
            return dice.choice(("/cdn-cgi/image/quality=0/good/1.jpg", "/cdn-cgi/image/nothing", "/cdn-cgi/image/format=exe/good/1.jpg")), {"9401", "9404"}
        name = dice.randint(0, 9)
        if dice.random() < 0.6:
            # One of those that everybody wants.
            return f"/cdn-cgi/image/width={100 * (name % 4 + 1)},format=auto/{kind}/{name}.jpg", KINDS[kind]
        options = f"width={dice.randint(16, 900)},quality={dice.randint(40, 90)},format={dice.choice(('auto', 'jpeg', 'webp', 'avif', 'json'))}"
        return f"/cdn-cgi/image/{options}/{kind}/{name}.jpg", KINDS[kind]

    def purge(self):
        what = self.dice.choice(('{"prefix": "/good/", "soft": true}', '{"prefix": "/slow/"}', '{"tag": "even"}', '{"everything": true}', '{"everything": true, "soft": true}'))
        status, _, _ = self.get("/purge", self.admin, {"authorization": f"Bearer {TOKEN}"}, "POST", what)
        self.told["purge", status] += 1
        if status != 200:
            self.odd.append(f"purge {what}: {status}")

    def kill_server(self):
        def again():
            self.server.send_signal(signal.SIGKILL)
            self.server.wait()
            self.start()

        self.outage(again)
        self.told["kills of the server", ""] += 1

    def stop_origin(self):
        def pause():
            self.origin.is_down = True
            time.sleep(3)
            self.origin.is_down = False

        self.outage(pause)
        self.told["outages of the origin", ""] += 1

    def kill_child(self):
        children = children_of(self.server.pid)
        if children:
            self.outage(lambda: os.kill(self.dice.choice(children), signal.SIGKILL))
            self.told["kills of a child process", ""] += 1

    def run_for(self, seconds, actions):
        """Load, with each of the actions once in so many seconds."""
        self.load.set()
        end = time.monotonic() + seconds
        due = {action: time.monotonic() + every for action, every in actions.items()}
        while time.monotonic() < end:
            for action, every in actions.items():
                if time.monotonic() >= due[action]:
                    action()
                    due[action] = time.monotonic() + every
            status = self.get("/healthz", self.admin)[0]
            if status != 200:
                self.odd.append(f"/healthz: {status}")
            time.sleep(0.5)

    def rested(self):
        """What the server holds when nobody asks for anything."""
        self.load.clear()
        begun = quiet = time.monotonic()
        while time.monotonic() < quiet + REST:
            time.sleep(0.5)
            if self.metric("safelight_cpu_jobs"):
                quiet = time.monotonic()
            if time.monotonic() > begun + WORKING:
                self.odd.append("background work never ends")
                break
        pid = self.server.pid
        in_flight = self.metric("safelight_requests_in_flight")
        if in_flight:
            self.odd.append(f"{in_flight} requests never end")
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
        fields = dict(line.split(":", 1) for line in status.splitlines())
        return {
            "memory": int(fields["VmRSS"].split()[0]) * 1024,
            "threads": int(fields["Threads"]),
            "descriptors": len(os.listdir(f"/proc/{pid}/fd")),
            "children": len(children_of(pid)),
        }

    def metric(self, name):
        connection = http.client.HTTPConnection("127.0.0.1", self.admin, timeout=ANSWERING)
        connection.request("GET", "/metrics")
        lines = connection.getresponse().read().decode().splitlines()
        connection.close()
        return sum(float(line.split()[-1]) for line in lines if line.startswith((name + " ", name + "{")))

    def run(self, seconds):
        self.start()
        clients = [threading.Thread(target=self.client, args=(seed,), daemon=True) for seed in range(THREADS)]
        for client in clients:
            client.start()
        always = {self.purge: 5, self.stop_origin: 40, self.kill_child: 10}
        self.run_for(seconds * KILLING, {**always, self.kill_server: 20})
        self.run_for(seconds * (1 - KILLING) / 3, always)
        before = self.rested()
        self.run_for(seconds * (1 - KILLING) * 2 / 3, always)
        after = self.rested()
        self.end.set()
        self.load.set()
        for client in clients:
            client.join(ANSWERING)
        if any(client.is_alive() for client in clients):
            self.odd.append("a client never gets its answer")
        for what, most in (("memory", before["memory"] * GROWTH + SLACK), ("threads", before["threads"] + 4), ("descriptors", before["descriptors"] + 8), ("children", before["children"])):
            print(f"{what} at rest: {before[what]}, at the end {after[what]}")
            if after[what] > most:
                self.odd.append(f"{what}: {before[what]} became {after[what]}")
        self.server.send_signal(signal.SIGINT)
        self.server.wait()

    def tell(self):
        for (kind, status), count in sorted(self.told.items(), key=str):
            print(f"{count:8} {kind} {status}")
        log = (self.folder / "log").read_text(errors="replace")
        if "panicked" in log:
            self.odd.append("the log tells of a panic:\n" + log[log.index("panicked") - 200 :][:1500])
        print("\n".join(["not explained:", *self.odd]) if self.odd else "everything is explained")
        return 1 if self.odd else 0


def go_away(port, path):
    """Asks, and closes the connection before there is an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWERING)
    try:
        connection.request("GET", path)
        time.sleep(0.02)
    except OSError:
        pass
    finally:
        connection.close()


def children_of(pid):
    found = []
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        try:
            found += [int(child) for child in (task / "children").read_text().split()]
        except OSError:
            continue
    return found


def free_port():
    with http.client.socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", type=pathlib.Path, metavar="SAFELIGHT")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        soak = Soak(given, pathlib.Path(folder))
        try:
            soak.run(given.minutes * 60)
        finally:
            soak.origin.stop()
            if soak.server and soak.server.poll() is None:
                soak.server.kill()
        return soak.tell()


if __name__ == "__main__":
    sys.exit(main())

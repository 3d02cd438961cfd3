#!/usr/bin/env python3
"""How many pictures are made, read and sent at a given scale, what for, and what it costs: a model of caches, without a server.

    scale.py                     three profiles, as tables
    scale.py --check             the model beside a simulation of the same caches, request by request
    scale.py --profile shop --set nodes=4 --set routing=hash

Popularity is Zipf's: the picture of rank r is asked for in proportion to 1 / r^s. A cache that removes what was not used for longest holds what was
asked for within a time T; T follows from its size (H. Che and others, "Hierarchical web caching systems", 2002). Nothing but Python is needed.
"""

import argparse
import collections
import dataclasses
import math
import random

MONTH = 30 * 86_400
GIB = 1 << 30


@dataclasses.dataclass
class Profile:
    """What is asked for, and by what it is answered. Bytes are means."""

    name: str
    sources: float  # pictures of the site
    sizes: float  # renditions of each that are asked for: widths times formats
    requests: float  # requests for pictures in a month, behind the browsers' own caches
    zipf: float  # 0.6: flat, every picture has its public; 1.0: a few pictures have nearly all
    changed: float  # part of the pictures that is new or changed in a month
    source_bytes: float
    rendition_bytes: float
    nodes: int = 1
    processors: float = 2  # of each node
    memory: float = 0.25 * GIB  # cache.memory.renditions of each node
    disk: float = 10 * GIB  # cache.disk.renditions of each node
    routing: str = "hash"  # "hash": each URL has its node; "any": each node gets every URL
    shared: bool = False  # cache.shared: a bucket in common
    cdn: float = 0  # bytes of a cache in front
    settled: float = 1  # part of the renditions for which a settled file is made after the first
    machine: float = 0  # dollars for a node in a month
    egress: float = 0  # dollars for a GB that leaves the machines or the CDN
    peak: float = 3  # busiest hour, as a multiple of the mean


@dataclasses.dataclass
class Costs:
    """Seconds of a processor, AMD EPYC, for sources of 6 megapixels and results of 800 pixels, November 2026: `make bench`."""

    hit: float = 50e-6
    disk_hit: float = 90e-6
    shared_hit: float = 400e-6
    fetch: float = 2e-3
    first: float = 0.045  # decode, resize, and a quick AVIF; WebP takes 0.036, JPEG 0.019
    settled: float = 0.5
    imgproxy: float = 0.1  # the same picture as AVIF at its default speed, 8, estimated by our libaom at that speed


@dataclasses.dataclass
class Prices:
    """Dollars, list prices of November 2026 without free amounts: developers.cloudflare.com/images/pricing, /r2/pricing."""

    transformation: float = 0.50 / 1000  # Cloudflare Images: a unique transformation in a month, all formats of it together
    stored: float = 5.0 / 100_000  # Cloudflare Images: an image that is hosted, for a month
    delivered: float = 1.0 / 100_000  # Cloudflare Images: an image that is hosted, sent once
    bucket_gb: float = 0.015  # R2
    bucket_write: float = 4.50 / 1e6
    bucket_read: float = 0.36 / 1e6


PROFILES = {
    "blog": Profile(
        name="a blog on a Raspberry Pi",
        sources=2_000, sizes=6, requests=300_000, zipf=0.9, changed=0.02, source_bytes=2.5e6, rendition_bytes=45e3,
        processors=1, memory=0.03 * GIB, disk=2 * GIB, machine=3, egress=0,
    ),
    "shop": Profile(
        name="a shop with a million products",
        sources=4_000_000, sizes=8, requests=300_000_000, zipf=0.8, changed=0.05, source_bytes=1.5e6, rendition_bytes=30e3,
        nodes=3, processors=4, memory=2 * GIB, disk=200 * GIB, shared=True, cdn=500 * GIB, machine=60, egress=0.01,
    ),
    "uploads": Profile(
        name="a hundred million uploads",
        sources=100_000_000, sizes=6, requests=3_000_000_000, zipf=0.7, changed=0.04, source_bytes=2.0e6, rendition_bytes=35e3,
        nodes=12, processors=8, memory=8 * GIB, disk=1000 * GIB, shared=True, cdn=5000 * GIB, machine=160, egress=0.005,
    ),
}


class Popularity:
    """Rates of renditions, in requests a second: ranks in bins that grow, so that a thousand millions of them are no more work than a thousand."""

    def __init__(self, profile, requests=None):
        ranks = profile.sources * profile.sizes
        rate = (profile.requests if requests is None else requests) / MONTH
        bins, low = [], 1.0
        while low <= ranks:
            high = min(max(low + 1, low * 1.02), ranks + 1)
            bins.append((high - low, _integral(low, high, profile.zipf)))
            low = high
        total = sum(weight for _, weight in bins)
        # How many renditions, and how often each of them is asked for.
        self.bins = [(count, rate * weight / total / count) for count, weight in bins]
        self.rate = rate

    def scaled(self, factor):
        """The same renditions, asked for less or more often."""
        other = object.__new__(Popularity)
        other.bins = [(count, rate * factor) for count, rate in self.bins]
        other.rate = self.rate * factor
        return other

    def part(self, factor):
        """A part of the renditions, each asked for as often."""
        other = object.__new__(Popularity)
        other.bins = [(count * factor, rate) for count, rate in self.bins]
        other.rate = self.rate * factor
        return other

    def kept(self, seconds):
        """How many renditions were asked for within so many seconds."""
        return sum(count * -math.expm1(-rate * seconds) for count, rate in self.bins)

    def misses(self, seconds):
        """Requests a second for what was not asked for within so many seconds."""
        return sum(count * rate * math.exp(-rate * seconds) for count, rate in self.bins)

    def time(self, entries):
        """How long a cache of so many entries keeps what nobody asks for."""
        if entries <= 0:
            return 0.0
        low, high = 0.0, 1e12
        if self.kept(high) <= entries:
            return high
        for _ in range(80):
            middle = (low + high) / 2
            low, high = (middle, high) if self.kept(middle) < entries else (low, middle)
        return low

    def behind(self, seconds):
        """What a cache that keeps for so many seconds lets through: rarer, and flatter."""
        other = object.__new__(Popularity)
        other.bins = [(count, rate * math.exp(-rate * seconds)) for count, rate in self.bins]
        other.rate = sum(count * rate for count, rate in other.bins)
        return other


def _integral(low, high, exponent):
    """The sum of 1 / r^s from one rank to another, as an area."""
    low, high = low - 0.5, high - 0.5
    if abs(exponent - 1) < 1e-9:
        return math.log(high / low)
    return (high ** (1 - exponent) - low ** (1 - exponent)) / (1 - exponent)


@dataclasses.dataclass
class Result:
    """Requests a month by who answered them, and what follows."""

    cdn: float
    memory: float
    disk: float
    shared: float
    renders: float
    fetches: float
    cpu: float
    used: float  # part of the processors that is busy in the busiest hour
    disk_bytes: float  # of all nodes
    shared_bytes: float
    sent: float  # bytes to clients
    money: dict


def run(profile, costs=Costs(), prices=Prices()):
    """The model, for a month in which caches are warm and `changed` of the pictures are new."""
    asked = Popularity(profile)
    front = asked.time(profile.cdn / profile.rendition_bytes)
    passed = asked.behind(front) if profile.cdn else asked
    cdn = (asked.rate - passed.rate) * MONTH
    # What one node sees.
    seen = passed.part(1 / profile.nodes) if profile.routing == "hash" else passed.scaled(1 / profile.nodes)
    in_memory = seen.time(profile.memory / profile.rendition_bytes)
    on_disk = max(seen.time(profile.disk / profile.rendition_bytes), in_memory)
    memory = (seen.rate - seen.misses(in_memory)) * MONTH * profile.nodes
    disk = (seen.misses(in_memory) - seen.misses(on_disk)) * MONTH * profile.nodes
    missed = seen.misses(on_disk) * MONTH * profile.nodes
    # New pictures are in no cache: each of their renditions that is asked for in the month is made, by one node or by each.
    fresh = passed.part(profile.changed)
    made_of_new = fresh.kept(MONTH) if profile.shared or profile.routing == "hash" else fresh.scaled(1 / profile.nodes).kept(MONTH) * profile.nodes
    if profile.shared:
        # The bucket keeps all that was ever made; in a month it meets what nobody asked for in the year before.
        first_seen = passed.part(1 - profile.changed)
        unseen = first_seen.kept(13 * MONTH) - first_seen.kept(12 * MONTH)
        renders = min(missed + made_of_new, unseen + made_of_new)
    else:
        renders = missed + made_of_new
    shared = max(missed + made_of_new - renders, 0) if profile.shared else 0
    total = passed.rate * MONTH
    memory = max(total - disk - shared - renders, 0)
    fetches = renders / max(min(profile.sizes, renders / max(profile.sources * profile.changed, 1)), 1)
    settled = renders * profile.settled
    cpu = memory * costs.hit + disk * costs.disk_hit + shared * costs.shared_hit + fetches * costs.fetch + renders * costs.first + settled * costs.settled
    # Settled files are made when nobody waits, so the busiest hour has none.
    busy = (cpu - settled * costs.settled) * profile.peak / MONTH / (profile.nodes * profile.processors)
    kept = asked.kept(12 * MONTH)
    sent = profile.requests * profile.rendition_bytes
    distinct = asked.kept(MONTH)
    # Widths that differ, whatever the format: about a third of the renditions are another format of the same.
    unique = distinct / 3
    shared_bytes = kept * profile.rendition_bytes if profile.shared else 0
    money = {
        "safelight": profile.nodes * profile.machine
        + sent / 1e9 * profile.egress
        + (shared_bytes / 1e9 * prices.bucket_gb + (renders + settled) * prices.bucket_write + (shared + renders) * prices.bucket_read if profile.shared else 0),
        # It keeps no results, so what the CDN lets through is made anew.
        "imgproxy behind the same CDN": max(
            profile.nodes * profile.machine, total * costs.imgproxy * profile.peak / MONTH / profile.processors * profile.machine
        )
        + sent / 1e9 * profile.egress,
        "Cloudflare Images, transformed": unique * prices.transformation,
        "Cloudflare Images, hosted": profile.sources * prices.stored + profile.requests * prices.delivered,
    }
    return Result(cdn, memory, disk, shared, renders, fetches, cpu, busy, min(kept / max(profile.nodes, 1) * profile.rendition_bytes, profile.disk) * profile.nodes,
                  shared_bytes, sent, money)


def show(profile):
    result = run(profile)
    million = profile.requests / 1e6
    print(f"\n## {profile.name}\n")
    print(f"{_number(profile.sources)} pictures in {profile.sizes:g} renditions, {_number(profile.requests)} requests a month, Zipf {profile.zipf:g}; "
          f"{profile.nodes} node(s) of {profile.processors:g} processors, {_size(profile.memory)} in memory and {_size(profile.disk)} on disk each, "
          f"{'a bucket in common' if profile.shared else 'no bucket in common'}, "
          f"{'a cache of ' + _size(profile.cdn) + ' in front' if profile.cdn else 'nothing in front'}\n")
    print("| of a million requests | |\n| --- | --- |")
    for what, count in [("answered by the CDN", result.cdn), ("by memory", result.memory), ("by disk", result.disk), ("by the shared bucket", result.shared),
                        ("made", result.renders), ("sources fetched", result.fetches)]:
        print(f"| {what} | {count / million:,.0f} |")
    print(f"| seconds of a processor | {result.cpu / million:,.0f} |")
    print(f"\nIn a month {_size(result.sent)} are sent; the disks hold {_size(result.disk_bytes)}, the bucket {_size(result.shared_bytes)}; in the busiest hour the "
          f"processors are busy for {result.used:.0%} of the time with what clients wait for.\n")
    print("| dollars for a million requests | |\n| --- | --- |")
    for who, dollars in result.money.items():
        print(f"| {who} | {dollars / million:,.2f} |")


def simulate(profile, requests, seed=1):
    """The same caches, request by request: a share of each tier. Caches are warm after the first half, which is not counted."""
    rng = random.Random(seed)
    ranks = int(profile.sources * profile.sizes)
    weights, total = [], 0.0
    for rank in range(1, ranks + 1):
        total += rank ** -profile.zipf
        weights.append(total)
    drawn = rng.choices(range(ranks), cum_weights=weights, k=requests)
    nodes = [(collections.OrderedDict(), collections.OrderedDict()) for _ in range(profile.nodes)]
    room = int(profile.memory / profile.rendition_bytes), int(profile.disk / profile.rendition_bytes)
    bucket, counts = set(), collections.Counter()
    for number, rendition in enumerate(drawn):
        node = nodes[rendition * 2654435761 % 2**32 * profile.nodes >> 32] if profile.routing == "hash" else rng.choice(nodes)
        tier = _ask(node, room, bucket if profile.shared else None, rendition)
        if number >= requests // 2:
            counts[tier] += 1
    counted = requests - requests // 2
    return {tier: counts[tier] / counted for tier in ("memory", "disk", "shared", "made")}


def _ask(node, room, bucket, rendition):
    memory, disk = node
    tier = "memory" if rendition in memory else "disk" if rendition in disk else "shared" if bucket is not None and rendition in bucket else "made"
    for store, most in zip(node, room):
        store[rendition] = True
        store.move_to_end(rendition)
        if len(store) > most:
            store.popitem(last=False)
    if bucket is not None:
        bucket.add(rendition)
    return tier


def check():
    """The model beside the simulation, at a size at which each request can be played."""
    print("| nodes, routing, bucket | tier | simulated | model |\n| --- | --- | --- | --- |")
    worst = 0.0
    for nodes, routing, shared in [(1, "hash", False), (3, "hash", False), (3, "any", False), (3, "any", True)]:
        profile = Profile(
            name="small", sources=20_000, sizes=3, requests=600_000, zipf=0.9, changed=0, source_bytes=1e6, rendition_bytes=1, nodes=nodes,
            memory=600, disk=6_000, routing=routing, shared=shared,
        )
        simulated = simulate(profile, int(profile.requests))
        result = run(profile)
        # The simulation counts the second half of a month, after a first one that began with nothing.
        told = {tier: getattr(result, "renders" if tier == "made" else tier) / profile.requests for tier in simulated}
        if shared:
            popularity = Popularity(profile)
            made = (popularity.kept(MONTH) - popularity.kept(MONTH / 2)) / (profile.requests / 2)
            told["shared"] += told["made"] - made
            told["made"] = made
        for tier, share in simulated.items():
            if share or told[tier]:
                print(f"| {nodes}, {routing}, {'yes' if shared else 'no'} | {tier} | {share:.3f} | {told[tier]:.3f} |")
                worst = max(worst, abs(share - told[tier]))
    print(f"\nThe largest difference is {worst:.3f} of all requests.")
    return worst


def _number(count):
    for unit, name in ((1e9, "thousand million"), (1e6, "million"), (1e3, "thousand")):
        if count >= unit:
            return f"{count / unit:g} {name}"
    return f"{count:g}"


def _size(count):
    for unit, name in ((1e15, "PB"), (1e12, "TB"), (1e9, "GB"), (1e6, "MB")):
        if count >= unit:
            return f"{count / unit:.3g} {name}"
    return f"{count / 1e3:.3g} kB" if count else "nothing"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare the model with a simulation")
    parser.add_argument("--profile", choices=PROFILES, help="one profile alone")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="change a number of the profile")
    arguments = parser.parse_args()
    if arguments.check:
        raise SystemExit(check() > 0.02)
    for key, profile in PROFILES.items():
        if arguments.profile in (None, key):
            show(dataclasses.replace(profile, **dict(_changed(profile, text, parser) for text in arguments.set)))


def _changed(profile, text, parser):
    name, _, value = text.partition("=")
    if name not in {field.name for field in dataclasses.fields(profile)}:
        parser.error(f"--set {text}: there is no {name}; there are {', '.join(field.name for field in dataclasses.fields(profile))}")
    known = type(getattr(profile, name))
    try:
        return name, value == "true" if known is bool else known(value) if known in (int, str) else float(value)
    except ValueError:
        parser.error(f"--set {text}: a number is needed")


if __name__ == "__main__":
    main()

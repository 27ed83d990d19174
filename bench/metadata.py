"""Rows M1, M2, M3 and M5: records of images, against Glance and against a bare falcon."""

import dataclasses
import functools
import itertools
import json
import threading
import time
from collections.abc import Callable, Sequence

import ratio
import running
from client import Client

PATCH_TYPE = "Content-Type: application/openstack-images-v2.1-json-patch\r\n"
JSON_TYPE = "Content-Type: application/json\r\n"
NEW = {"disk_format": "raw", "container_format": "bare"}
Call = Callable[[Client], object]


@dataclasses.dataclass(frozen=True, slots=True)
class Pace:
    """How long to look: pairs of samples, and seconds of each."""

    pairs: int
    seconds: float


@dataclasses.dataclass(frozen=True, slots=True)
class Sample:
    """Calls a second, and CPU milliseconds of the server's processes a call."""

    rate: float
    cpu_ms: float


def sample(party: running.Party, call: Call, clients: int, seconds: float) -> Sample:
    """Let so many clients call one after the other for a while, at least twice each."""
    counts = [0] * clients
    faults: list[Exception] = []

    def work(number: int) -> None:
        try:
            with Client(party) as client:
                while time.perf_counter() < until or counts[number] < 2:
                    call(client)
                    counts[number] += 1
        except Exception as exc:  # told by the thread that waits
            faults.append(exc)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(clients)]
    before, begun = party.cpu_s(), time.perf_counter()
    until = begun + seconds
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took, cpu = time.perf_counter() - begun, party.cpu_s() - before
    if faults:
        raise faults[0]
    return Sample(sum(counts) / took, cpu * 1000 / sum(counts))


def race(
    sides: Sequence[tuple[running.Party, Call]], clients: int, pace: Pace
) -> list[list[Sample]]:
    """Samples of each side, taken by turns; the first of each is a warm-up."""
    found: list[list[Sample]] = [[] for _ in sides]
    for number in range(pace.pairs + 1):
        order = list(range(len(sides)))
        for side in order if number % 2 else reversed(order):
            party, call = sides[side]
            found[side].append(sample(party, call, clients, pace.seconds))
    return [samples[1:] for samples in found]


def told(
    row: str, what: str, ours: list[Sample], peer: list[Sample], goal: ratio.Goal
) -> list[ratio.Outcome]:
    """Two outcomes: calls a second, and the server's CPU time a call."""
    return [
        ratio.report(row, f"{what}: rate", [s.rate for s in ours], [s.rate for s in peer], goal),
        ratio.report(
            row,
            f"{what}: CPU of peer",
            [s.cpu_ms for s in peer],
            [max(s.cpu_ms, 0.01) for s in ours],
            goal,
            "ms a call",
        ),
    ]


def show(
    ours: running.Party, glance: running.Party, hello: running.Party, pace: Pace
) -> list[ratio.Outcome]:
    """M1: GET of an image by four clients."""
    sides = [(ours, _showing(ours)), (glance, _showing(glance)), (hello, _get("/hello"))]
    subject, peer, bound = race(sides, 4, pace)
    return [
        *told("M1", "GET image / Glance", subject, peer, ratio.Goal(3.5, 2.5)),
        *told("M1", "GET image / falcon hello", subject, bound, ratio.Goal(0.35, 0.25)),
    ]


def pages(ours: running.Party, glance: running.Party, pace: Pace) -> list[ratio.Outcome]:
    """M2: a page of the list by one client."""
    found = []
    for limit, goal in (
        (25, ratio.Goal(12, 6)),
        (100, ratio.Goal(10, 6)),
        (1000, ratio.Goal(15, 10)),
    ):
        call = _get(f"/v2/images?limit={limit}")
        subject, peer = race([(ours, call), (glance, call)], 1, pace)
        found += told("M2", f"list {limit} / Glance", subject, peer, goal)
    return found


def changes(ours: running.Party, glance: running.Party, pace: Pace) -> list[ratio.Outcome]:
    """M3: PATCH of a name, and creation, by one client."""
    sides = [(ours, _patching(ours)), (glance, _patching(glance))]
    found = told("M3", "PATCH / Glance", *race(sides, 1, pace), ratio.Goal(4, 2.5))
    body = json.dumps({"name": "raced", **NEW}).encode()

    def create(client: Client) -> None:
        client.request("POST", "/v2/images", body, JSON_TYPE)

    sides = [(ours, create), (glance, create)]
    return found + told("M3", "create / Glance", *race(sides, 1, pace), ratio.Goal(3, 2))


def memory(ours: running.Party, glance: running.Party) -> list[ratio.Outcome]:
    """M5: the largest process after pages of 1000."""
    for party in (ours, glance):
        party.forget_peak()
        sample(party, _get("/v2/images?limit=1000"), 4, 4.0)
    peak, other = [ours.peak_mib()], [glance.peak_mib()]
    what = "peak MiB of Glance's / our largest process"
    return [ratio.report("M5", what, other, peak, ratio.Goal(3, 2))]


def _get(path: str) -> Call:
    return functools.partial(Client.request, method="GET", path=path)


def _showing(party: running.Party) -> Call:
    with Client(party) as client:
        listed = json.loads(client.request("GET", "/v2/images?limit=100"))
    paths = itertools.cycle([f"/v2/images/{image['id']}" for image in listed["images"]])
    return lambda client: client.request("GET", next(paths))


def _patching(party: running.Party) -> Call:
    with Client(party) as client:
        body = json.dumps({"name": "first", **NEW}).encode()
        image = json.loads(client.request("POST", "/v2/images", body, JSON_TYPE))
    numbers = itertools.count()

    def call(client: Client) -> None:
        change = [{"op": "replace", "path": "/name", "value": f"name {next(numbers)}"}]
        path = f"/v2/images/{image['id']}"
        client.request("PATCH", path, json.dumps(change).encode(), PATCH_TYPE)

    return call

"""Rows D1, D2, D3 and E2: bytes down, against nginx and Glance, encrypted ones against plain."""

import dataclasses
import random
import threading
import time
from collections.abc import Callable, Sequence

import ratio
import running
from client import BLOCK, Client

RANGE_BYTES = 64 << 10


@dataclasses.dataclass(frozen=True, slots=True)
class Source:
    """A file that a party serves."""

    party: running.Party
    path: str
    size_bytes: int


@dataclasses.dataclass(frozen=True, slots=True)
class Sample:
    """What came a second (MiB, or requests), and CPU seconds of the server a GiB."""

    rate: float
    cpu_s: float


def read_whole(source: Source, clients: int) -> Sample:
    """So many clients read the file at the same time."""
    faults: list[Exception] = []

    def work() -> None:
        try:
            with Client(source.party) as client:
                got = client.drain(source.path)
            if got != source.size_bytes:
                raise ValueError(f"{got} bytes instead of {source.size_bytes}")
        except Exception as exc:  # told by the thread that waits
            faults.append(exc)

    threads = [threading.Thread(target=work) for _ in range(clients)]
    before, begun = source.party.cpu_s(), time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took, cpu = time.perf_counter() - begun, source.party.cpu_s() - before
    if faults:
        raise faults[0]
    mib = clients * source.size_bytes / BLOCK
    return Sample(mib / took, cpu * 1024 / mib)


def read_ranges(source: Source, count: int) -> Sample:
    """One client reads random pieces of 64 KiB over one connection."""
    chance = random.Random(count)
    before, begun = source.party.cpu_s(), time.perf_counter()
    with Client(source.party) as client:
        for _ in range(count):
            first = chance.randrange(source.size_bytes - RANGE_BYTES)
            got = client.drain(source.path, f"Range: bytes={first}-{first + RANGE_BYTES - 1}\r\n")
            if got != RANGE_BYTES:
                raise ValueError(f"a range of {got} bytes")
    took, cpu = time.perf_counter() - begun, source.party.cpu_s() - before
    return Sample(count / took, cpu / (count * RANGE_BYTES / (1 << 30)))


def one(ours: Source, nginx: Source, pairs: int) -> list[ratio.Outcome]:
    """D1: one client reads the whole file."""
    subject, peer = _turns([ours, nginx], pairs, lambda source: read_whole(source, 1))
    return _rates("D1", "download MiB/s / nginx", subject, peer, ratio.Goal(0.9, 0.6))


def many(ours: Source, nginx: Source, glance: Source, pairs: int) -> list[ratio.Outcome]:
    """D2: 8 and 64 clients read the whole file at a time."""
    found = []
    for clients in (8, 64):
        subject, static, peer = _turns(
            [ours, nginx, glance],
            pairs,
            lambda source, clients=clients: read_whole(source, clients),
        )
        name = f"{clients} clients"
        found += _rates("D2", f"{name} MiB/s / nginx", subject, static, ratio.Goal(0.9, 0.8))
        found += _rates("D2", f"{name} MiB/s / Glance", subject, peer, ratio.Goal(1.8, 1.4))
        found.append(
            ratio.report(
                "D2",
                f"{name}: CPU of Glance",
                [s.cpu_s for s in peer],
                [max(s.cpu_s, 0.001) for s in subject],
                ratio.Goal(3, 2.5),
                "s per GiB",
            )
        )
    return found


def from_store(ours: Source, glance: Source, pairs: int) -> list[ratio.Outcome]:
    """S2: 8 clients read the whole file, which lies in S3."""
    subject, peer = _turns([ours, glance], pairs, lambda source: read_whole(source, 8))
    goal = ratio.Goal(1.8, 1.4)
    return _rates("S2", "8 clients MiB/s / Glance, from S3", subject, peer, goal)


def sealed(encrypted: Source, plain: Source, pairs: int) -> list[ratio.Outcome]:
    """E2: one client reads the whole file."""
    subject, peer = _turns([encrypted, plain], pairs, lambda source: read_whole(source, 1))
    goal = ratio.Goal(0.5, 0.5)
    return _rates("E2", "encrypted download MiB/s / plain", subject, peer, goal)


def ranges(ours: Source, nginx: Source, pairs: int, count: int) -> list[ratio.Outcome]:
    """D3: random pieces over one connection that is kept."""
    subject, peer = _turns([ours, nginx], pairs, lambda source: read_ranges(source, count))
    return _rates("D3", "ranges of 64 KiB a second / nginx", subject, peer, ratio.Goal(0.3, 0.2))


def _turns(
    sources: Sequence[Source], pairs: int, read: Callable[[Source], Sample]
) -> list[list[Sample]]:
    found: list[list[Sample]] = [[] for _ in sources]
    for number in range(pairs + 1):
        order = list(range(len(sources)))
        for at in order if number % 2 else reversed(order):
            found[at].append(read(sources[at]))
    return [samples[1:] for samples in found]  # the first is a warm-up


def _rates(
    row: str, what: str, ours: list[Sample], peer: list[Sample], goal: ratio.Goal
) -> list[ratio.Outcome]:
    cpu = [sum(s.cpu_s for s in side) / len(side) for side in (ours, peer)]
    note = f"CPU {cpu[0]:.3f} and {cpu[1]:.3f} s per GiB"
    return [ratio.report(row, what, [s.rate for s in ours], [s.rate for s in peer], goal, note)]

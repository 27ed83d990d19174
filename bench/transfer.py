"""Rows U1, U2, U3 and U5: bytes up, against Glance and hashlib in the same run."""

import hashlib
import json
import os
import time
from pathlib import Path

import ratio
import running
from client import BLOCK, Client


def make_file(folder: Path, mib: int, zero_share: float = 0.0) -> Path:
    """A file of random MiB, the given share of them zeros, spread evenly."""
    path = folder / f"bench-{mib}-{zero_share}.raw"
    with path.open("wb") as file:
        for number in range(mib):
            zero = int((number + 1) * zero_share) > int(number * zero_share)
            file.write(bytes(BLOCK) if zero else os.urandom(BLOCK))
    return path


def create(service: running.Party, **values: str) -> str:
    """An empty raw image; its path."""
    body = {"name": "bench", "disk_format": "raw", "container_format": "bare", **values}
    _, _, answer = service.call("POST", "/v2/images", body)
    return f"/v2/images/{json.loads(answer)['id']}"


def upload(service: running.Party, path: Path, **values: str) -> str:
    """An image of a file; its path."""
    image = create(service, **values)
    with Client(service) as client:
        client.upload(f"{image}/file", path)
    return image


def timed_upload(service: running.Party, path: Path, **values: str) -> tuple[float, float]:
    """Seconds until the answer, and CPU seconds of the server; the image is removed again."""
    image = create(service, **values)
    with Client(service) as client:
        before, begun = service.cpu_s(), time.perf_counter()
        client.upload(f"{image}/file", path)
        took, cpu = time.perf_counter() - begun, service.cpu_s() - before
    service.call("DELETE", image)
    return took, cpu


def hash_serially(path: Path) -> float:
    """Seconds that MD5 and SHA-512 of a file take, one block after the other."""
    begun = time.perf_counter()
    md5, sha512 = hashlib.md5(usedforsecurity=False), hashlib.sha512()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            md5.update(block)
            sha512.update(block)
    return time.perf_counter() - begun


def against_glance(
    row: str,
    ours: running.Party,
    glance: running.Party,
    path: Path,
    pairs: int,
    *,
    cpu_goal: ratio.Goal,
    wall_goal: ratio.Goal | None = None,
) -> list[ratio.Outcome]:
    """U1, U3 and S1: an upload to each, by turns."""
    subject, peer = [], []
    for number in range(pairs + 1):
        for party in (ours, glance) if number % 2 else (glance, ours):
            (subject if party is ours else peer).append(timed_upload(party, path))
    subject, peer = subject[1:], peer[1:]  # the first is a warm-up
    gib = path.stat().st_size / (1 << 30)
    name = {"U3": "upload sha256", "S1": "upload into S3"}.get(row, "upload")
    return [
        ratio.report(
            row,
            f"{name}: CPU of Glance",
            [cpu / gib for _, cpu in peer],
            [cpu / gib for _, cpu in subject],
            cpu_goal,
            "s per GiB",
        ),
        ratio.report(
            row,
            f"{name}: wall s of Glance",
            [s for s, _ in peer],
            [s for s, _ in subject],
            wall_goal,
        ),
    ]


def against_hashlib(service: running.Party, path: Path, pairs: int) -> list[ratio.Outcome]:
    """U2: an upload against serial hashing of the same file."""
    samples = []
    for number in range(pairs + 1):
        if number % 2:
            took, plain = timed_upload(service, path), hash_serially(path)
        else:
            plain, took = hash_serially(path), timed_upload(service, path)
        samples.append((*took, plain))
    samples = samples[1:]
    gib = path.stat().st_size / (1 << 30)
    note = f"server CPU {sum(s[1] for s in samples) / len(samples) / gib:.2f} s per GiB"
    goal = ratio.Goal(0.85, 1.2, less=True)
    tops, bottoms = [s[0] for s in samples], [s[2] for s in samples]
    return [ratio.report("U2", "upload wall s / hashlib serial", tops, bottoms, goal, note)]


def zeros(service: running.Party, folder: Path, mib: int) -> list[ratio.Outcome]:
    """U5: blocks on disk of an image that is 70 % zeros."""
    path = make_file(folder, mib, 0.7)
    before = _blocks(service)
    image = upload(service, path)
    grown, size = _blocks(service) - before, path.stat().st_size
    service.call("DELETE", image)
    goal = ratio.Goal(0.31, 0.35, less=True)
    return [ratio.report("U5", "disk / uploaded bytes, 70 % zeros", [grown], [size], goal)]


def _blocks(service: running.Party) -> int:
    files = (service.folder / "store").rglob("*")
    return sum(file.stat().st_blocks * 512 for file in files if file.is_file())

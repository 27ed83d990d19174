"""Rows C1, C2 and C3: the work of jobs, against the tools that a script would call."""

import datetime
import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import peer_nginx
import ratio
import running
import transfer

POLL_S = 0.05


def make_qcow2(folder: Path, mib: int) -> Path:
    """A qcow2 disk of the given size, uncompressed, half of it random bytes."""
    raw = transfer.make_file(folder, mib, 0.5)
    path = folder / f"bench-{mib}.qcow2"
    subprocess.run(_convert("raw", raw, "qcow2", path), check=True)
    return path


def conversion(
    ours: running.Party, nginx: running.Party, path: Path, pairs: int
) -> list[ratio.Outcome]:
    """C1: the step that writes a raw disk of a qcow2, hashed and judged, against `qemu-img`."""
    wanted = {"disk_format": "qcow2", "format_wanted": "raw"}
    subject, peer = [], []
    for turn in turns(pairs):
        if turn == "subject":
            steps = _import(ours, nginx, path, wanted)
            subject.append(steps["convert"])
        else:
            peer.append(_plain_conversion(path))
    goal = ratio.Goal(1.1, 1.3, less=True)
    return [ratio.report("C1", "qcow2 to raw / qemu-img", subject[1:], peer[1:], goal)]


def fetching(
    ours: running.Party, nginx: running.Party, path: Path, pairs: int
) -> list[ratio.Outcome]:
    """C2: a raw image from a URL, from the first step to the last, against curl and hashes."""
    subject, peer = [], []
    for turn in turns(pairs):
        if turn == "subject":
            subject.append(sum(_import(ours, nginx, path, {"disk_format": "raw"}).values()))
        else:
            peer.append(_plain_fetch(nginx, path))
    goal = ratio.Goal(1.0, 1.2, less=True)
    what = "import / curl and hashlib serial"
    return [ratio.report("C2", what, subject[1:], peer[1:], goal)]


def copying(ours: running.Party, path: Path, pairs: int) -> list[ratio.Outcome]:
    """C3: an image of another one in the same store, proven, against `cp` of its file.

    The second row has the digests in the peer's time, which a script needs to know as much.
    """
    image = transfer.upload(ours, path)
    subject, peer, proven = [], [], []
    for turn in turns(pairs):
        if turn == "subject":
            copy = f"/imagesvc/v1/images/{image.rpartition('/')[2]}/copy"
            subject.append(sum(_job(ours, copy, {"name": "bench"}).values()))
        else:
            plain, hashed = _plain_copy(path)
            peer.append(plain)
            proven.append(plain + hashed)
    ours.call("DELETE", image)
    goal = ratio.Goal(1.0, 1.2, less=True)
    what = "copy / cp and hashlib serial"
    return [
        ratio.report("C3", "copy / cp", subject[1:], peer[1:]),
        ratio.report("C3", what, subject[1:], proven[1:], goal),
    ]


def turns(pairs: int) -> Iterator[str]:
    """Who is next; the first pair is a warm-up."""
    for number in range(pairs + 1):
        yield from ("subject", "peer") if number % 2 else ("peer", "subject")


def _import(
    ours: running.Party, nginx: running.Party, path: Path, wanted: dict[str, str]
) -> dict[str, float]:
    """Seconds of each step of an import, whose image is removed again."""
    url = f"http://127.0.0.1:{nginx.port}{peer_nginx.put(nginx, path)}"
    body = {"name": "bench", "source": {"type": "url", "url": url}, **wanted}
    return _job(ours, "/imagesvc/v1/imports", body)


def _job(ours: running.Party, path: str, body: dict[str, object]) -> dict[str, float]:
    """Seconds of each step of a job, whose image is removed again."""
    job = ended(ours, path, body)
    ours.call("DELETE", f"/v2/images/{job['image_id']}")
    return _steps(job)


def finished(ours: running.Party, path: str, body: dict[str, object]) -> dict[str, float]:
    """Seconds of each step of a job that has no image."""
    return _steps(ended(ours, path, body))


def ended(ours: running.Party, path: str, body: dict[str, object]) -> dict[str, Any]:
    """The job that a request began, when it is done."""
    _, _, answer = ours.call("POST", path, body)
    job = json.loads(answer)["job"]
    while not job["finished_at"]:
        time.sleep(POLL_S)
        _, _, answer = ours.call("GET", f"/imagesvc/v1/jobs/{job['id']}")
        job = json.loads(answer)["job"]
    if job["state"] != "done":
        raise RuntimeError(f"the job ended {job['state']}: {job.get('cause')}")
    return dict(job)


def _steps(job: dict[str, Any]) -> dict[str, float]:
    return {step["name"]: _seconds(step) for step in job["steps"]}


def _seconds(step: dict[str, str]) -> float:
    begun, ended = (
        datetime.datetime.fromisoformat(step[name]) for name in ("started_at", "finished_at")
    )
    return (ended - begun).total_seconds()


def _convert(source_format: str, source: Path, target_format: str, target: Path) -> list[str]:
    return ["qemu-img", "convert", "-f", source_format, "-O", target_format, source, target]


def _plain_conversion(path: Path) -> float:
    target = path.with_suffix(".plain")
    begun = time.perf_counter()
    subprocess.run(_convert("qcow2", path, "raw", target), check=True)
    _flush(target)
    took = time.perf_counter() - begun
    target.unlink()
    return took


def _plain_fetch(nginx: running.Party, path: Path) -> float:
    target = path.with_suffix(".plain")
    url = f"http://127.0.0.1:{nginx.port}{peer_nginx.put(nginx, path)}"
    begun = time.perf_counter()
    subprocess.run(["curl", "--silent", "--fail", "--output", target, url], check=True)
    _flush(target)
    transfer.hash_serially(target)
    took = time.perf_counter() - begun
    target.unlink()
    return took


def _plain_copy(path: Path) -> tuple[float, float]:
    """Seconds of the copy, flushed, and of its digests."""
    target = path.with_suffix(".plain")
    begun = time.perf_counter()
    subprocess.run(["cp", path, target], check=True)
    _flush(target)
    took = time.perf_counter() - begun
    hashed = transfer.hash_serially(target)
    target.unlink()
    return took, hashed


def _flush(path: Path) -> None:
    """What a job promises, a script that keeps an image has to do as well."""
    with path.open("rb") as file:
        os.fsync(file.fileno())

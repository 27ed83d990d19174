"""Row R1: a copy of an image into another region, against curl that puts the same file there."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import job
import ratio
import running
import transfer

USER, PASSWORD = "east", "east-password"


@contextlib.contextmanager
def pair(urls: tuple[str, str]) -> Iterator[tuple[running.Party, running.Party]]:
    """East and West, each with a worker, on empty databases; the East may put images there."""
    with running.service(urls[1], "region = West", fetch_port=80) as west:
        _admit(west)
        settings = (
            "region = East\nregions = west\n[region_west]\nname = West\n"
            f"endpoint = http://127.0.0.1:{west.port}\nusername = {USER}\npassword = {PASSWORD}\n"
        )
        with running.service(urls[0], settings, fetch_port=80) as east:
            agency = {"name": USER, "source_region": "East", "source_project_id": east.project_id}
            west.call("POST", "/imagesvc/v1/agencies", agency)
            yield east, west


def copies(east: running.Party, west: running.Party, path: Path, pairs: int) -> list[ratio.Outcome]:
    """R1: from the request until the image is active there, and what the processes held."""
    image = transfer.upload(east, path)
    wanted = {"region": "West", "project": west.project_id, "name": "bench"}
    subject, peer = [], []
    for party in (east, west):
        party.forget_peak()
    for turn in job.turns(pairs):
        if turn == "subject":
            begun = time.perf_counter()
            ask = f"/imagesvc/v1/images/{image.rpartition('/')[2]}/region-copy"
            made = job.ended(east, ask, wanted)
            subject.append(time.perf_counter() - begun)
            west.call("DELETE", f"/v2/images/{made['result']['image_id']}")
        else:
            peer.append(_plain_upload(west, path))
    most = max(party.peak_mib() for party in (east, west))
    east.call("DELETE", image)
    goal = ratio.Goal(0.8, 0.8)
    note = f"at most {most:.0f} MiB in a process of either API"
    what = "copy to a region: curl upload / copy"
    return [ratio.report("R1", what, peer[1:], subject[1:], goal, note)]


def _admit(west: running.Party) -> None:
    """The user that the East signs in as."""
    words = ("identity", "grant", "--create", USER, "service", "service")
    subprocess.run(
        [Path(sys.executable).parent / "imagesvc-manage", *words],
        env={**os.environ, "IMAGESVC_CONF": f"{west.folder}/imagesvc.conf"},
        input=PASSWORD.encode(),
        check=True,
        stdout=subprocess.DEVNULL,
    )


def _plain_upload(west: running.Party, path: Path) -> float:
    image = transfer.create(west)
    url = f"http://127.0.0.1:{west.port}{image}/file"
    headers = {**west.headers, "Content-Type": "application/octet-stream", "Expect": ""}
    words = [word for name, value in headers.items() for word in ("-H", f"{name}: {value}")]
    begun = time.perf_counter()
    subprocess.run(["curl", "--silent", "--fail", "-T", path, *words, url], check=True)
    took = time.perf_counter() - begun
    west.call("DELETE", image)
    return took

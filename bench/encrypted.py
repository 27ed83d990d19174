"""Rows E1, E2, E3 and E4: encrypted images against plain ones of the same service."""

import datetime
import json
import random
import statistics
import uuid
from pathlib import Path

import download
import job
import ratio
import running
import sqlalchemy as sa
import transfer
from client import Client

from imagesvc import opts
from imagesvc import service as services
from imagesvc.db import image_key, image_table
from imagesvc.domain.encryption_key import ImageKey
from imagesvc.stream.envelope import LAYOUT

OBJECTS = 3  # that lie in the store beside the rows of E4


def key_of(ours: running.Party) -> str:
    """A new key of the project; its id."""
    _, _, answer = ours.call("POST", "/imagesvc/v1/key", {"name": uuid.uuid4().hex})
    return str(json.loads(answer)["key"]["id"])


def uploads(ours: running.Party, path: Path, pairs: int) -> list[ratio.Outcome]:
    """E1: CPU of an encrypted upload against that of a plain one."""
    key_id = key_of(ours)
    subject, peer = [], []
    for turn in job.turns(pairs):
        if turn == "subject":
            subject.append(transfer.timed_upload(ours, path, imagesvc_key_id=key_id))
        else:
            peer.append(transfer.timed_upload(ours, path))
    gib = path.stat().st_size / (1 << 30)
    cpu = [[cpu / gib for _, cpu in side[1:]] for side in (subject, peer)]
    wall = [[took for took, _ in side[1:]] for side in (subject, peer)]
    goal = ratio.Goal(1.25, 1.25, less=True)
    return [
        ratio.report("E1", "encrypted upload: CPU / plain", *cpu, goal, "s per GiB"),
        ratio.report("E1", "encrypted upload: wall s / plain", *wall),
    ]


def downloads(ours: running.Party, path: Path, pairs: int) -> list[ratio.Outcome]:
    """E2: one client reads all of an encrypted image, and of a plain one."""
    sources = [
        download.Source(ours, f"{transfer.upload(ours, path, **values)}/file", path.stat().st_size)
        for values in ({"imagesvc_key_id": key_of(ours)}, {})
    ]
    return download.sealed(*sources, pairs)


def ranges(ours: running.Party, path: Path, count: int) -> list[ratio.Outcome]:
    """E3: what the service reads from its files for 64 KiB, in segments of 1 MiB: the most.

    Half of the ranges lie across the border of two segments.
    """
    image = f"{transfer.upload(ours, path, imagesvc_key_id=key_of(ours))}/file"
    chance, most, size = random.Random(count), 0, path.stat().st_size
    last = LAYOUT.segment_of(size - 1)
    with Client(ours) as client:
        for number in range(count + 1):
            first = chance.randrange(size - download.RANGE_BYTES)
            if number % 2:
                border = LAYOUT.plain_start(chance.randrange(1, last))
                first = border - chance.randrange(1, download.RANGE_BYTES)
            before = ours.bytes_read()
            end = first + download.RANGE_BYTES - 1
            client.drain(image, f"Range: bytes={first}-{end}\r\n")
            if number:  # the first opens what stays open
                most = max(most, ours.bytes_read() - before)
    goal = ratio.Goal(2.05, 2.2, less=True)
    what = "segments read for 64 KiB, the most"
    return [ratio.report("E3", what, [most], [LAYOUT.segment_bytes], goal)]


def rewrap(ours: running.Party, path: Path, count: int) -> list[ratio.Outcome]:
    """E4: all data keys under a new version of a key: how many objects change, and how fast."""
    key_id = key_of(ours)
    for _ in range(OBJECTS):
        transfer.upload(ours, path, imagesvc_key_id=key_id)
    _fill(ours, key_id, count - OBJECTS)
    before = _objects(ours)
    found = job.finished(ours, f"/imagesvc/v1/key/{key_id}/rotate", {})
    changed = len(before.items() ^ _objects(ours).items())
    versions = _versions(ours, key_id)
    if versions != [2] * count:
        raise RuntimeError(f"{versions.count(2)} of {count} keys were wrapped anew")
    rate = count / statistics.fsum(found.values())
    goal = ratio.Goal(0, 0, less=True)
    what = f"objects changed by a re-wrap of {count} keys"
    return [ratio.report("E4", what, [changed], [len(before)], goal, f"{rate:.0f} keys a second")]


def _objects(ours: running.Party) -> dict[str, tuple[int, int, int]]:
    """The files of the store: which they are, of what time and size."""
    files = [one for one in (ours.folder / "store").rglob("*") if one.is_file()]
    told = [(one, one.stat()) for one in files]
    return {str(one): (stat.st_ino, stat.st_mtime_ns, stat.st_size) for one, stat in told}


def _fill(ours: running.Party, key_id: str, count: int) -> None:
    """Rows of so many encrypted images, whose bytes nobody asks for."""
    service = services.build(opts.load(ours.folder / "imagesvc.conf"), monitor=False)
    try:
        driver, now = service.backends.encryption("local"), datetime.datetime.now(datetime.UTC)
        images, keys = [], []
        for _ in range(count):
            place = ImageKey(str(uuid.uuid4()), ours.project_id, "local", key_id, 1, b"")
            with driver.generate_data_key(key_id, context=place.context) as made:
                keys.append({**_fields(place), "version": made.version, "wrapped": made.wrapped})
            images.append({"id": place.image_id, "created_at": now, "updated_at": now})
        shared = {
            "owner": ours.project_id, "status": "queued", "visibility": "private",
            "protected": False, "hidden": False, "min_disk_gib": 0, "min_ram_mib": 0,
            "kind": "system-disk", "revision": 0, "key_id": key_id,
        }  # fmt: skip
        with service.database.write() as conn:
            conn.execute(sa.insert(image_table.TABLE), [shared | one for one in images])
            conn.execute(sa.insert(image_key.TABLE), keys)
    finally:
        service.close()


def _fields(key: ImageKey) -> dict[str, object]:
    return {name: getattr(key, name) for name in ImageKey.__slots__}


def _versions(ours: running.Party, key_id: str) -> list[int]:
    service = services.build(opts.load(ours.folder / "imagesvc.conf"), monitor=False)
    try:
        with service.database.read() as conn:
            rows = image_key.page(conn, "local", key_id, ("", ""), 1_000_000)
        return [row.version for row in rows]
    finally:
        service.close()

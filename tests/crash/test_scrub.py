"""A repair killed anywhere: the image names whole bytes, and nothing else is left in the stores."""

import io
import os
import random
import subprocess

import pytest

from imagesvc.db import doomed, image_disk, location, metadata, pending
from imagesvc.domain.image import NewImage
from imagesvc.manager import store_verify
from imagesvc.worker import reaper
from tests.crash.points import thinned
from tests.crash.station import BIN, Station, until

COPY_POINTS = ("copy.announced", "copy.written", "copy.committed")
AFTER_SWAP = "operation.committed"
DATA = random.Random(9).randbytes(3_000_000)


@pytest.fixture
def station(tmp_path, url, monkeypatch):
    """An installation with two stores."""
    monkeypatch.setenv("OS_STORAGE__ENABLED_BACKENDS", "local:file,far:file")
    monkeypatch.setenv("OS_STORAGE__DEFAULT_BACKEND", "local")
    monkeypatch.setenv("OS_STORAGE_FAR__DIRECTORY", str(tmp_path / "far"))
    made = Station(tmp_path, url)
    yield made
    made.stop()


def bad_in_far(station):
    """An image in both stores, with one bit flipped in the second; its id."""
    service = station.service
    wanted = NewImage(name="x", disk_format="raw", container_format="bare")
    image = service.images.create(station.caller, wanted)
    service.image_files.upload(station.caller, image.id, io.BytesIO(DATA), len(DATA))
    key = f"{image.id}/far"
    with service.backends.storage("far").open_write(key) as writer:
        writer.write(DATA[:-1] + bytes([DATA[-1] ^ 1]))
        writer.commit()
    with service.database.write() as conn:
        location.add(conn, image.id, 0, "far", key)
    return image.id


def scrub(station, point=""):
    """Run the command with repair, to die at a point; its exit code."""
    environment = {**os.environ, "IMAGESVC_CONF": str(station.path), "IMAGESVC_CRASHPOINT": point}
    command = [BIN / "imagesvc-manage", "image", "scrub", "--repair"]
    return subprocess.run(command, env=environment, cwd=station.folder, timeout=60).returncode


def places(station, image_id):
    """Store -> key."""
    with station.service.database.read() as conn:
        return dict(image_disk.list_for(conn, image_id)[0].locations)


def clean(station, image_id):
    """Whether the stores hold what the image names and nothing else waits."""
    service = station.service
    reaper.run(service)
    with service.database.read() as conn:
        waiting = doomed.list(conn, 10) or pending.stale(conn, metadata.now())
    held = {
        (store, one.key)
        for store in ("local", "far")
        for one in service.backends.storage(store).list()
    }
    found = store_verify.verify(service.database, service.backends, older_than_s=0)
    return not waiting and held == set(places(station, image_id).items()) and not found.findings


@pytest.mark.parametrize(
    "point", thinned((*COPY_POINTS, AFTER_SWAP), "copy.written", AFTER_SWAP, rest=pytest.mark.soak)
)
def test_a_killed_repair_is_done_or_not_begun_and_leaves_nothing(station, point):
    image_id = bad_in_far(station)
    before = places(station, image_id)
    assert scrub(station, point) == -9
    assert (places(station, image_id) == before) == (point != AFTER_SWAP)
    until(lambda: clean(station, image_id))
    assert scrub(station) == 0
    until(lambda: clean(station, image_id))
    files = station.service.image_files
    with files.download(station.caller, image_id, preferred=("far",)).open() as stream:
        assert stream.read() == DATA
    events = station.service.audits.query(station.caller, action="location:repair")
    assert [(event.outcome, event.target_id) for event in events] == [("success", image_id)]

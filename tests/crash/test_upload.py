"""An API process killed anywhere in an upload: all of the image or nothing of it."""

import http.client
import json
import os

import pytest

from imagesvc.db import image_disk, metadata, pending
from imagesvc.manager import store_verify
from tests.crash.points import thinned
from tests.crash.station import Station, until
from tests.driver.test_file_mirror import TestMirroredFileStorage as Mirrored

BEFORE = (
    "upload.begun",
    "upload.received",
    "storage.file.synced",
    "storage.file.published",
    "upload.stored",
)
DATA = os.urandom(3_000_000)


def send(station, point):
    """Upload through an API that dies at `point`; the image's id."""
    station.start("api", point)
    until(station.ready)
    token = station.token()
    headers = {"X-Auth-Token": token, "Content-Type": "application/json"}
    body = json.dumps({"name": "x", "disk_format": "raw", "container_format": "bare"})
    image_id = json.loads(station.call("POST", "/v2/images", body, headers)[2])["id"]
    headers["Content-Type"] = "application/octet-stream"
    with pytest.raises((OSError, http.client.HTTPException)):
        station.call("PUT", f"/v2/images/{image_id}/file", DATA, headers)
    until(lambda: station.died)
    return image_id, headers


@pytest.mark.parametrize("point", BEFORE)
def test_a_killed_upload_leaves_the_image_queued_and_can_be_sent_again(station, point):
    image_id, headers = send(station, point)
    station.start("worker")
    until(lambda: station.service.images.get(station.caller, image_id).status == "queued")
    until(lambda: not station.objects())
    until(lambda: station.quota() == [(1, 0), (0, 0), (0, 0)])
    until(station.ready)
    path = f"/v2/images/{image_id}/file"
    assert station.call("PUT", path, DATA, headers)[0] == 204
    assert station.call("GET", path, headers=headers)[2] == DATA
    assert len(station.objects()) == 1
    assert station.quota() == [(1, 0), (len(DATA), 0), (0, 0)]
    assert station.quota_is_true()
    until(lambda: compared(station) == [])


@pytest.mark.parametrize(
    "point", thinned(Mirrored.crashpoints, Mirrored.crashpoints[-1], rest=pytest.mark.soak)
)
def test_a_killed_upload_to_a_mirror_leaves_nothing_in_either_directory(tmp_path, point):
    mirror = tmp_path / "mirror"
    station = Station(tmp_path, more=f"[storage_local]\nmirror_directory = {mirror}\n")

    def files():
        return [
            sorted(path.name for path in folder.rglob("*") if path.is_file())
            for folder in (tmp_path / "store", mirror)
        ]

    try:
        image_id, headers = send(station, point)
        station.start("worker")
        until(lambda: station.service.images.get(station.caller, image_id).status == "queued")
        until(lambda: files() == [[], []])
        until(station.ready)
        path = f"/v2/images/{image_id}/file"
        assert station.call("PUT", path, DATA, headers)[0] == 204
        assert station.call("GET", path, headers=headers)[2] == DATA
        first, second = files()
        assert first == second
        assert len(first) == 1
        until(lambda: compared(station) == [])
    finally:
        station.stop()


def test_an_image_deleted_under_a_killed_upload_leaves_no_use(station):
    image_id, _headers = send(station, "upload.received")
    station.service.deletions.delete(station.caller, image_id)
    assert station.quota() == [(0, 0), (0, len(DATA)), (0, 1)]
    station.start("worker")
    until(lambda: station.quota() == [(0, 0), (0, 0), (0, 0)])
    until(lambda: not station.objects())
    assert station.quota_is_true()


def test_an_upload_killed_after_its_commit_is_active(station):
    image_id, _headers = send(station, "upload.activated")
    image = station.service.images.get(station.caller, image_id)
    assert (image.status, image.size_bytes) == ("active", len(DATA))
    assert station.quota() == [(1, 0), (len(DATA), 0), (0, 0)]
    with station.service.database.read() as conn:
        disks = image_disk.list_for(conn, image_id)
        assert not pending.stale(conn, metadata.now())
    assert [key for _, key in disks[0].locations] == station.objects()
    assert compared(station) == []


def compared(station):
    """Where rows and bytes differ."""
    service = station.service
    return store_verify.verify(service.database, service.backends, older_than_s=0).findings

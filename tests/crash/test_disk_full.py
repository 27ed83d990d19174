"""A store without room: a clear answer, nothing left behind, and the service goes on."""

import json
import os

import pytest

from tests import small_disk
from tests.crash.station import until
from tests.crash.test_capture import create, run_here, upload
from tests.crash.test_upload import compared

# The last block of what is too much is read before it fails: no client is cut off in mid-body.
FITS, TOO_MUCH = 1_000_000, 8 << 20


@pytest.fixture
def full(station):
    """The installation with a store of 8 MiB."""
    store = station.folder / "store"
    with small_disk.mounted(store, 8):
        station.service.backends.storage().open()  # its folders, in the new place
        yield station
        station.end_processes()


@pytest.fixture
def headers(full):
    """Of the caller, once the API answers."""
    full.start("api")
    until(full.ready)
    return {"X-Auth-Token": full.token(), "Content-Type": "application/json"}


def make(station, headers):
    """A queued image."""
    body = json.dumps({"name": "x", "disk_format": "raw", "container_format": "bare"})
    return json.loads(station.call("POST", "/v2/images", body, headers)[2])["id"]


def send(station, headers, path, size):
    """Send so many bytes; status and body."""
    head = headers | {"Content-Type": "application/octet-stream"}
    answer = station.call("PUT", path, os.urandom(size), head)
    return answer[0], answer[2]


def left(station):
    """What lies in the store, named or not."""
    return sorted(path.name for path in (station.folder / "store").rglob("*") if path.is_file())


def test_an_upload_that_does_not_fit_is_refused_and_undone(full, headers):
    path = "/v2/images/{}/file"
    kept = make(full, headers)
    assert send(full, headers, path.format(kept), FITS)[0] == 204
    before = left(full)
    image_id = make(full, headers)
    found, text = send(full, headers, path.format(image_id), TOO_MUCH)
    assert found == 413
    assert b"full" in text
    image = full.service.images.get(full.caller, image_id)
    assert (image.status, image.size_bytes) == ("queued", None)
    assert left(full) == before
    assert compared(full) == []
    # Reads and smaller writes go on, the same image included.
    assert len(full.call("GET", path.format(kept), headers=headers)[2]) == FITS
    # Whoever was refused may hold its thread for a moment: until then it is 503.
    until(lambda: send(full, headers, path.format(image_id), FITS)[0] == 204)
    assert full.service.images.get(full.caller, image_id).status == "active"
    assert len(left(full)) == len(before) + 1
    assert compared(full) == []


def test_a_capture_that_does_not_fit_fails_with_a_cause_and_can_be_retried(full, guest):
    made = run_here(full, create(full, upload(full, guest)))
    server_id = made.result["servers"][0]["server_id"]
    ballast = full.folder / "store" / "ballast"
    with ballast.open("wb") as file:
        try:
            file.write(bytes(16 << 20))
            file.flush()
        except OSError:
            full.ballast = True
    assert full.ballast
    image, job = full.service.captures.start(full.caller, server_id=server_id, name="captured")
    failed = run_here(full, job)
    assert (failed.state, failed.error_text) == ("failed", "The storage backend is full.")
    assert full.service.images.get(full.caller, image.id).status == "killed"
    ballast.unlink()
    assert compared(full) == []
    full.service.jobs.retry(full.caller, job.id)
    assert run_here(full, job).state == "done"
    assert full.service.images.get(full.caller, image.id).status == "active"
    assert compared(full) == []

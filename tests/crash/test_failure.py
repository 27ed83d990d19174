"""Killed while something is being taken back: it is taken back all the same, once."""

import http.client
import json

import pytest

from tests.crash.station import until
from tests.crash.test_capture import clean, create, kill_and_recover, run_here, upload
from tests.crash.test_upload import send

UNWIND_POINTS = ("job.unwinding", "job.ended")
REAPER_POINTS = ("reaper.upload_ended", "reaper.orphan_doomed", "reaper.bytes_deleted")
GIVE_UP_POINTS = ("upload.given_up",)


@pytest.mark.parametrize("point", UNWIND_POINTS)
def test_a_failed_capture_ends_once_whatever_line_its_worker_dies_at(station, guest, point):
    made = run_here(station, create(station, upload(station, guest)))
    server_id = made.result["servers"][0]["server_id"]
    image, job = station.service.captures.start(station.caller, server_id=server_id, name="lost")
    station.service.servers.delete(station.caller, server_id)
    ended = kill_and_recover(station, job, point)
    dead = station.service.images.get(station.caller, image.id)
    assert (ended.state, dead.status, dead.cause) == ("failed", "killed", ended.error_text)
    until(lambda: clean(station, {made.image_id}))
    events = station.service.audits.query(station.caller, action="job:end", target_id=job.id)
    assert [event.outcome for event in events] == ["failure"]


@pytest.mark.parametrize("point", REAPER_POINTS)
def test_a_reaper_killed_anywhere_is_followed_by_one_that_ends_the_work(station, point):
    image_id, _headers = send(station, "storage.file.published")
    (station.folder / "died").unlink()
    assert station.start("worker", point).wait(60) == -9
    station.start("worker")
    until(lambda: station.service.images.get(station.caller, image_id).status == "queued")
    until(lambda: clean(station, set()))


@pytest.mark.parametrize("point", GIVE_UP_POINTS)
def test_an_api_killed_while_it_takes_a_refused_upload_back_leaves_nothing(station, point):
    station.start("api", point)
    until(station.ready)
    headers = {"X-Auth-Token": station.token(), "Content-Type": "application/json"}
    body = json.dumps({"name": "x", "disk_format": "qcow2", "container_format": "bare"})
    image_id = json.loads(station.call("POST", "/v2/images", body, headers)[2])["id"]
    headers["Content-Type"] = "application/octet-stream"
    with pytest.raises((OSError, http.client.HTTPException)):
        station.call("PUT", f"/v2/images/{image_id}/file", bytes(100_000), headers)
    until(lambda: station.died)
    assert station.service.images.get(station.caller, image_id).status == "queued"
    station.start("worker")
    until(lambda: clean(station, set()))

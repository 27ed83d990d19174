"""API, worker and client killed anywhere in a resumable upload: what was safe stays, nothing else."""

import base64
import datetime
import hashlib
import http.client
import io
import json
import os
import random
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from imagesvc.db import upload as upload_rows
from imagesvc.domain.image import NewImage
from imagesvc.domain.upload import NewUpload
from imagesvc.manager import store_verify
from tests.crash.line import Line
from tests.crash.points import thinned
from tests.crash.station import BIN, Station, free_port, until

MIB = 1 << 20
PART = 1
DATA = random.Random(9).randbytes(3 * MIB + 5)
CREATE_POINTS = ("upload.created",)
# Killed in the second request of an upload, whose first 1000 bytes are safe.
PATCH_POINTS = ("upload.claimed", "upload.part_written", "upload.part_stored")
COUNTED_POINTS = ("upload.part_counted",)
JOIN_POINTS = ("step.join.begin", "step.join.committed", "step.join.done")
EXPIRY_POINTS = ("reaper.upload_expired",)
MORE = f"[upload]\npart_size_mib = {PART}\nlease_s = 1\n[api]\nreserved_threads = 1\n"


@pytest.fixture
def station(tmp_path):
    """An installation with small parts and short leases."""
    made = Station(tmp_path, more=MORE)
    yield made
    made.stop()


def headers(station, **more):
    """Those of every request."""
    named = {name.replace("_", "-"): str(value) for name, value in more.items()}
    if not hasattr(station, "kept_token"):  # it outlives the API, and takes a while to make
        station.kept_token = station.token()
    return {"X-Auth-Token": station.kept_token, "Tus-Resumable": "1.0.0", **named}


def created(station, data=b""):
    """An upload by this process, and its first bytes; (image id, path, upload)."""
    service, caller = station.service, station.caller
    new = NewImage(name="x", disk_format="raw", container_format="bare")
    image = service.images.create(caller, new)
    upload = service.uploads.create(caller, NewUpload(image.id, size_bytes=len(DATA)))
    if data:
        upload = service.upload_writer.write(caller, upload.id, 0, io.BytesIO(data))
    return image.id, f"/imagesvc/v1/uploads/{upload.id}", upload


def patch(station, path, offset, data, port=None):
    """Send bytes; status and headers in small letters."""
    sent = headers(station, Upload_Offset=offset, Content_Type="application/offset+octet-stream")
    status, found, _ = station.call("PATCH", path, data, sent, port=port)
    return status, {name.lower(): value for name, value in found.items()}


def offset(station, path):
    """Where it stands."""
    status, found, _ = station.call("HEAD", path, None, headers(station))
    assert status == 200
    return int({name.lower(): value for name, value in found.items()}["upload-offset"])


def compared(station):
    """Where rows and bytes differ."""
    service = station.service
    return store_verify.verify(service.database, service.backends, older_than_s=0).findings


def finish(station, path, image_id, data=DATA):
    """Send what is left; the image has all bytes, and nothing else is kept."""
    at = offset(station, path)
    status, found = until(lambda: sent_unless_busy(station, path, at, data[at:]))
    assert status == 204
    until(lambda: station.job(found["x-job-id"]).finished_at)
    assert (station.job(found["x-job-id"]).state, station.job(found["x-job-id"]).error_text) == (
        "done", None,
    )  # fmt: skip
    is_whole(station, image_id, data)


def sent_unless_busy(station, path, at, data):
    """The answer, unless a dead request still has the upload."""
    answer = patch(station, path, at, data)
    return None if answer[0] == 423 else answer


def is_whole(station, image_id, data=DATA):
    """The image is active, and one object holds its bytes."""
    assert station.service.images.get(station.caller, image_id).status == "active"
    with station.service.image_files.download(station.caller, image_id).open() as source:
        assert source.read() == data
    until(lambda: len(station.objects()) == 1)
    until(lambda: compared(station) == [])
    assert station.quota() == [(1, 0), (len(data), 0), (0, 0)]
    assert station.quota_is_true()


@pytest.mark.parametrize("point", CREATE_POINTS)
def test_a_kill_after_the_creation_leaves_an_upload_that_the_list_shows(station, point):
    station.start("api", point)
    until(station.ready)
    new = NewImage(name="x", disk_format="raw", container_format="bare")
    image_id = station.service.images.create(station.caller, new).id
    text = f"image_id {base64.b64encode(image_id.encode()).decode()}"
    sent = headers(station, Upload_Length=len(DATA), Upload_Metadata=text)
    with pytest.raises((OSError, http.client.HTTPException)):
        station.call("POST", "/imagesvc/v1/uploads", None, sent)
    until(lambda: station.died)
    until(station.ready)
    station.start("worker")
    listed = station.call("GET", "/imagesvc/v1/uploads", None, headers(station))[2]
    [found] = json.loads(listed)["uploads"]
    assert (found["image_id"], found["offset_bytes"]) == (image_id, 0)
    finish(station, f"/imagesvc/v1/uploads/{found['id']}", image_id)


@pytest.mark.parametrize(
    "point",
    thinned(
        (*PATCH_POINTS, "storage.file.synced", *COUNTED_POINTS),
        "upload.part_stored", COUNTED_POINTS[0], rest=pytest.mark.soak,
    ),
)  # fmt: skip
def test_a_killed_request_leaves_what_was_safe_before_it(station, point):
    image_id, path, _ = created(station, DATA[:1000])
    station.start("api", point)
    until(station.ready)
    with pytest.raises((OSError, http.client.HTTPException)):
        patch(station, path, 1000, DATA[1000:])
    until(lambda: station.died)
    until(station.ready)
    station.start("worker")
    safe = 1000 if point not in COUNTED_POINTS else 1000 + PART * MIB
    assert offset(station, path) == safe
    until(lambda: compared(station) == [])
    finish(station, path, image_id)


@pytest.mark.parametrize(
    "point",
    thinned(
        (*JOIN_POINTS, "step.spread.done", "step.conclude.done"),
        JOIN_POINTS[0], "step.conclude.done", rest=pytest.mark.soak,
    ),
)  # fmt: skip
def test_an_upload_becomes_its_image_once_whatever_line_the_worker_dies_at(station, point):
    image_id, _, upload = created(station, DATA)
    job_id = upload.job_id
    assert station.start("worker", point).wait(60) == -signal.SIGKILL
    station.start("worker")
    until(lambda: station.job(job_id).finished_at)
    assert station.job(job_id).state == "done"
    is_whole(station, image_id)


@pytest.mark.parametrize("point", EXPIRY_POINTS)
def test_an_upload_expires_once_whatever_line_the_worker_dies_at(station, point):
    image_id, _, _ = created(station, DATA[:1000])
    past = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    with station.service.database.write() as conn:
        conn.execute(upload_rows.TABLE.update().values(expires_at=past))
    assert station.start("worker", point).wait(60) == -signal.SIGKILL
    station.start("worker")
    until(lambda: station.service.images.get(station.caller, image_id).status == "queued")
    until(lambda: station.objects() == [])
    until(lambda: station.quota() == [(1, 0), (0, 0), (0, 0)])
    assert station.quota_is_true()


def test_the_next_bytes_may_go_to_another_process(station):
    other = free_port()
    station.start("api")
    station.start("api", port=other)
    until(lambda: station.ready() and station.ready(other))
    station.start("worker")
    image_id, path, _ = created(station)
    for at in range(0, 2 * MIB, 300_000):
        port = other if at // 300_000 % 2 else station.port
        assert patch(station, path, at, DATA[at : at + 300_000], port)[0] == 204
    finish(station, path, image_id)


def test_a_client_that_fell_silent_loses_the_upload_to_its_next_connection(station):
    station.start("api")
    until(station.ready)
    station.start("worker")
    image_id, path, _ = created(station)
    sent = headers(station, Upload_Offset=0, Content_Type="application/offset+octet-stream")
    lines = [f"PATCH {path} HTTP/1.1", "Host: x", f"Content-Length: {len(DATA)}"]
    lines += [f"{name}: {value}" for name, value in sent.items()]
    with socket.create_connection(("127.0.0.1", station.port)) as silent:
        silent.sendall("\r\n".join([*lines, "", ""]).encode() + DATA[: MIB + 1000])
        until(lambda: offset(station, path) == MIB)
        busy = patch(station, path, MIB, DATA[MIB:])[0]
        assert busy in (423, 204)  # the latter if this test was slower than the lease
        if busy == 423:
            finish(station, path, image_id)


# ------------------------------------------------- the command, both ends killed


CLOUDS = """
clouds:
  crash:
    auth:
      auth_url: http://127.0.0.1:{port}/v3
      username: crash
      password: crash-password
      project_name: crash
"""


class Sender:
    """The command, as a process that may be killed."""

    def __init__(self, folder, port, file):
        self._file, self._log = file, folder / "sender.log"
        (folder / "clouds.yaml").write_text(CLOUDS.format(port=port))
        self._environment = {
            **os.environ, "OS_CLIENT_CONFIG_FILE": str(folder / "clouds.yaml"),
            "XDG_STATE_HOME": str(folder / "state"),
        }  # fmt: skip

    def start(self):
        """Begin, or go on."""
        words = ["image", "upload", self._file, "--disk-format", "raw", "--wait", "-f", "json"]
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [BIN / "imagesvc", *words],
                env=self._environment,
                stdout=subprocess.PIPE,
                stderr=log,
            )

    @property
    def said(self):
        """All that it wrote to stderr."""
        return self._log.read_text()


def through_kills(tmp_path, size, more=""):
    """Send a file with the API killed at 30 % and the client at 60 %."""
    target = free_port()
    counter = Line(target)
    address = f"http://127.0.0.1:{counter.port}"
    more = f"[service]\npublic_endpoint = {address}\n[upload]\nlease_s = 4\n{more}"
    station = Station(tmp_path, more=more)
    file = tmp_path / "image.raw"
    digest = hashlib.sha512()
    with file.open("wb") as out:
        for _ in range(size // MIB):
            block = os.urandom(MIB)
            digest.update(block)
            out.write(block)

    def stands():
        with station.service.database.read() as conn:
            found = upload_rows.list_page(conn, None, None, 1)
        return found[0].offset_bytes if found else 0

    sender = Sender(tmp_path, counter.port, file)
    try:
        station.start("api", port=target)
        station.start("worker")
        until(lambda: station.ready(target))
        first = sender.start()
        until(lambda: stands() >= 0.3 * size)
        kill_servers(station.processes[0])
        station.start("api", port=target)
        until(lambda: stands() >= 0.6 * size)
        first.kill()
        first.communicate()
        second = sender.start()
        out, _ = second.communicate(timeout=600)
        assert second.returncode == 0, sender.said
        image_id = json.loads(out)["image_id"]
        image = station.service.images.get(station.caller, image_id)
        assert (image.status, image.size_bytes) == ("active", size)
        assert (image.hash_algorithm, image.hash_value) == ("sha512", digest.hexdigest())
        assert "goes on at" in sender.said
        assert not list((tmp_path / "state").rglob("*.json"))
        until(lambda: len(station.objects()) == 1)
        until(lambda: compared(station) == [])
        return counter.sent - size
    finally:
        counter.close()
        station.stop()


def kill_servers(master):
    """Kill an API with all its processes, at once."""
    children = Path(f"/proc/{master.pid}/task/{master.pid}/children").read_text().split()
    for process in (master.pid, *map(int, children)):
        os.kill(process, signal.SIGKILL)
    master.wait()


@pytest.mark.parametrize("store", ["file", "s3"])
def test_with_both_ends_killed_less_than_a_part_is_sent_twice(tmp_path, request, store):
    more = ""
    if store == "s3":
        more = request.getfixturevalue("s3_place").sections(part_size_mib=5)
    again = through_kills(tmp_path, 128 * MIB, more)
    print(f"{store}: {again / MIB:.2f} MiB sent twice")
    assert again < 16 * MIB


@pytest.mark.peer
def test_of_a_gibibyte_less_than_a_part_is_sent_twice(tmp_path):
    assert through_kills(tmp_path, 1024 * MIB) < 16 * MIB

"""Processes killed in work on encrypted images: one image, whole, and no plain bytes at rest."""

import hashlib
import http.client
import io
import os
import sys
import uuid

import pytest

from imagesvc.cmd import worker
from imagesvc.db import doomed, image_key, metadata, pending
from imagesvc.domain.image import NewImage
from imagesvc.domain.image_origin import BucketOrigin, NewImport
from imagesvc.domain.object_store import NewObjectStore
from imagesvc.domain.upload import NewUpload
from imagesvc.manager import store_verify
from imagesvc.worker import reaper
from imagesvc.worker.step import rewrap_keys
from tests import disk_image, s3_server
from tests.crash import forked, test_bucket, test_capture, test_tus, test_upload
from tests.crash.points import thinned
from tests.crash.sealed import DATA, MARKER, SealedStation
from tests.crash.station import until
from tests.crash.test_bucket import BUCKET
from tests.crash.test_capture import create, kill_and_recover, run_here

REWRAP_POINTS = ("step.rewrap_keys.wrapped", "step.rewrap_keys.written")
OCTETS = "application/octet-stream"
MORE = "[upload]\npart_size_mib = 1\nlease_s = 1\n"
sqlite = pytest.mark.parametrize("url", ["sqlite"], indirect=True)


@pytest.fixture
def sealed(tmp_path, url, monkeypatch, s3_place):
    """An installation with a key; a temporary file of its processes would be seen."""
    port = s3_place.endpoints[0].rpartition(":")[2]
    allowed = f"[fetch]\nallowed_ports = {port}\nallowed_networks = 127.0.0.1/32\n"
    made = SealedStation(tmp_path, url, MORE + allowed)
    monkeypatch.setenv("TMPDIR", str(made.temporary))
    yield made
    made.stop()


def clean(station):
    """Whether nothing waits, and rows, bytes and counters agree."""
    service = station.service
    reaper.run(service)
    with service.database.read() as conn:
        waiting = doomed.list(conn, 10) or pending.stale(conn, metadata.now())
    found = store_verify.verify(service.database, service.backends, older_than_s=0)
    return not waiting and not found.findings and found.objects == found.rows


def whole(station, image_id, data=DATA, mark=MARKER):
    """The image is active and has these bytes, which rest nowhere in plain."""
    assert station.service.images.get(station.caller, image_id).status == "active"
    assert station.bytes_of(image_id) == data
    until(lambda: clean(station))
    assert station.quota_is_true()
    station.check_sealed(mark)


def paging_worker(path, log, environment, point="", died=""):
    """A worker that wraps two data keys at a time."""
    forked.become(log, environment, point, died)
    rewrap_keys.PAGE = 2
    sys.exit(worker.main(["--config-file", str(path)]))


def paging(station, point=""):
    """Such a worker as a process, to die at `point` once."""
    arguments = (station.path, station.folder / "worker.log", dict(os.environ), point)
    made = forked.FORKS.Process(
        target=paging_worker, args=(*arguments, str(station.folder / "died"))
    )
    made.start()
    return made


@pytest.mark.parametrize(
    ("url", "point"),
    [
        ("sqlite", REWRAP_POINTS[0]),
        ("postgresql", REWRAP_POINTS[1]),
        pytest.param("sqlite", REWRAP_POINTS[1], marks=pytest.mark.peer),
        pytest.param("postgresql", REWRAP_POINTS[0], marks=pytest.mark.peer),
    ],
    indirect=["url"],
)
def test_all_data_keys_are_wrapped_anew_whatever_line_the_worker_dies_at(sealed, point):
    images = [sealed.filled(MARKER * 10) for _ in range(5)]
    store = sealed.service.backends.storage()
    before = [(one.key, one.etag) for one in store.list()]
    _, job = sealed.service.keys.rotate(sealed.caller, sealed.key_id)
    first = paging(sealed, point)
    first.join(60)
    assert first.exitcode == -9
    second = paging(sealed)
    try:
        until(lambda: sealed.job(job.id).finished_at)
    finally:
        second.terminate()
        second.join(30)
    assert (sealed.job(job.id).state, sealed.job(job.id).error_text) == ("done", None)
    with sealed.service.database.read() as conn:
        rows = image_key.page(conn, "local", sealed.key_id, ("", ""), 10)
    assert [row.version for row in rows] == [2] * 5
    assert [(one.key, one.etag) for one in store.list()] == before
    for image in images:
        whole(sealed, image.id, MARKER * 10)


@sqlite
def test_bytes_at_rest_in_plain_are_found(sealed):
    new = NewImage(name="x", disk_format="raw", container_format="bare")
    image = sealed.service.images.create(sealed.caller, new)
    files = sealed.service.image_files
    files.upload(sealed.caller, image.id, io.BytesIO(DATA), len(DATA))
    assert len(sealed.on_disk()) == 1


def killed_in_a_request(station, point, method, path, data, **headers):
    """Send bytes to an API that dies at `point`; the headers of the caller."""
    station.start("api", point)
    until(station.ready)
    headers = {"X-Auth-Token": station.token(), **headers}
    with pytest.raises((OSError, http.client.HTTPException)):
        station.call(method, path, data, headers)
    until(lambda: station.died)
    assert station.on_disk() == []
    return headers


@sqlite
@pytest.mark.parametrize(
    "point", thinned(test_upload.BEFORE, "upload.stored", rest=pytest.mark.soak)
)
def test_a_killed_upload_leaves_no_plain_bytes_and_can_be_sent_again(sealed, point):
    image_id = sealed.new().id
    path = f"/v2/images/{image_id}/file"
    headers = killed_in_a_request(sealed, point, "PUT", path, DATA, **{"Content-Type": OCTETS})
    sealed.start("worker")
    until(lambda: sealed.service.images.get(sealed.caller, image_id).status == "queued")
    until(sealed.ready)
    assert sealed.call("PUT", path, DATA, headers)[0] == 204
    whole(sealed, image_id)


@sqlite
@pytest.mark.parametrize(
    "point", thinned(test_tus.PATCH_POINTS, "upload.part_stored", rest=pytest.mark.soak)
)
def test_a_killed_resumable_upload_leaves_no_plain_bytes_and_goes_on(sealed, point):
    service, half = sealed.service, len(DATA) // 2
    image_id = sealed.new().id
    upload = service.uploads.create(sealed.caller, NewUpload(image_id, size_bytes=len(DATA)))
    service.upload_writer.write(sealed.caller, upload.id, 0, io.BytesIO(DATA[:half]))
    assert sealed.on_disk() == []
    tus = {"Tus-Resumable": "1.0.0", "Upload-Offset": str(half)}
    kind = {"Content-Type": "application/offset+octet-stream"}
    path = f"/imagesvc/v1/uploads/{upload.id}"
    killed_in_a_request(sealed, point, "PATCH", path, DATA[half:], **tus, **kind)
    sealed.start("worker")
    at = until(lambda: offset_when_free(sealed, upload.id))
    upload = service.upload_writer.write(sealed.caller, upload.id, at, io.BytesIO(DATA[at:]))
    until(lambda: sealed.job(upload.job_id).finished_at)
    assert sealed.job(upload.job_id).error_text is None
    whole(sealed, image_id)


def offset_when_free(station, upload_id):
    """Where the upload stands, unless a dead request still has it."""
    found = station.service.uploads.get(station.caller, upload_id)
    free = found.lease_until is None or found.lease_until < metadata.now()
    return found.offset_bytes if free else None


@sqlite
@pytest.mark.peer
@pytest.mark.parametrize("point", test_tus.JOIN_POINTS)
def test_a_killed_join_leaves_no_plain_bytes(sealed, point):
    service = sealed.service
    image_id = sealed.new().id
    upload = service.uploads.create(sealed.caller, NewUpload(image_id, size_bytes=len(DATA)))
    upload = service.upload_writer.write(sealed.caller, upload.id, 0, io.BytesIO(DATA))
    assert sealed.start("worker", point).wait(60) == -9
    assert sealed.on_disk() == []
    sealed.start("worker")
    until(lambda: sealed.job(upload.job_id).finished_at)
    whole(sealed, image_id)


@sqlite
@pytest.mark.parametrize(
    "point", thinned(test_bucket.CONVERT_POINTS, "step.convert.opened", rest=pytest.mark.soak)
)
def test_a_killed_conversion_leaves_no_plain_bytes(sealed, s3_place, tmp_path_factory, point):
    folder = tmp_path_factory.mktemp("raw")  # not one of the service
    raw = disk_image.make_raw(folder)
    with raw.open("r+b") as file:
        file.seek(2 << 20)
        file.write(DATA[: 1 << 20])
    origin = bucket_with(sealed, s3_place, disk_image.convert(raw, "vmdk"))
    new = NewImage(name="x", container_format="bare", key_id=sealed.key_id)
    wanted = NewImport(new, origin, target_format="qcow2")
    image, job = sealed.service.origins.start(sealed.caller, wanted)
    assert sealed.start("worker", point).wait(60) == -9
    assert sealed.on_disk() == []
    assert bool(sealed.in_memory()) == (point == "step.convert.opened")
    sealed.start("worker")
    until(lambda: sealed.job(job.id).finished_at)
    assert (sealed.job(job.id).state, sealed.job(job.id).error_text) == ("done", None)
    (folder / "made").write_bytes(sealed.bytes_of(image.id))
    assert disk_image.same(raw, folder / "made", "qcow2") is True
    until(lambda: clean(sealed))
    sealed.check_sealed()
    assert sealed.quota_is_true()


def bucket_with(station, place, data):
    """An object of the caller's, as the origin of an import."""
    client, key = place.client(), uuid.uuid4().hex
    if BUCKET not in [one["Name"] for one in client.list_buckets()["Buckets"]]:
        client.create_bucket(Bucket=BUCKET)
    client.put_object(Bucket=BUCKET, Key=key, Body=data)
    new = NewObjectStore("mine", place.endpoints[0], s3_server.KEY, s3_server.SECRET)
    return BucketOrigin(station.service.object_stores.create(station.caller, new).id, BUCKET, key)


def serving(station):
    """Start the API: servers of an encrypted image read it there."""
    station.start("api")
    until(station.ready)


def marked(guest):
    """The guest's disk with the marker behind what it boots from."""
    return guest.read_bytes() + (MARKER * 16)[:512]


@sqlite
@pytest.mark.parametrize(
    "point",
    thinned(test_capture.CREATE_POINTS, "compute.qemu.fetched", rest=pytest.mark.soak),
)
def test_servers_of_an_encrypted_image_are_created_once_and_leave_no_plain_bytes(
    sealed, guest, point
):
    image = sealed.filled(marked(guest))
    serving(sealed)
    ended = kill_and_recover(sealed, create(sealed, image, count=2), point)
    assert (ended.state, ended.error_text) == ("done", None)
    there = sealed.service.servers.list(sealed.caller)
    assert {server.server_id for server in there} == {
        server["server_id"] for server in ended.result["servers"]
    }
    assert [server.state for server in there] == ["running", "running"]
    whole(sealed, image.id, marked(guest))


@sqlite
@pytest.mark.parametrize(
    "point",
    thinned(test_capture.CAPTURE_POINTS, "step.store.written", rest=pytest.mark.soak),
)
def test_a_killed_capture_leaves_no_plain_bytes(sealed, guest, point):
    source = sealed.filled(marked(guest))
    serving(sealed)
    made = run_here(sealed, create(sealed, source))
    server_id = made.result["servers"][0]["server_id"]
    sealed.service.servers.stop(sealed.caller, server_id)
    image, job = sealed.service.captures.start(
        sealed.caller, server_id=server_id, name="captured", key_id="default"
    )
    assert sealed.start("worker", point).wait(60) == -9
    assert sealed.on_disk() == []
    sealed.start("worker")
    until(lambda: sealed.job(job.id).finished_at)
    assert (sealed.job(job.id).state, sealed.job(job.id).error_text) == ("done", None)
    data = sealed.bytes_of(image.id)
    assert hashlib.sha512(data).hexdigest() == sealed.service.images.get(
        sealed.caller, image.id
    ).hash_value  # fmt: skip
    assert data.endswith(marked(guest)[-512:])
    whole(sealed, image.id, data)
    keys = sealed.data_keys(source.id, image.id)
    assert len(set(keys)) == 2

"""A worker killed anywhere in an import from a bucket or in an export into one.

The image is whole once, or the objects are; no parts, scratch or bytes are left besides.
"""

import hashlib
import random
import uuid

import pytest

from imagesvc.db import doomed, image_disk, metadata, pending
from imagesvc.domain.export import ExportRequest
from imagesvc.domain.image import NewImage
from imagesvc.domain.image_origin import BucketOrigin, NewImport
from imagesvc.domain.object_store import NewObjectStore
from imagesvc.manager import store_verify
from imagesvc.worker import reaper, scratch
from tests import disk_image, s3_server
from tests.crash.points import thinned
from tests.crash.station import Station, until

BUCKET = "crashes"
CONVERT_POINTS = (
    "step.convert.begin", "step.convert.opened", "step.convert.committed", "step.convert.done",
)  # fmt: skip
PUBLISH_POINTS = (
    "step.publish.begin", "bucket.answered", "bucket.begun", "step.publish.sent",
    "bucket.sent", "step.publish.committed", "step.publish.kept", "step.publish.done",
)  # fmt: skip
# Two parts, so that an upload in parts is begun.
DATA = random.Random(4).randbytes((16 << 20) + 1000)


@pytest.fixture
def station(tmp_path, s3_place):
    """An installation, and a key of its caller to a bucket."""
    port = s3_place.endpoints[0].rpartition(":")[2]
    more = f"[fetch]\nallowed_ports = {port}\nallowed_networks = 127.0.0.1/32\n"
    made = Station(tmp_path, more=more)
    made.s3 = s3_place.client()
    if BUCKET not in [one["Name"] for one in made.s3.list_buckets()["Buckets"]]:
        made.s3.create_bucket(Bucket=BUCKET)
    made.key = uuid.uuid4().hex
    new = NewObjectStore("mine", s3_place.endpoints[0], s3_server.KEY, s3_server.SECRET)
    made.object_store = made.service.object_stores.create(made.caller, new)
    yield made
    made.stop()


def killed_once(station, job, point):
    """Let a worker die at the point, and another end the job."""
    first = station.start("worker", point)
    assert first.wait(60) == -9
    station.start("worker")
    until(lambda: station.job(job.id).finished_at)
    assert (station.job(job.id).state, station.job(job.id).error_text) == ("done", None)


def clean(station, image_id):
    """Whether the store holds the bytes of this image alone, and no work area is left."""
    reaper.run(station.service)
    with station.service.database.read() as conn:
        places = {key for disk in image_disk.list_for(conn, image_id) for _, key in disk.locations}
        waiting = doomed.list(conn, 10) or pending.stale(conn, metadata.now())
    found = store_verify.verify(station.service.database, station.service.backends, older_than_s=0)
    left = scratch.folders(scratch.of(station.service).root)
    return not waiting and set(station.objects()) == places and not found.findings and not left


@pytest.mark.parametrize(
    "point", thinned(CONVERT_POINTS, "step.convert.opened", "step.convert.committed")
)
def test_an_import_is_whole_once_whatever_line_its_worker_dies_at(station, tmp_path, point):
    raw = disk_image.make_raw(tmp_path)
    data = disk_image.convert(raw, "vmdk")
    station.s3.put_object(Bucket=BUCKET, Key=station.key, Body=data)
    wanted = NewImport(
        NewImage(name="x", container_format="bare"),
        BucketOrigin(station.object_store.id, BUCKET, station.key),
        target_format="qcow2",
    )
    image, job = station.service.origins.start(station.caller, wanted)
    killed_once(station, job, point)
    image = station.service.images.get(station.caller, image.id)
    assert (image.status, image.disk_format) == ("active", "qcow2")
    made = tmp_path / "made"
    with station.service.image_files.download(station.caller, image.id).open() as stream:
        made.write_bytes(stream.read())
    assert disk_image.same(raw, made, "qcow2") is True
    until(lambda: clean(station, image.id))
    assert station.quota() == [(1, 0), (image.size_bytes, 0), (0, 0)]
    assert station.quota_is_true()


@pytest.mark.parametrize(
    "point",
    thinned(
        PUBLISH_POINTS,
        "bucket.answered",
        "step.publish.sent",
        "bucket.sent",
        "step.publish.committed",
    ),
)
def test_an_export_is_whole_once_whatever_line_its_worker_dies_at(station, tmp_path, point):
    new = NewImage(name="x", disk_format="raw", container_format="bare")
    image = station.service.images.create(station.caller, new)
    (tmp_path / "data").write_bytes(DATA)
    with (tmp_path / "data").open("rb") as source:
        station.service.image_files.upload(station.caller, image.id, source, len(DATA))
    request = ExportRequest(image.id, station.object_store.id, BUCKET, station.key)
    job = station.service.exports.start(station.caller, request)
    killed_once(station, job, point)
    body = station.s3.get_object(Bucket=BUCKET, Key=station.key)["Body"].read()
    assert body == DATA
    beside = station.s3.get_object(Bucket=BUCKET, Key=f"{station.key}.sha256")["Body"].read()
    assert beside == f"{hashlib.sha256(DATA).hexdigest()}  {station.key}\n".encode()
    uploads = station.s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads", ())
    assert [one["Key"] for one in uploads if one["Key"] == station.key] == []
    until(lambda: clean(station, image.id))

"""Workers killed in exports and OVAs of encrypted images: no plain bytes rest on the disk."""

import io

import pytest

from imagesvc.domain.export import ExportRequest
from imagesvc.domain.upload import NewUpload
from tests import disk_image, ova
from tests.api.native.tus import encoded
from tests.crash.sealed import DATA
from tests.crash.station import until
from tests.crash.test_bucket import BUCKET
from tests.crash.test_encryption import bucket_with, clean, sealed
from tests.ova import Part

__all__ = ["sealed"]

pytestmark = [
    pytest.mark.peer,
    pytest.mark.parametrize("url", ["sqlite"], indirect=True),
]


@pytest.fixture
def raw(tmp_path_factory):
    """A disk with the marker in it, in a folder that is none of the service's; its path."""
    path = disk_image.make_raw(tmp_path_factory.mktemp("raw"))
    with path.open("r+b") as file:
        file.seek(2 << 20)
        file.write(DATA[: 1 << 20])
    return path


def recovered(station, job_id):
    """Let another worker end the job; nothing in plain is left then."""
    station.start("worker")
    until(lambda: station.job(job_id).finished_at)
    assert (station.job(job_id).state, station.job(job_id).error_text) == ("done", None)
    until(lambda: clean(station))
    station.check_sealed()
    assert station.quota_is_true()


@pytest.mark.parametrize("point", ["step.publish.begin", "step.publish.sent", "bucket.sent"])
def test_a_killed_export_that_converts_leaves_no_plain_bytes(sealed, s3_place, raw, point):
    image = sealed.filled(raw.read_bytes())
    origin = bucket_with(sealed, s3_place, b"")
    request = ExportRequest(
        image.id, origin.object_store_id, BUCKET, f"{origin.key}-out", disk_format="qcow2"
    )
    job = sealed.service.exports.start(sealed.caller, request)
    assert sealed.start("worker", point).wait(60) == -9
    assert sealed.on_disk() == []
    assert bool(sealed.in_memory()) == (point != "step.publish.begin")
    recovered(sealed, job.id)
    made = raw.with_name("made")
    made.write_bytes(s3_place.client().get_object(Bucket=BUCKET, Key=request.key)["Body"].read())
    assert disk_image.same(raw, made, "qcow2") is True


@pytest.mark.parametrize("point", ["step.divide.committed", "step.rewrite.committed"])
def test_a_killed_ova_leaves_no_plain_bytes(sealed, raw, point):
    stream = disk_image.convert(raw, "vmdk-stream")
    text = ova.machine(Part("a.vmdk"), Part("b.vmdk", 1))
    data = ova.packed(text, {"a.vmdk": stream, "b.vmdk": stream})
    service, image = sealed.service, sealed.new(disk_format="qcow2")
    wanted = NewUpload(
        image.id, size_bytes=len(data), source_format="ova",
        client_metadata=encoded(image_id=image.id, source_format="ova"),
    )  # fmt: skip
    upload = service.uploads.create(sealed.caller, wanted)
    upload = service.upload_writer.write(sealed.caller, upload.id, 0, io.BytesIO(data))
    assert sealed.start("worker", point).wait(60) == -9
    assert sealed.on_disk() == []
    recovered(sealed, upload.job_id)
    for disk in (0, 1):
        raw.with_name("made").write_bytes(sealed.bytes_of(image.id, disk))
        assert disk_image.same(raw, raw.with_name("made"), "qcow2") is True

"""A worker killed anywhere while it takes an OVA apart: the image has all its disks, once."""

import io

import pytest

from imagesvc.domain.image import NewImage
from imagesvc.domain.upload import NewUpload
from tests import disk_image, ova
from tests.api.native.tus import encoded
from tests.crash.points import thinned
from tests.crash.station import Station, until
from tests.crash.test_bucket import clean, killed_once
from tests.ova import Part

POINTS = (
    "step.divide.committed", "step.rewrite.committed", "step.assemble.begin",
)  # fmt: skip
MORE_POINTS = (
    "step.divide.begin", "step.divide.landed", "step.divide.done", "step.rewrite.begin",
    "step.rewrite.kept", "step.rewrite.done", "step.assemble.done",
)  # fmt: skip


@pytest.fixture
def station(tmp_path):
    """An installation."""
    made = Station(tmp_path)
    yield made
    made.stop()


@pytest.mark.parametrize("point", thinned((*POINTS, *MORE_POINTS), *POINTS))
def test_an_ova_is_an_image_once_whatever_line_its_worker_dies_at(station, tmp_path, point):
    raw = disk_image.make_raw(tmp_path)
    stream = disk_image.convert(raw, "vmdk-stream")
    text = ova.machine(Part("a.vmdk"), Part("b.vmdk", 1))
    data = ova.packed(text, {"a.vmdk": stream, "b.vmdk": stream})
    service, caller = station.service, station.caller
    new = NewImage(name="x", disk_format="qcow2", container_format="bare")
    image = service.images.create(caller, new)
    wanted = NewUpload(
        image.id, size_bytes=len(data), source_format="ova",
        client_metadata=encoded(image_id=image.id, source_format="ova"),
    )  # fmt: skip
    upload = service.uploads.create(caller, wanted)
    upload = service.upload_writer.write(caller, upload.id, 0, io.BytesIO(data))
    killed_once(station, station.job(upload.job_id), point)
    image = service.images.get(caller, image.id)
    assert (image.status, image.kind) == ("active", "whole-machine")
    sizes = 0
    for disk in (0, 1):
        made = tmp_path / "made"
        with service.image_files.download(caller, image.id, disk=disk).open() as stream:
            made.write_bytes(stream.read())
        assert disk_image.same(raw, made, "qcow2") is True
        sizes += made.stat().st_size
    until(lambda: clean(station, image.id))
    assert station.quota() == [(1, 0), (sizes, 0), (0, 0)]
    assert station.quota_is_true()

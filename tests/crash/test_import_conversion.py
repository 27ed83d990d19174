"""A worker killed anywhere in an import that the operator keeps in another format.

Staged bytes end once as the disk that they hold, in each store; no bytes are left besides.
"""

import pytest

from imagesvc.domain.image import NewImage
from imagesvc.domain.image_import import ImportRequest
from tests import disk_image
from tests.crash.points import thinned
from tests.crash.station import until
from tests.crash.test_bucket import CONVERT_POINTS
from tests.crash.test_import import is_whole, station

__all__ = ["station"]


@pytest.fixture
def kept_raw(monkeypatch):
    """All imports end as raw disks; asked for before the station is made."""
    monkeypatch.setenv("OS_IMPORT__PLUGINS", "image_conversion")


@pytest.mark.parametrize(
    "point",
    [
        *thinned(CONVERT_POINTS, "step.convert.opened", "step.convert.committed"),
        pytest.param("step.spread.kept", marks=pytest.mark.peer),
        pytest.param("step.conclude.begin", marks=pytest.mark.peer),
    ],
)
def test_a_staged_disk_is_converted_once_whatever_line_its_worker_dies_at(
    kept_raw, station, tmp_path, point
):
    raw = disk_image.make_raw(tmp_path)
    new = NewImage(name="x", disk_format="vmdk", container_format="bare")
    image = station.service.images.create(station.caller, new)
    vmdk = raw.with_suffix(".vmdk")
    vmdk.write_bytes(disk_image.convert(raw, "vmdk"))
    with vmdk.open("rb") as source:
        station.service.stages.stage(station.caller, image.id, source, vmdk.stat().st_size)
    asked = ImportRequest("glance-direct", ("local", "far"))
    job = station.service.imports.start(station.caller, image.id, asked)
    assert station.start("worker", point).wait(60) == -9
    station.start("worker")
    until(lambda: station.job(job.id).finished_at)
    assert (station.job(job.id).state, station.job(job.id).error_text) == ("done", None)
    is_whole(station, image.id, ("local", "far"), raw.read_bytes())
    assert station.service.images.get(station.caller, image.id).disk_format == "raw"

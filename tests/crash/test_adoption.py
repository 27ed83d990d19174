"""A worker killed while an image that a cloud wrote is taken over: in the end there is one."""

import pytest

from imagesvc.domain.image_query import ImageQuery
from tests.crash.ledger_compute import DISK
from tests.crash.paper_station import CALLER

POINTS = ("step.store.kept", "step.activate.adopted", "step.activate.done")


@pytest.mark.parametrize("point", POINTS)
def test_one_image_is_left_wherever_a_worker_dies(paper, point):
    station = paper()
    written = station.image()
    (station.folder / "written").write_text(written.id)
    job = station.capture()
    first = station.start(point)
    first.join(60)
    assert first.exitcode == -9
    station.start()
    (ended,) = station.ended([job])
    assert ended.state == "done"
    found = station.service.images.list(CALLER, ImageQuery()).images
    assert [image.id for image in found] == [job.image_id]
    assert station.bytes_of(job.image_id) == DISK
    assert station.compute.rows("snapshot") == set()
    assert station.compute.events("snapshot opened") == []
    station.stop()
    station.check_clean()

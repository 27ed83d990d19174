"""A worker killed anywhere while it empties the bin: an image rests there whole, or nothing is left of it."""

import datetime
import io

import pytest
import sqlalchemy as sa

from imagesvc.db import doomed, image_table, metadata
from imagesvc.domain.image import NewImage
from imagesvc.manager import store_verify
from imagesvc.worker import reaper
from tests.crash.points import thinned
from tests.crash.station import Station, until

POINTS = ("bin.due", "step.purge.begun", "purge.forgotten", "step.purge.ended")
DATA = b"kept" * 100_000


@pytest.fixture
def station(tmp_path, url, monkeypatch):
    """An installation that keeps deleted images for an hour."""
    monkeypatch.setenv("OS_BIN__TERM_S", "3600")
    made = Station(tmp_path, url)
    yield made
    made.stop()


def image_of(station):
    """An active image; its id."""
    wanted = NewImage(name="x", disk_format="raw", container_format="bare")
    image = station.service.images.create(station.caller, wanted)
    station.service.image_files.upload(station.caller, image.id, io.BytesIO(DATA), len(DATA))
    return image.id


def end_term(station, image_id):
    """Its term in the bin is over."""
    table = image_table.TABLE
    past = metadata.now() - datetime.timedelta(seconds=1)
    with station.service.database.write() as conn:
        conn.execute(sa.update(table).where(table.c.id == image_id).values(bin_until=past))


def clean(station):
    """Whether stores and rows say the same, and nothing waits."""
    service = station.service
    reaper.run(service)
    with service.database.read() as conn:
        waiting = doomed.list(conn, 10)
    found = store_verify.verify(service.database, service.backends, older_than_s=0)
    return not waiting and not found.findings


@pytest.mark.parametrize("point", thinned(POINTS, *POINTS[1:3]))
def test_a_purge_ends_whatever_line_its_worker_dies_at(station, point):
    service, caller = station.service, station.caller
    over, resting = image_of(station), image_of(station)
    service.deletions.delete(caller, over)
    service.deletions.delete(caller, resting)
    assert clean(station)
    end_term(station, over)
    station.start("worker", point)
    until(lambda: station.died)
    assert [key for key in station.objects() if key.startswith(resting)]
    station.start("worker")
    until(lambda: [one.image.id for one in service.bins.list(caller, None, 10)] == [resting])
    until(lambda: clean(station) and len(station.objects()) == 1)
    assert station.quota()[:2] == [(0, 0), (len(DATA), 0)]
    assert station.quota_is_true()
    image, _ = service.bins.undo(caller, resting)
    with service.image_files.download(caller, image.id).open() as stream:
        assert stream.read() == DATA

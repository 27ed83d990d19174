"""A process killed while it reads a foreign URL: another reads it, and nothing is kept."""

import hashlib

import pytest

from imagesvc.domain.image_import import ImportRequest
from tests.crash.station import Station
from tests.crash.test_import import DATA, Urls, new, objects, worked

LINK_POINTS = ("step.link.begin", "step.link.read", "step.link.done")


@pytest.fixture
def station(tmp_path, monkeypatch):
    """An installation that lets foreign URLs stay."""
    monkeypatch.setenv("OS_LOCATION__FOREIGN_STORE", "web")
    made = Station(tmp_path)
    yield made
    made.stop()


@pytest.mark.parametrize(("point", "said"), [*zip(LINK_POINTS, (True, False, True), strict=True)])
def test_a_foreign_url_is_read_once_whatever_line_its_worker_dies_at(station, point, said):
    image, value = new(station), hashlib.sha256(DATA).hexdigest()
    station.service.foreign_bytes._urls = Urls()
    digest = ("sha256", value) if said else None
    request = ImportRequest("web-download", uri="http://x/", digest=digest)
    job = station.service.foreign_links.link(station.caller, image.id, request)
    worked(station, job, point)
    image = station.service.images.get(station.caller, image.id)
    assert (image.status, image.foreign_store, image.size_bytes) == ("active", "web", len(DATA))
    assert image.md5 == hashlib.md5(DATA).hexdigest()
    assert (image.hash_value == value) is said
    assert "os_glance_import_task" not in image.properties
    assert objects(station) == set()
    assert station.quota() == [(1, 0), (0, 0), (0, 0)]
    assert station.quota_is_true()
    events = station.service.audits.query(station.caller, action="image_import:complete")
    assert [event.target_id for event in events] == [image.id]

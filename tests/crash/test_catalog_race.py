"""Several workers at the catalog: as many families at a time as the operator says, each once."""

import threading
import time

import pytest

from imagesvc import opts
from imagesvc import service as services
from imagesvc.domain.image_query import ImageQuery
from imagesvc.worker import runner
from tests.catalog_folder import Folder
from tests.crash.station import Station, until
from tests.crash.test_catalog import ADMIN

CONCURRENCY = 3
NAMES = [f"family-{number}" for number in range(10)]


class Counting:
    """A source that counts how many read from it at once, and how often each family is opened."""

    def __init__(self, source):
        self._source = source
        self._lock = threading.Lock()
        self._now = 0
        self.most = 0
        self.opened = []
        self.families, self.verify = source.families, source.verify
        self.judge = source.judge

    def resolve(self, family):
        """In the source until another comes, at the first time, and a while at each."""
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
        time.sleep(0.05)
        until(lambda: self.most > 1)
        with self._lock:
            self._now -= 1
        return self._source.resolve(family)

    def open(self, release):
        """As the source does."""
        with self._lock:
            self.opened.append(release.family)
        return self._source.open(release)


@pytest.fixture
def station(tmp_path, monkeypatch):
    """An installation with ten families, whose workers are not taken for dead."""
    monkeypatch.setenv("OS_WORKER__LEASE_S", "60")
    more = f"[image]\ndetect = off\n[catalog]\nconcurrency = {CONCURRENCY}\n"
    made = Station(tmp_path, more=more)
    yield made
    made.stop()


@pytest.fixture
def source(station):
    """Its source, which counts."""
    sync = station.service.catalog.sync
    return Counting(sync._source)


@pytest.fixture
def workers(station, source):
    """Six threads of workers, on a service whose source is the counting one."""
    service = services.build(opts.load(station.path), monitor=False, source=source)
    stop = threading.Event()
    threads = [
        threading.Thread(target=runner.Runner(service, f"w{n}").run_forever, args=(stop,))
        for n in range(6)
    ]
    yield lambda: [thread.start() for thread in threads]
    stop.set()
    for thread in threads:
        thread.join()
    service.close()


def test_ten_families_go_on_at_once_as_far_as_the_operator_lets_them(
    station, tmp_path, source, workers
):
    folder = Folder(tmp_path / "catalog")
    for name in NAMES:
        folder.put(name, "1")
    families, jobs = station.service.catalog.families, station.service.jobs
    begun = families.sync(ADMIN)
    assert [one.id for one in families.sync(ADMIN)] == [one.id for one in begun]
    workers()
    until(lambda: all(jobs.get(ADMIN, one.id).finished_at for one in begun))
    assert 1 < source.most <= CONCURRENCY
    assert sorted(source.opened) == sorted(NAMES)
    images = station.service.images.list(station.caller, ImageQuery()).images
    assert sorted(one.name for one in images) == sorted(name.title() for name in NAMES)

    source.opened.clear()
    again = families.sync(ADMIN)
    until(lambda: all(jobs.get(ADMIN, one.id).finished_at for one in again))
    assert source.opened == []  # nothing new: no byte of an image is asked for
    assert station.quota_is_true()

"""A process killed anywhere in a stage or an import: all of it or nothing, and no bytes besides."""

import contextlib
import functools
import hashlib
import http.client
import io
import json
import os
import random
import sys

import pytest

from imagesvc import service as services
from imagesvc.cmd import worker
from imagesvc.db import doomed, image_disk, metadata, pending
from imagesvc.domain.image import NewImage
from imagesvc.domain.image_import import ImportRequest, Method
from imagesvc.domain.remote_image import RemoteRequest
from imagesvc.manager import remote_image, store_verify
from imagesvc.worker import reaper
from tests.crash import forked
from tests.crash.points import thinned
from tests.crash.station import Station, until

STAGE_POINTS = ("stage.begun", "stage.received", "stage.stored")
IMPORT_POINTS = (
    "step.inspect.begin",
    "step.inspect.done",
    "step.spread.begin",
    "step.spread.told",
    "step.spread.written",
    "step.spread.committed",
    "step.spread.kept",
    "step.spread.done",
    "step.conclude.begin",
    "step.conclude.done",
)
FETCH_POINTS = (
    "step.fetch.begin",
    "step.fetch.written",
    "step.fetch.committed",
    "step.fetch.done",
)
CONSULT_POINTS = ("step.consult.begin", "step.consult.taken", "step.consult.done")
DATA = random.Random(7).randbytes(3_000_000)  # the same in every process
REMOTE = json.dumps(
    {
        "status": "active", "size": len(DATA), "disk_format": "raw", "container_format": "bare",
        "os_hash_algo": "sha256", "os_hash_value": hashlib.sha256(DATA).hexdigest(), "hw_x": "y",
    }
).encode()  # fmt: skip


class Urls:
    """Gives the same bytes for every URL: what reads URLs has tests of its own."""

    def check(self, url):
        """Every one is fine."""

    def trusting(self, url):
        """The same."""
        return self

    def hasty(self, most_s):
        """The same."""
        return self

    @contextlib.contextmanager
    def open(self, url, *, headers=None, begin=0):
        """The bytes; the description of a remote image."""
        data = REMOTE if "/v2/images/" in url and not url.endswith("/file") else DATA
        body = io.BytesIO(data)
        body_size = type("Body", (), {"size": len(data), "read": body.read})
        yield body_size


def fetching_worker(path, log, environment, point="", died=""):
    """A worker process that reads URLs, to die at `point` once."""
    forked.become(log, environment, point, died)
    # The embedded identity has no catalogue.
    remote_image.RemoteImages.locate = lambda self, job: "http://far/v2/images/x"
    services.build = functools.partial(services.build, urls=Urls())
    sys.exit(worker.main(["--config-file", str(path)]))


@pytest.fixture
def station(tmp_path, monkeypatch):
    """An installation with two stores."""
    monkeypatch.setenv("OS_STORAGE__ENABLED_BACKENDS", "local:file,far:file")
    monkeypatch.setenv("OS_STORAGE__DEFAULT_BACKEND", "local")
    monkeypatch.setenv("OS_STORAGE_FAR__DIRECTORY", str(tmp_path / "far"))
    made = Station(tmp_path)
    yield made
    made.stop()


def new(station):
    """A queued image."""
    wanted = NewImage(name="x", disk_format="raw", container_format="bare")
    return station.service.images.create(station.caller, wanted)


def staged(station):
    """An image whose bytes are staged."""
    image = new(station)
    station.service.stages.stage(station.caller, image.id, io.BytesIO(DATA), len(DATA))
    return image


def objects(station):
    """Every object of every store."""
    backends = station.service.backends
    return {(store, one.key) for store in backends.ids("storage")
            for one in backends.storage(store).list()}  # fmt: skip


def clean(station, image_id):
    """Whether the stores hold the bytes of this image and nothing else waits."""
    reaper.run(station.service)
    with station.service.database.read() as conn:
        places = {place for disk in image_disk.list_for(conn, image_id) for place in disk.locations}
        waiting = doomed.list(conn, 10) or pending.stale(conn, metadata.now())
    found = store_verify.verify(station.service.database, station.service.backends, older_than_s=0)
    return not waiting and objects(station) == places and not found.findings


def is_whole(station, image_id, stores, data=DATA):
    """The image is active, in these stores, each with its bytes."""
    image = station.service.images.get(station.caller, image_id)
    assert (image.status, set(image.stores)) == ("active", set(stores))
    assert image.properties["os_glance_importing_to_stores"] == ""
    assert "os_glance_import_task" not in image.properties
    for store in stores:
        files = station.service.image_files
        with files.download(station.caller, image_id, preferred=(store,)).open() as stream:
            assert stream.read() == data
    until(lambda: clean(station, image_id))
    assert len(objects(station)) == len(stores)
    assert station.quota() == [(1, 0), (len(data), 0), (0, 0)]
    assert station.quota_is_true()


def send(station, image_id):
    """Stage through the API; its headers."""
    headers = {"X-Auth-Token": station.token(), "Content-Type": "application/octet-stream"}
    station.call("PUT", f"/v2/images/{image_id}/stage", DATA, headers)


@pytest.mark.parametrize("point", [*STAGE_POINTS, "stage.rested"])
def test_a_killed_stage_leaves_the_image_queued_or_whole(station, point):
    image = new(station)
    station.start("api", point)
    until(station.ready)
    with pytest.raises((OSError, http.client.HTTPException)):
        send(station, image.id)
    until(lambda: station.died)
    if point != "stage.rested":
        station.start("worker")
        until(lambda: station.service.images.get(station.caller, image.id).status == "queued")
        until(lambda: not objects(station))
        until(lambda: station.quota() == [(1, 0), (0, 0), (0, 0)])
        station.service.stages.stage(station.caller, image.id, io.BytesIO(DATA), None)
    assert station.service.images.get(station.caller, image.id).status == "uploading"
    assert len(objects(station)) == 1
    assert station.quota() == [(1, 0), (0, len(DATA)), (0, 0)]
    assert station.quota_is_true()


@pytest.mark.parametrize("must", [True, pytest.param(False, marks=pytest.mark.peer)])
@pytest.mark.parametrize(
    "point",
    thinned(
        IMPORT_POINTS,
        "step.inspect.done",
        "step.spread.told",
        "step.spread.committed",
        "step.spread.kept",
        "step.conclude.begin",
    ),
)
def test_an_import_ends_once_whatever_line_its_worker_dies_at(station, point, must):
    image = staged(station)
    request = ImportRequest("glance-direct", ("local", "far"), all_must_succeed=must)
    job = station.service.imports.start(station.caller, image.id, request)
    first = station.start("worker", point)
    assert first.wait(60) == -9
    station.start("worker")
    until(lambda: station.job(job.id).finished_at)
    assert (station.job(job.id).state, station.job(job.id).error_text) == ("done", None)
    is_whole(station, image.id, ("local", "far"))
    events = station.service.audits.query(station.caller, action="image_import:complete")
    assert [event.target_id for event in events] == [image.id]


@pytest.mark.parametrize("point", thinned(FETCH_POINTS, "step.fetch.written", "step.fetch.done"))
def test_a_fetch_ends_once_whatever_line_its_worker_dies_at(station, point):
    request = ImportRequest("web-download", ("local", "far"), uri="http://x/")
    fetched(station, request, point)


@pytest.mark.parametrize("point", thinned(CONSULT_POINTS, "step.consult.taken"))
def test_an_image_is_taken_over_once_whatever_line_its_worker_dies_at(station, point):
    remote = RemoteRequest("far", "00000000-0000-4000-8000-000000000000", token="secret")
    image, job = fetched(
        station, ImportRequest("glance-download", ("local", "far"), remote=remote), point
    )
    assert station.service.images.get(station.caller, image.id).properties["hw_x"] == "y"
    assert "sealed_token" not in station.job(job.id).args


def fetched(station, request, point):
    """Import from a URL with a worker that dies at `point` and one that does not."""
    image = new(station)
    service = station.service
    service.imports.methods, service.imports._urls = (Method(request.method),), Urls()
    service.remotes._regions = frozenset({"far"})
    job = service.imports.start(station.caller, image.id, request)
    worked(station, job, point)
    is_whole(station, image.id, ("local", "far"))
    return image, job


def worked(station, job, point):
    """Let a worker die at `point`, and another end the job."""
    log = station.folder / "fetching.log"
    first = forked.FORKS.Process(
        target=fetching_worker,
        args=(station.path, log, dict(os.environ), point, str(station.folder / "died")),
    )
    first.start()
    first.join(60)
    code = first.exitcode
    first.kill()
    first.join()
    assert code == -9, log.read_text()
    second = forked.FORKS.Process(
        target=fetching_worker, args=(station.path, log, dict(os.environ))
    )
    second.start()
    try:
        until(lambda: station.job(job.id).finished_at)
    finally:
        second.terminate()
        second.join(30)
        first.close()
        second.close()
    assert (station.job(job.id).state, station.job(job.id).error_text) == ("done", None)


@pytest.mark.parametrize("point", ["job.unwinding", "job.ended"])
def test_an_import_of_bad_bytes_ends_queued_whatever_line_its_worker_dies_at(station, point):
    image = new(station)
    data = b"QFI\xfb\0\0\0\3" + bytes(5000)
    station.service.stages.stage(station.caller, image.id, io.BytesIO(data), len(data))
    request = ImportRequest("glance-direct", ("far",))
    job = station.service.imports.start(station.caller, image.id, request)
    assert station.start("worker", point).wait(60) == -9
    station.start("worker")
    until(lambda: station.job(job.id).finished_at)
    assert station.job(job.id).state == "failed"
    found = station.service.images.get(station.caller, image.id)
    assert (found.status, found.size_bytes) == ("queued", None)
    until(lambda: not objects(station))
    assert station.quota() == [(1, 0), (0, 0), (0, 0)]
    assert json.dumps(dict(found.properties))

"""A worker killed anywhere in a sync of the catalog: one image is published, and nothing is left over."""

import shutil

import pytest

from imagesvc.context import RequestContext
from imagesvc.domain.image_query import ImageQuery
from tests.catalog_folder import Folder
from tests.crash.points import thinned
from tests.crash.station import Station, until
from tests.crash.test_import import clean, objects

ADMIN = RequestContext("root", "admins", frozenset({"admin", "reader"}), is_admin=True)
# Before the bytes are known to be right their source is needed again, afterwards it is not.
NEEDED = (
    "step.resolve.begin",
    "step.resolve.born",
    "step.resolve.done",
    "step.fetch.begin",
    "step.fetch.written",
    "step.fetch.committed",
)
NEEDLESS = (
    "step.fetch.done",
    "step.spread.told",
    "step.spread.done",
    "step.release.begin",
    "step.release.done",
)
# With an image to prune: before its deletion, and after.
PRUNING = (
    "step.prune.begin",
    "step.prune.planned",
    "step.prune.pruned",
    "step.prune.done",
)


@pytest.fixture
def station(tmp_path):
    """An installation with one family, of which an older build is published."""
    made = Station(tmp_path, more="[image]\ndetect = off\n")
    yield made
    made.stop()


@pytest.mark.parametrize(
    "point",
    [
        *thinned(NEEDED, "step.resolve.born", "step.fetch.written"),
        *thinned(NEEDLESS, "step.fetch.done", "step.release.begin"),
    ],
)
def test_a_sync_ends_once_whatever_line_its_worker_dies_at(station, tmp_path, point):
    folder = Folder(tmp_path / "catalog")
    data = folder.put("alpha", "1")
    families = station.service.catalog.families
    (job,) = families.sync(ADMIN)
    assert station.start("worker", point).wait(60) == -9
    (same,) = families.sync(ADMIN)  # as the operator does who saw nothing happen
    if point != "step.release.done":
        assert same.id == job.id
    if point in NEEDLESS:
        shutil.rmtree(folder.path / "alpha" / "1")
    station.start("worker")
    jobs = station.service.jobs
    until(lambda: jobs.get(ADMIN, job.id).finished_at)
    ended = jobs.get(ADMIN, job.id)
    assert (ended.state, ended.error_text, ended.result["is_new"]) == ("done", None, True)
    (image,) = station.service.images.list(station.caller, ImageQuery()).images
    assert (image.id, image.visibility, image.hidden) == (job.image_id, "public", False)
    with station.service.image_files.download(station.caller, image.id).open() as stream:
        assert stream.read() == data
    until(lambda: clean(station, image.id))
    assert len(objects(station)) == 1
    assert station.quota_is_true()


@pytest.mark.parametrize("point", thinned(PRUNING, "step.prune.planned", "step.prune.pruned"))
def test_a_prune_after_a_sync_ends_whatever_line_its_worker_dies_at(tmp_path, point):
    station = Station(tmp_path, more="[image]\ndetect = off\n[catalog]\nprune_after_sync = true\n")
    folder, families = Folder(tmp_path / "catalog"), station.service.catalog.families
    folder.family("alpha", keep=1)
    jobs, ids = station.service.jobs, []
    for build in ("1", "2"):
        folder.put("alpha", build)
        (job,) = families.sync(ADMIN)
        if build == "2":
            assert station.start("worker", point).wait(60) == -9
        station.start("worker")
        until(lambda job=job: jobs.get(ADMIN, job.id).finished_at)
        ids.append(job.image_id)
        station.end_processes()
    ended = jobs.get(ADMIN, job.id)
    assert (ended.state, ended.error_text) == ("done", None)
    assert (ended.result["build"], ended.result["pruned"]) == ("2", ids[:1])
    (image,) = station.service.images.list(station.caller, ImageQuery()).images
    assert image.id == ids[1]
    until(lambda: len(objects(station)) == 1)
    assert station.quota_is_true()
    station.stop()

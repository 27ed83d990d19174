"""Over random builds, roll-backs, promises, prunes, deletes, undos and purges no promise is broken, and
the quota ends at zero."""

import datetime
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from imagesvc import errors
from imagesvc.db import metadata
from imagesvc.domain.image_property import Change
from imagesvc.domain.image_query import ImageQuery
from imagesvc.manager import quota_verify, store_verify
from imagesvc.worker import runner
from tests.catalog_folder import Folder
from tests.unit.worker.conftest import CALLER, CONF
from tests.unit.worker.test_catalog import ADMIN, _no_looks, url

__all__ = ["_no_looks", "url"]
KEEP = 2
SHORT = settings(
    max_examples=6, stateful_step_count=12, deadline=None,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
LONG = settings(SHORT, max_examples=200, stateful_step_count=50, database=None)


class Rotation(RuleBasedStateMachine):
    """One family, and what a user would see of it.

    `published` are ids in the order in which they came, `alive`, `binned` and `promised` some of them;
    `pointer` is what the catalog published last, `shown` the one image in the list.
    """

    service = None
    number = 0

    def __init__(self):
        super().__init__()
        self.families = self.service.catalog.families
        type(self).number += 1
        self.name = f"family-{self.number}"
        self.folder = Folder(Path(self.service.conf.catalog.directory))
        self.folder.family(self.name, keep=KEEP)
        self.build = 0
        self.published, self.pointer, self.shown = [], None, None
        self.alive, self.binned, self.promised = set(), set(), set()

    def work(self):
        """All jobs to their end."""
        worker = runner.Runner(self.service, "here", pause_max_s=0)
        while worker.run_once():
            pass

    @rule(good=st.booleans())
    def release(self, good):
        """A new build comes, and is perhaps not what its list says."""
        self.build += 1
        self.folder.put(self.name, str(self.build))
        if not good:
            path = self.folder.path / self.name / str(self.build) / "disk.raw"
            path.write_bytes(b"something else")
        (job,) = self.families.sync(ADMIN, [self.name])
        self.work()
        ended = self.service.jobs.get(ADMIN, job.id)
        assert (ended.state == "done") == good, ended.error_text
        if good:
            self.published.append(job.image_id)
            self.alive.add(job.image_id)
            self.pointer = self.shown = job.image_id
        else:
            shutil.rmtree(self.folder.path / self.name / str(self.build))

    @rule()
    def roll_back(self):
        """Go back, if there is something to go back to."""
        try:
            before, after = self.families.rollback(ADMIN, self.name)
        except errors.Conflict:
            return
        assert before.image_id == self.pointer
        self.pointer = self.shown = after.image_id

    @rule()
    def prune(self):
        """Only what is past its promise goes, into the bin."""
        plans, _ = self.service.catalog.pruner.prune(ADMIN, [self.name])
        gone = set(plans[0].images)
        assert gone <= self.alive - self.promised - {self.pointer}
        others = [one for one in self.published if one in self.alive and one != self.pointer]
        assert not gone & set(others[len(others) - (KEEP - 1) :])
        self._bury(gone)

    @precondition(lambda self: self.alive)
    @rule(data=st.data())
    def promise(self, data):
        """An administrator promises an image for a day."""
        image_id = self._one(data, self.alive)
        day = (metadata.now() + datetime.timedelta(days=1)).date().isoformat()
        change = Change("add", ("properties", "provided_until"), day)
        self.service.images.patch(ADMIN, image_id, (change,))
        self.promised.add(image_id)

    @precondition(lambda self: self.alive)
    @rule(data=st.data(), broken=st.sampled_from(("", "why")))
    def delete(self, data, broken):
        """An administrator deletes an image of the family, a promised one only with a reason."""
        image_id = self._one(data, self.alive)
        try:
            self.service.deletions.delete(ADMIN, image_id, broken=broken)
        except errors.ImagePromised:
            assert image_id in self.promised
            assert not broken
        else:
            assert broken or image_id not in self.promised
            self._bury({image_id})

    @precondition(lambda self: self.binned)
    @rule(data=st.data())
    def undo(self, data):
        """It is back, in the list only if no other of the family came meanwhile."""
        image_id = self._one(data, self.binned)
        image, _ = self.service.bins.undo(ADMIN, image_id)
        self.binned.remove(image_id)
        self.alive.add(image_id)
        assert image.hidden or self.shown is None
        if not image.hidden:
            self.shown = image_id

    @precondition(lambda self: self.binned)
    @rule(data=st.data())
    def purge(self, data):
        """For good."""
        image_id = self._one(data, self.binned)
        self.service.bins.purge(ADMIN, image_id)
        self.work()
        self.binned.remove(image_id)

    def _one(self, data, wanted):
        """One of these, in the order in which they came: ids are others in each run."""
        return data.draw(st.sampled_from([one for one in self.published if one in wanted]))

    def _bury(self, image_ids):
        self.alive -= image_ids
        self.binned |= image_ids
        if self.shown in image_ids:
            self.shown = None

    @invariant()
    def one_image_is_in_the_list_and_all_others_are_usable_by_id(self):
        """What users rely on."""
        names = self.service.images.list(CALLER, ImageQuery(limit=1000)).images
        shown = [one.id for one in names if one.name == self.name.title()]
        assert shown == ([self.shown] if self.shown else [])
        for image_id in self.alive:
            image = self.service.images.get(CALLER, image_id)
            assert image.status == "active"
            assert image.provided_until is not None or image_id not in self.promised
        assert {one.image.id for one in self.service.bins.list(ADMIN, None, 1000)} == self.binned

    def teardown(self):
        """All of it leaves; nothing is used any more. The next run has a folder of its own."""
        for image_id in self.alive:
            self.service.deletions.delete(ADMIN, image_id, broken="the end")
        for one in self.service.bins.list(ADMIN, None, 1000):
            self.service.bins.purge(ADMIN, one.image.id)
        self.work()
        used = self.service.quotas.show(ADMIN, self.service.conf.catalog.owner_project)
        assert [(one.used, one.reserved) for one in used] == [(0, 0)] * len(used)
        assert quota_verify.verify(self.service.database) == ()
        database, backends = self.service.database, self.service.backends
        assert store_verify.verify(database, backends, older_than_s=0).findings == []
        shutil.rmtree(self.folder.path / self.name)


@pytest.fixture
def rotating(service_of, compute, monkeypatch):
    """The machine over a service that keeps deleted images for an hour."""
    service = service_of(CONF + "\n[bin]\nterm_s = 3600\n")
    return type("Rotating", (Rotation,), {"service": service}).TestCase


def test_no_promise_is_broken_over_random_rotations(rotating):
    rotating.settings = SHORT
    rotating().runTest()


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_no_promise_is_broken_over_many_random_rotations(rotating):
    rotating.settings = LONG
    rotating().runTest()

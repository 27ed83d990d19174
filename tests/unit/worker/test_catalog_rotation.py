"""Over random builds, roll-backs, prunes and deletes no promise is broken and the quota stays true."""

import shutil
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from imagesvc import errors
from imagesvc.domain.image_query import ImageQuery
from imagesvc.manager import quota_verify
from imagesvc.worker import runner
from tests.catalog_folder import Folder
from tests.unit.worker.conftest import CALLER
from tests.unit.worker.test_catalog import ADMIN, _no_looks, url

__all__ = ["_no_looks", "url"]
KEEP = 2


class Rotation(RuleBasedStateMachine):
    """One family, and what a user would see of it."""

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
        self.published = []  # image ids, oldest first, as long as they are not deleted
        self.current = None

    def teardown(self):
        """The next run has a folder of its own."""
        shutil.rmtree(self.folder.path / self.name)

    @rule(good=st.booleans())
    def release(self, good):
        """A new build comes, and is perhaps not what its list says."""
        self.build += 1
        self.folder.put(self.name, str(self.build))
        if not good:
            path = self.folder.path / self.name / str(self.build) / "disk.raw"
            path.write_bytes(b"something else")
        (job,) = self.families.sync(ADMIN, [self.name])
        worker = runner.Runner(self.service, "here", pause_max_s=0)
        while worker.run_once():
            pass
        assert (self.service.jobs.get(ADMIN, job.id).state == "done") == good
        if good:
            self.published.append(job.image_id)
            self.current = job.image_id
        else:
            shutil.rmtree(self.folder.path / self.name / str(self.build))

    @rule()
    def roll_back(self):
        """Go back, if there is something to go back to."""
        try:
            before, after = self.families.rollback(ADMIN, self.name)
        except errors.Conflict:
            return
        assert before.image_id == self.current
        self.current = after.image_id

    @rule()
    def prune(self):
        """Only what is past its promise goes."""
        plans, _ = self.service.catalog.pruner.prune(ADMIN, [self.name])
        gone = {step.subject.removeprefix("image ") for step in plans[0].steps}
        assert self.current not in gone
        others = [one for one in self.published if one != self.current]
        assert not gone & set(others[len(others) - (KEEP - 1) :])
        self.published = [one for one in self.published if one not in gone]

    @precondition(lambda self: self.published)
    @rule(data=st.data())
    def delete(self, data):
        """An administrator deletes an image of the family."""
        image_id = data.draw(st.sampled_from(self.published))
        self.service.deletions.delete(ADMIN, image_id)
        self.published.remove(image_id)
        if image_id == self.current:
            self.current = None

    @invariant()
    def one_image_is_in_the_list_and_all_others_are_usable_by_id(self):
        """What users rely on."""
        names = self.service.images.list(CALLER, ImageQuery(limit=1000)).images
        shown = [one.id for one in names if one.name == self.name.title()]
        assert shown == ([self.current] if self.current else [])
        for image_id in self.published:
            assert self.service.images.get(CALLER, image_id).status == "active"


def test_no_promise_is_broken_over_random_rotations(service):
    machine = type("Rotating", (Rotation,), {"service": service})
    machine.TestCase.settings = settings(
        max_examples=6, stateful_step_count=8, deadline=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    machine.TestCase().runTest()
    assert quota_verify.verify(service.database) == ()

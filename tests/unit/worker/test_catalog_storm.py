"""Syncs, roll-backs, prunes, deletes and undos of one family at once, on both engines."""

import datetime
import random
import threading

import pytest

from imagesvc import errors
from imagesvc.db import metadata
from imagesvc.domain.image_property import Change
from imagesvc.domain.image_query import ImageQuery
from imagesvc.manager import quota_verify, store_verify
from imagesvc.worker import runner
from tests.catalog_folder import Folder
from tests.unit.worker.conftest import CALLER, CONF
from tests.unit.worker.test_catalog import ADMIN, _no_looks

__all__ = ["_no_looks"]
NAME = "storm"
# What somebody may be told who was too late.
LATE = (
    errors.Conflict,
    errors.ImageNotFound,
    errors.BinnedImageNotFound,
    errors.StateConflict,
)


@pytest.fixture
def stormy(service_of, compute):
    """A service that keeps deleted images for an hour and prunes after each sync."""
    return service_of(CONF + "\n[bin]\nterm_s = 3600\n[catalog]\nprune_after_sync = true\n")


class Storm:
    """What several threads do; `unforeseen` is what no caller should be told."""

    def __init__(self, service, folder):
        self.service, self.folder = service, folder
        self.build, self.promised, self.unforeseen = 1, set(), []

    def images(self):
        """Those of the family that are there, hidden ones too."""
        query = {"limit": 1000, "owner": self.service.conf.catalog.owner_project}
        found = [
            self.service.images.list(ADMIN, ImageQuery(**query, hidden=hidden)).images
            for hidden in (False, True)
        ]
        return [one for part in found for one in part if one.family == NAME]

    def sync(self):
        """The next build, taken by this thread's worker."""
        self.build += 1
        self.folder.put(NAME, str(self.build))
        self.service.catalog.families.sync(ADMIN, [NAME])
        worker = runner.Runner(self.service, threading.current_thread().name, pause_max_s=0)
        while worker.run_once():
            pass

    def roll_back(self):
        self.service.catalog.families.rollback(ADMIN, NAME)

    def prune(self):
        self.service.catalog.pruner.prune(ADMIN, [NAME])

    def promise(self):
        """Some image, for a day."""
        image_id = random.choice(self.images()).id
        day = (metadata.now() + datetime.timedelta(days=1)).date().isoformat()
        change = Change("add", ("properties", "provided_until"), day)
        self.service.images.patch(ADMIN, image_id, (change,))
        self.promised.add(image_id)

    def delete(self):
        """Some image that is not promised, as far as this thread knows."""
        self.service.deletions.delete(ADMIN, random.choice(self.images()).id)

    def undo(self):
        """Some image."""
        binned = self.service.bins.list(ADMIN, None, 1000)
        if binned:
            self.service.bins.undo(ADMIN, random.choice(binned).image.id)

    def blow(self, acts, rounds):
        """All of `acts` at once, each so often."""

        def go(act):
            for _ in range(rounds):
                try:
                    act()
                except LATE:
                    continue
                except IndexError:  # no image just now
                    continue
                except Exception as exc:  # whatever it is, it is told at the end
                    self.unforeseen.append((act.__name__, exc))

        threads = [threading.Thread(target=go, args=(act,)) for act in acts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def _judge(storm):
    service = storm.service
    assert storm.unforeseen == []
    images = storm.images()
    assert len([one for one in images if not one.hidden]) <= 1
    assert {one.id for one in images} >= storm.promised
    for one in images:
        assert service.images.get(CALLER, one.id).status == "active"
    binned = {one.image.id for one in service.bins.list(ADMIN, None, 1000)}
    assert not binned & {one.id for one in images}
    used = service.quotas.show(ADMIN, service.conf.catalog.owner_project)
    assert [one.used for one in used if one.resource == "images"] == [len(images)]
    assert quota_verify.verify(service.database) == ()
    found = store_verify.verify(service.database, service.backends, older_than_s=0)
    assert found.findings == []


def _storm(service, tmp_path, rounds):
    folder = Folder(tmp_path / "catalog")
    folder.family(NAME, keep=2)
    folder.put(NAME, "1")
    storm = Storm(service, folder)
    storm.sync()
    storm.blow(
        (storm.sync, storm.roll_back, storm.prune, storm.promise, storm.delete, storm.undo), rounds
    )
    storm.sync()
    _judge(storm)
    return storm


def test_whoever_comes_first_one_image_is_shown_and_no_promise_is_broken(stormy, tmp_path):
    _storm(stormy, tmp_path, 4)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_a_long_storm_breaks_no_promise(stormy, tmp_path):
    _storm(stormy, tmp_path, 60)

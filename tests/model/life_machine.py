"""Images that come, are promised, deleted, taken back and purged, as a small model has it."""

import datetime
import io
import uuid

import sqlalchemy as sa
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from imagesvc import errors
from imagesvc.context import RequestContext
from imagesvc.db import image_table, metadata
from imagesvc.domain.image import NewImage
from imagesvc.domain.image_property import Change
from imagesvc.domain.quota import Resource
from imagesvc.manager import quota_verify, store_verify
from tests.api.native.tus import work


class LifeMachine(RuleBasedStateMachine):
    """`alive`, `binned` and `promised` are ids; what is in none of the first two is gone."""

    images = Bundle("images")
    service = None  # set by a subclass

    def __init__(self):
        super().__init__()
        project = uuid.uuid4().hex
        self.owner = RequestContext("owner", project, frozenset({"member"}))
        self.admin = RequestContext("admin", "admins", frozenset({"admin", "member"}), True)
        self.sizes, self.alive, self.binned, self.promised = {}, set(), set(), set()

    @rule(target=images, size=st.integers(0, 300), promised=st.booleans())
    def create(self, size, promised):
        """A record; with bytes unless they are none."""
        properties = {"provided_until": _day(1)} if promised else {}
        wanted = NewImage(disk_format="raw", container_format="bare", properties=properties)
        image_id = self.service.images.create(self.owner, wanted).id
        if size:
            data = io.BytesIO(b"x" * size)
            self.service.image_files.upload(self.owner, image_id, data, size)
        self.sizes[image_id] = size
        self.alive.add(image_id)
        self.promised |= {image_id} if promised else set()
        return image_id

    @rule(image=images, days=st.integers(-1, 3))
    def promise(self, image, days):
        """The owner sets the date; one that runs is not made shorter."""
        change = Change("add", ("properties", "provided_until"), _day(days))
        try:
            self.service.images.patch(self.owner, image, (change,))
        except errors.ImageNotFound:
            assert image not in self.alive
        except errors.ImagePromised:
            assert image in self.promised
        else:
            assert image in self.alive
            if days >= 0:
                self.promised.add(image)

    @rule(image=images, admin=st.booleans(), broken=st.sampled_from(("", "why")))
    def delete(self, image, admin, broken):
        """By anybody; a promise holds unless an administrator says why not."""
        caller = self.admin if admin else self.owner
        try:
            self.service.deletions.delete(caller, image, broken=broken)
        except errors.ImageNotFound:
            assert image not in self.alive
        except (errors.ImagePromised, errors.Forbidden):
            assert image in self.promised
            assert not (admin and broken)
        else:
            assert image in self.alive
            assert image not in self.promised or (admin and broken)
            self.alive.discard(image)
            if self.sizes[image]:
                self.binned.add(image)

    @rule(image=images)
    def undo(self, image):
        """Only out of the bin."""
        try:
            self.service.bins.undo(self.owner, image)
        except errors.BinnedImageNotFound:
            assert image not in self.binned
        else:
            self.binned.remove(image)
            self.alive.add(image)

    @rule(image=images)
    def purge(self, image):
        """Only out of the bin, and at once."""
        try:
            self.service.bins.purge(self.owner, image)
        except errors.BinnedImageNotFound:
            assert image not in self.binned
        else:
            work(self.service)
            self.binned.remove(image)

    @rule(image=images)
    def end_term(self, image):
        """Time passes; what lives does not mind."""
        past = metadata.now() - datetime.timedelta(seconds=1)
        table = image_table.TABLE
        with self.service.database.write() as conn:
            binned = (table.c.id == image, table.c.bin_until.is_not(None))
            conn.execute(sa.update(table).where(*binned).values(bin_until=past))
        self.service.bins.purge_due(100)
        work(self.service)
        self.binned.discard(image)

    @invariant()
    def rows_and_quota_are_as_the_model_has_it(self):
        """Lists, counters and bytes."""
        found = self.service.bins.list(self.owner, None, 1000)
        assert {one.image.id for one in found} == self.binned
        for image_id in self.alive:
            assert self.service.images.get(self.owner, image_id).id == image_id
        assert self.used() == (
            len(self.alive),
            sum(self.sizes[one] for one in self.alive | self.binned),
        )

    def used(self):
        """Images and bytes of the project."""
        found = self.service.quotas.show(self.owner, self.owner.project_id)
        used = {one.resource: one.used for one in found}
        return used[Resource.IMAGES], used[Resource.STORED_BYTES]

    def teardown(self):
        """Everything ends: nothing is used, and stores and rows say the same."""
        self.clean()
        for image_id in self.alive:
            self.service.deletions.delete(self.admin, image_id, broken="the end")
        for one in self.service.bins.list(self.owner, None, 1000):
            self.service.bins.purge(self.owner, one.image.id)
        work(self.service)
        assert self.used() == (0, 0)
        self.clean()

    def clean(self):
        """Stores and rows say the same."""
        found = store_verify.verify(self.service.database, self.service.backends, older_than_s=0)
        assert found.findings == []
        assert quota_verify.verify(self.service.database) == ()


def _day(days):
    return (metadata.now() + datetime.timedelta(days=days)).date().isoformat()

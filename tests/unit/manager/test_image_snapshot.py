"""What is remembered of an image between two readings of its bytes, on both engines."""

import dataclasses
import io

import pytest

from imagesvc import context, errors
from imagesvc.domain.image import NewImage
from imagesvc.domain.image_property import Change
from imagesvc.manager import image_snapshot
from tests.unit.db import make
from tests.unit.worker.conftest import CALLER

DATA = b"bytes" * 1000
GUEST = context.RequestContext("guest", "guest", frozenset({"member"}))
ADMIN = dataclasses.replace(CALLER, roles=frozenset({"admin"}), is_admin=True)


# No other thread's statement stands among those that a test counts.
pytestmark = pytest.mark.usefixtures("uses_written_later")


@pytest.fixture
def image_id(service):
    """An active image that was read once, and offered to a guest who read it too."""
    new = NewImage(name="x", disk_format="raw", container_format="bare")
    image = service.images.create(CALLER, new)
    service.image_files.upload(CALLER, image.id, io.BytesIO(DATA), len(DATA))
    service.members.add(CALLER, image.id, GUEST.project_id)
    assert _read(service, image.id) == _read(service, image.id, GUEST) == DATA
    return image.id


def _read(service, image_id, ctx=CALLER):
    with service.image_files.download(ctx, image_id).open() as stream:
        return stream.read()


def test_bytes_that_were_read_before_cost_one_statement(service, image_id):
    for ctx in (CALLER, GUEST, ADMIN):
        with make.counted(service.database) as seen:
            assert _read(service, image_id, ctx) == DATA
        assert len(seen) == 1


def test_a_deactivated_image_is_refused_at_once(service, image_id):
    service.images.deactivate(CALLER, image_id)
    with pytest.raises(errors.Forbidden):
        _read(service, image_id)
    service.images.reactivate(CALLER, image_id)
    assert _read(service, image_id) == DATA


def test_an_offer_that_is_taken_back_ends_at_once(service, image_id):
    service.members.remove(CALLER, image_id, GUEST.project_id)
    with pytest.raises(errors.ImageNotFound):
        _read(service, image_id, GUEST)
    assert _read(service, image_id) == DATA


def test_a_private_image_is_gone_for_others_at_once(service, image_id):
    service.images.patch(CALLER, image_id, (Change("replace", ("visibility",), "private"),))
    with pytest.raises(errors.ImageNotFound):
        _read(service, image_id, GUEST)


def test_a_deleted_image_is_gone_at_once(service, image_id):
    service.deletions.delete(CALLER, image_id)
    with pytest.raises(errors.ImageNotFound):
        _read(service, image_id)


def test_no_more_images_are_remembered_than_said(service, image_id, monkeypatch):
    monkeypatch.setattr(image_snapshot, "KEPT_MAX", 1)
    new = NewImage(name="y", disk_format="raw", container_format="bare")
    other = service.images.create(CALLER, new).id
    service.image_files.upload(CALLER, other, io.BytesIO(DATA), len(DATA))
    for asked in (other, image_id):
        with make.counted(service.database) as seen:
            assert _read(service, asked) == DATA
        assert len(seen) == 3

"""Uploads whose end is not what their thread believes, on both engines."""

import io
import time

import pytest

from imagesvc import errors
from imagesvc.db import doomed, image_state, metadata, pending
from imagesvc.domain.image import NewImage
from imagesvc.interface.errors import Discarded
from imagesvc.manager import heartbeat, image_file
from imagesvc.worker import reaper
from tests import poll
from tests.unit.worker.conftest import CALLER

DATA = b"bytes" * 1000


@pytest.fixture
def image_id(service):
    """A queued image."""
    new = NewImage(name="x", disk_format="raw", container_format="bare")
    return service.images.create(CALLER, new).id


class Reader(io.BytesIO):
    """Bytes; at their end `last` is called once."""

    def __init__(self, data, last):
        super().__init__(data)
        self._last = last

    def read(self, size=-1):
        data = super().read(size)
        if not data and self._last:
            self._last, last = None, self._last
            last()
        return data


def _upload(service, image_id, data=DATA, last=None):
    return service.image_files.upload(CALLER, image_id, Reader(data, last), len(data))


def _bytes(service, image_id):
    with service.image_files.download(CALLER, image_id).open() as stream:
        return stream.read()


def test_bytes_of_an_active_image_stay_if_the_answer_to_the_commit_is_lost(
    service, image_id, monkeypatch
):
    """The crash point stands for a connection that breaks after the commit."""

    def lose(name):
        if name == "upload.activated":
            raise ConnectionError(name)

    monkeypatch.setattr(image_file, "crashpoint", lose)
    with pytest.raises(ConnectionError):
        _upload(service, image_id)
    assert service.images.get(CALLER, image_id).status == "active"
    assert _bytes(service, image_id) == DATA
    with service.database.read() as conn:
        assert doomed.list(conn, 10) == ()


def test_an_upload_that_was_given_up_for_dead_does_not_touch_its_successor(service, image_id):
    def overtake():
        with service.database.write() as conn:
            image_state.transition(conn, image_id, "upload_failed")
        _upload(service, image_id, b"the second")

    with pytest.raises(errors.ImageGone):
        _upload(service, image_id, last=overtake)
    assert _bytes(service, image_id) == b"the second"
    with service.database.read() as conn:
        assert doomed.list(conn, 10) == ()


def test_an_upload_whose_client_or_store_is_slow_is_never_taken_for_dead(service, image_id):
    def dawdle():
        end = time.monotonic() + 3 * service.conf.worker.upload_stale_s
        while time.monotonic() < end:
            reaper.run(service)

    _upload(service, image_id, last=dawdle)
    assert _bytes(service, image_id) == DATA


def test_a_silent_upload_is_taken_for_dead(service, image_id, monkeypatch):
    """The other side of the same: with a thread that says nothing."""
    monkeypatch.setattr(heartbeat.Heartbeat, "_keep", lambda self: None)

    def dawdle():
        poll.until(lambda: reaper.run(service), deadline_s=20)

    with pytest.raises(errors.ImageGone):
        _upload(service, image_id, last=dawdle)
    assert service.images.get(CALLER, image_id).status == "queued"


def test_bytes_that_vanish_from_the_store_before_the_commit_are_told(service, image_id, tmp_path):
    def vanish():
        for part in (tmp_path / "images" / ".part").iterdir():
            part.unlink()

    with pytest.raises(Discarded, match="removed before it was whole"):
        _upload(service, image_id, last=vanish)
    assert service.images.get(CALLER, image_id).status == "queued"
    _upload(service, image_id)
    assert _bytes(service, image_id) == DATA


def test_bytes_that_the_reaper_took_for_orphans_are_not_left_behind(service, image_id, tmp_path):
    def reap():
        with service.database.write() as conn:
            image_state.transition(conn, image_id, "upload_failed")
            for note in pending.stale(conn, metadata.now()):
                pending.remove(conn, note.store_id, note.storage_key)

    with pytest.raises(errors.ImageGone):
        _upload(service, image_id, last=reap)
    assert [path for path in (tmp_path / "images").rglob("*") if path.is_file()] == []

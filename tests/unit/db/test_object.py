"""Bytes under way, doomed bytes, uploads and named leases."""

import datetime

import pytest
import sqlalchemy as sa

from imagesvc import errors
from imagesvc.db import doomed, image, image_state, lease, metadata, pending, upload
from tests.unit.db import make


def test_a_pending_object_is_known_until_removed(database):
    with database.write() as conn:
        pending.insert(conn, "local", "key", "image", "token")
        (note,) = pending.stale(conn, metadata.now())
        assert (note.store_id, note.storage_key, note.owner_token) == ("local", "key", "token")
        assert pending.stale(conn, make.START) == ()
    with pytest.raises(sa.exc.IntegrityError), database.write() as conn:
        pending.insert(conn, "local", "key", "image", "other")
    with database.write() as conn:
        assert pending.remove(conn, "local", "key") is True
        assert pending.remove(conn, "local", "key") is False


def test_a_doomed_object_stays_until_removed(database):
    with database.write() as conn:
        doomed.add(conn, "local", "a")
        doomed.add(conn, "local", "b")
        doomed.add(conn, "local", "a")
        assert doomed.list(conn, 10) == (("local", "a"), ("local", "b"))
        assert doomed.list(conn, 1) == (("local", "a"),)
        doomed.remove(conn, "local", "a")
        doomed.remove(conn, "local", "a")
        assert doomed.list(conn, 10) == (("local", "b"),)


def test_a_lease_has_one_holder_until_it_lapses(database):
    with database.write() as conn:
        assert lease.acquire(conn, "reaper", "w1", 60)
        assert not lease.acquire(conn, "reaper", "w2", 60)
        assert lease.acquire(conn, "seal", "w2", 60)
        assert lease.acquire(conn, "reaper", "w1", -1)
        assert lease.acquire(conn, "reaper", "w2", 60)
        lease.release(conn, "reaper", "w1")
        assert not lease.acquire(conn, "reaper", "w1", 60)
        lease.release(conn, "reaper", "w2")
        assert lease.acquire(conn, "reaper", "w1", 60)


def test_an_upload_is_kept_until_deleted(database):
    owner = make.image()
    row = upload.Upload(
        id="u",
        image_id=owner.id,
        disk_index=0,
        project_id="alpha",
        user_id=None,
        store_id="local",
        storage_key="key",
        offset_bytes=0,
        size_bytes=None,
        expected_sha256=None,
        created_at=make.START,
        expires_at=make.START + datetime.timedelta(days=1),
    )
    with database.write() as conn:
        image.insert(conn, owner)
        upload.insert(conn, row)
        assert upload.get(conn, "u") == row
        upload.delete(conn, "u")
        upload.delete(conn, "u")
        assert upload.get(conn, "u") is None


def test_a_note_that_changed_since_it_was_read_is_not_dropped(database):
    with database.write() as conn:
        pending.insert(conn, "local", "key", "image", "upload")
        (note,) = pending.stale(conn, metadata.now())
        pending.hand_over(conn, "upload", "job")
        assert pending.drop(conn, note) is False
        assert pending.of(conn, "job") == [("local", "key")]
        (note,) = pending.stale(conn, metadata.now())
        assert pending.drop(conn, note) is True
        assert pending.of(conn, "job") == []


def test_doomed_objects_of_one_store_are_found_behind_those_of_another(database):
    with database.write() as conn:
        for number in range(5):
            doomed.add(conn, "away", f"{number}")
        doomed.add(conn, "local", "late")
        assert doomed.list(conn, 2, "local") == (("local", "late"),)


def test_an_upload_that_came_to_rest_is_not_ended_as_silent(database):
    made = make.image()
    later = metadata.now() + datetime.timedelta(seconds=1)
    with database.write() as conn:
        image.insert(conn, made)
        image.transition(conn, made.id, "stage", {"upload_token": "mine"})
        assert image.stale_saving(conn, later) == [(made.id, "uploading", "mine")]
        assert image_state.rest(conn, made.id, "mine", 10)
    with pytest.raises(errors.ImagesvcError), database.write() as conn:
        image.transition(conn, made.id, "stage_failed", upload_token="mine", silent_since=later)
    with database.read() as conn:
        assert image.get(conn, made.id).status == "uploading"

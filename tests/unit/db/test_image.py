"""Rows of images: what goes in comes out, ids never come back, updates name what they expect."""

import threading

import pytest
import sqlalchemy as sa

from imagesvc import errors
from imagesvc.db import foreign_location, image_disk, image_state, member, metadata, tag
from imagesvc.db import image as rows
from imagesvc.domain import state
from imagesvc.domain.foreign_location import ForeignLocation
from imagesvc.domain.member import Member
from imagesvc.domain.state import ImageStatus, MemberStatus
from imagesvc.policy import visibility
from tests.unit.db import make


def _insert(database, image):
    with database.write() as conn:
        rows.insert(conn, image)
    return image


def _get(database, image_id):
    with database.read() as conn:
        return rows.get(conn, image_id)


def test_an_image_comes_back_as_it_went_in_by_one_statement(database):
    image = _insert(
        database,
        make.image(
            tags=("a", 'b"c', "ü"), properties={"os": "x" * 5000, "q": '{"'}, size_bytes=2**62
        ),
    )
    with make.counted(database) as seen, database.read() as conn:
        assert rows.get(conn, image.id, visibility.predicate(make.caller("alpha"))) == image
    assert len(seen) == 1


def test_an_image_without_tags_and_properties_has_none(database):
    image = _insert(database, make.image())
    assert _get(database, image.id) == image


def test_an_id_never_comes_back(database):
    image = _insert(database, make.image())
    with pytest.raises(errors.Conflict) as caught:
        _insert(database, image)
    assert caught.value.reason is errors.Reason.ID_TAKEN
    with database.write() as conn:
        rows.transition(conn, image.id, "delete")
    assert _get(database, image.id) is None
    with database.read() as conn:
        assert rows.id_used(conn, image.id)
        assert not rows.id_used(conn, "never")
    with pytest.raises(errors.Conflict):
        _insert(database, image)


def test_an_update_raises_the_revision_and_returns_the_image(database):
    image = _insert(database, make.image(tags=("a",)))
    with database.write() as conn:
        changed = rows.update(conn, image.id, {"name": None, "family": "f"}, revision=0)
    assert (changed.name, changed.revision, changed.tags) == (None, 1, ("a",))
    assert changed.updated_at > image.updated_at
    assert _get(database, image.id) == changed


def test_an_update_that_expects_another_row_conflicts(database):
    image = _insert(database, make.image())
    with pytest.raises(errors.Conflict), database.write() as conn:
        rows.update(conn, image.id, {"name": "x"}, revision=7)
    assert _get(database, image.id) == image


def test_an_update_of_a_missing_image_finds_none(database):
    with pytest.raises(errors.ImageNotFound), database.write() as conn:
        rows.update(conn, "missing", {"name": "x"})


def test_an_update_never_sets_the_status(database):
    with pytest.raises(ValueError, match="status"), database.write() as conn:
        rows.update(conn, "any", {"status": "active"})


def test_properties_are_set_overwritten_and_removed(database):
    image = _insert(database, make.image(properties={"a": "1", "b": "2"}))
    with database.write() as conn:
        rows.set_properties(conn, image.id, {"b": "3", "c": "4"}, ["a", "missing"])
    assert _get(database, image.id).properties == {"b": "3", "c": "4"}


def test_tags_are_added_removed_and_replaced(database):
    image = _insert(database, make.image(tags=("a",)))
    with database.write() as conn:
        tag.add(conn, image.id, "b")
        tag.add(conn, image.id, "b")
        tag.remove(conn, image.id, "a")
    assert _get(database, image.id).tags == ("b",)
    with pytest.raises(errors.TagNotFound), database.write() as conn:
        tag.remove(conn, image.id, "a")
    with database.write() as conn:
        tag.replace(conn, image.id, ["c", "b", "c"])
    assert _get(database, image.id).tags == ("b", "c")
    with database.write() as conn:
        tag.replace(conn, image.id, [])
    assert _get(database, image.id).tags == ()


def _reach(database, image_id, status):
    """Put a status into the row, whatever the table says."""
    with database.write() as conn:
        conn.execute(sa.update(rows.TABLE).where(rows.TABLE.c.id == image_id).values(status=status))


@pytest.mark.parametrize("row", state.IMAGE.rows, ids=lambda row: row.event)
def test_an_event_is_possible_from_its_sources_alone(database, row):
    for status in ImageStatus:
        image = _insert(database, make.image(disk_format="raw", container_format="bare"))
        with database.write() as conn:
            image_disk.insert_disk(conn, image.id, make.disk())
            foreign_location.put(conn, image.id, [ForeignLocation("web", "http://x/")])
        _reach(database, image.id, status)
        if status in row.sources:
            with database.write() as conn:
                rows.transition(conn, image.id, row.event)
            with database.read() as conn:
                reached = sa.select(rows.TABLE.c.status).where(rows.TABLE.c.id == image.id)
                assert conn.scalar(reached) == row.target
        else:
            with pytest.raises(errors.StateConflict) as caught, database.write() as conn:
                rows.transition(conn, image.id, row.event)
            assert caught.value.facts["status"] == status
            assert caught.value.facts["allowed"] == ", ".join(sorted(row.sources))
            assert _get(database, image.id).status == status


def test_every_guard_of_the_table_is_a_condition():
    assert {one for row in state.IMAGE.rows for one in row.guards} == set(image_state.GUARDS)


def test_a_failing_guard_says_what_is_missing(database):
    image = _insert(database, make.image(protected=True))
    with pytest.raises(errors.InvalidRequest) as caught, database.write() as conn:
        rows.transition(conn, image.id, "upload")
    assert caught.value.reason is errors.Reason.FORMAT_MISSING
    with pytest.raises(errors.Forbidden) as refused, database.write() as conn:
        rows.transition(conn, image.id, "delete", action="image:delete")
    assert refused.value.reason is errors.Reason.IMAGE_PROTECTED
    assert refused.value.facts["action"] == "image:delete"
    _reach(database, image.id, "saving")
    with pytest.raises(errors.NoContent), database.write() as conn:
        rows.transition(conn, image.id, "upload_done")
    with pytest.raises(errors.ImageNotFound), database.write() as conn:
        rows.transition(conn, "missing", "upload")


def test_of_four_threads_one_wins_a_transition(database):
    for _ in range(10):
        image = _insert(database, make.image(disk_format="raw", container_format="bare"))
        barrier = threading.Barrier(4)
        outcomes = []

        def upload(image=image, barrier=barrier, outcomes=outcomes):
            barrier.wait()
            try:
                with database.write() as conn:
                    rows.transition(conn, image.id, "upload", {"upload_token": "t"})
                outcomes.append("won")
            except errors.StateConflict:
                outcomes.append("lost")

        threads = [threading.Thread(target=upload) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(outcomes) == ["lost", "lost", "lost", "won"]


def test_an_upload_is_the_holders_of_its_token(database):
    image = _insert(database, make.image(disk_format="raw", container_format="bare"))
    with database.write() as conn:
        rows.transition(conn, image.id, "upload", {"upload_token": "mine"})
        assert rows.heartbeat(conn, image.id, "mine")
        assert not rows.heartbeat(conn, image.id, "other")
        assert rows.stale_saving(conn, metadata.now()) == [(image.id, "saving", "mine")]
        assert rows.stale_saving(conn, make.START) == []
    with pytest.raises(errors.Conflict) as caught, database.write() as conn:
        rows.transition(conn, image.id, "upload_failed", upload_token="other")
    assert caught.value.reason is errors.Reason.IMAGE_BUSY
    with database.write() as conn:
        rows.transition(conn, image.id, "upload_failed", upload_token="mine")
        assert not rows.heartbeat(conn, image.id, "mine")
        assert rows.stale_saving(conn, metadata.now()) == []


def test_deletion_removes_what_hung_from_the_image(database):
    image = _insert(database, make.image(tags=("a",), properties={"k": "v"}))
    offer = Member(image.id, "beta", MemberStatus.PENDING, make.START, make.START)
    first, second = make.disk(), make.disk(index=1, locations=())
    with database.write() as conn:
        member.insert(conn, offer, image_created_at=image.created_at)
        image_disk.insert_disk(conn, image.id, first)
        image_disk.insert_disk(conn, image.id, second)
        assert image_disk.list_for(conn, image.id) == (first, second)
        assert rows.count_by_owner(conn, "alpha") == 1
        rows.transition(conn, image.id, "delete")
        assert image_disk.delete_for(conn, image.id) == (list(first.locations), 20)
        assert image_disk.list_for(conn, image.id) == ()
        assert member.count(conn, image.id) == 0
        assert rows.count_by_owner(conn, "alpha") == 0

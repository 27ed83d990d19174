"""Marks of copies that are not what was stored, and the count of those that are."""

import pytest
import sqlalchemy as sa

from imagesvc.db import damage, image_disk, location
from imagesvc.db import image as image_rows
from tests.unit.db import make

TWO = (("local", "a"), ("far", "b"))


def stored(database, *places):
    """An image with a disk at these places; its id."""
    image = make.image()
    with database.write() as conn:
        image_rows.insert(conn, image)
        image_disk.insert_disk(conn, image.id, make.disk(locations=places))
    return image.id


def marks(database, image_id):
    """(store, key, number, fault) of each mark, and the places as they are."""
    with database.read() as conn:
        (disk,) = image_disk.list_for(conn, image_id)
    found = [(one.store_id, one.storage_key, one.number, one.fault) for one in disk.damages]
    return found, disk.locations


def test_a_mark_is_made_once_and_taken_away_once(database):
    image_id = stored(database, *TWO)
    with database.write() as conn:
        assert damage.mark(conn, "far", "b", 1, "corrupt") is True
        assert damage.mark(conn, "far", "b", 1, "corrupt") is False
        assert damage.mark(conn, "far", "b", 0, "corrupt") is True
        assert damage.mark(conn, "far", "b", 0, "missing") is True
    expected = [("far", "b", 0, "missing"), ("far", "b", 1, "corrupt")]
    assert marks(database, image_id) == (expected, TWO)
    with database.write() as conn:
        assert damage.unmark(conn, "far", "b", 0) is True
        assert damage.unmark(conn, "far", "b", 0) is False
    assert marks(database, image_id) == (expected[1:], TWO)


def test_a_mark_goes_with_its_place(database):
    image_id = stored(database, *TWO)
    with database.write() as conn:
        for place in TWO:
            damage.mark(conn, *place, 0, "corrupt")
        assert location.replace(conn, image_id, 0, TWO[0], "fresh")
    assert marks(database, image_id) == ([(*TWO[1], 0, "corrupt")], (("local", "fresh"), TWO[1]))
    with database.write() as conn:
        location.take(conn, image_id, "far")
    assert marks(database, image_id)[0] == []
    with database.write() as conn:
        damage.mark(conn, "local", "fresh", 0, "missing")
        image_disk.delete_for(conn, image_id)
    with database.read() as conn:
        assert conn.execute(sa.select(damage.TABLE)).all() == []


def test_no_place_no_mark(database):
    with pytest.raises(sa.exc.IntegrityError), database.write() as conn:
        damage.mark(conn, "local", "nowhere", 0, "corrupt")


def test_disks_are_counted_by_their_good_copies(database):
    stored(database)
    stored(database, ("local", "1"))
    stored(database, ("local", "2"), ("far", "2"))
    stored(database, ("local", "3"), ("far", "3"))
    with database.write() as conn:
        assert image_disk.count_by_copies(conn, {}) == {0: 1, 1: 1, 2: 2}
        damage.mark(conn, "local", "2", 0, "corrupt")
        damage.mark(conn, "far", "3", 1, "corrupt")
        # A mark of a copy that the store keeps no more does not count.
        assert image_disk.count_by_copies(conn, {}) == {0: 1, 1: 2, 2: 1}
        assert image_disk.count_by_copies(conn, {"far": 2}) == {0: 1, 1: 1, 2: 2}

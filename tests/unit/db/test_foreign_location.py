"""Rows of locations that are URLs elsewhere, on both engines."""

import pytest

from imagesvc import errors
from imagesvc.db import foreign_location, location
from imagesvc.db import image as rows
from imagesvc.domain.foreign_location import ForeignLocation
from tests.unit.db import make

PLACES = tuple(ForeignLocation("web", f"http://x/{n}", {"n": n}) for n in (2, 0, 1))


@pytest.fixture
def image(database):
    made = make.image(disk_format="raw", container_format="bare")
    with database.write() as conn:
        rows.insert(conn, made)
    return made


def of(database, image):
    """The image's, and what the image says of its store."""
    with database.read() as conn:
        places = foreign_location.of(conn, (image.id,)).get(image.id, ())
        return places, rows.get(conn, image.id).foreign_store


def test_locations_keep_their_order_and_are_put_as_a_whole(database, image):
    assert of(database, image) == ((), None)
    for places in (PLACES, PLACES[::-1], PLACES[:1]):
        with database.write() as conn:
            foreign_location.put(conn, image.id, places)
        assert of(database, image) == (places, "web")
    with database.write() as conn:
        foreign_location.clear(conn, image.id)
        foreign_location.clear(conn, image.id)
    assert of(database, image) == ((), None)


def test_an_image_is_linked_only_to_a_location_that_is_there(database, image):
    with pytest.raises(errors.NoContent), database.write() as conn:
        rows.transition(conn, image.id, "link")
    with database.write() as conn:
        foreign_location.put(conn, image.id, PLACES)
        rows.transition(conn, image.id, "link", {"size_bytes": 5})
    with database.read() as conn:
        found = rows.get(conn, image.id)
        assert (found.status, found.size_bytes, found.stores) == ("active", 5, ())
        assert image.id not in location.without(conn, 1000)
    with database.write() as conn:
        foreign_location.clear(conn, image.id)
        assert image.id in location.without(conn, 1000)


def test_a_deleted_image_keeps_none(database, image):
    with database.write() as conn:
        foreign_location.put(conn, image.id, PLACES)
        rows.transition(conn, image.id, "delete")
        assert foreign_location.of(conn, (image.id,)) == {}


def test_no_url_shows_in_a_location_that_is_printed():
    assert "http" not in repr(PLACES[0])

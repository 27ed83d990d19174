"""Rows of the catalog, on both engines."""

import datetime

import pytest

from imagesvc.db import catalog
from imagesvc.db import image as rows
from imagesvc.domain.catalog import Evidence, FamilyState, Published
from tests.unit.db import make
from tests.unit.domain.test_catalog import NEW, OLD, signed

EVIDENCE = Evidence(b"a list", b"a signature")
DAY = datetime.timedelta(days=1)


@pytest.fixture
def published(database):
    """Two releases of a family, the older first, with images of theirs; the newer is current."""
    entries = []
    with database.write() as conn:
        for number, release in enumerate((OLD, signed(NEW))):
            image = make.image()
            rows.insert(conn, image)
            moment = make.START + number * DAY
            one = Published(image.id, release, ("sha512", "e" * 128), moment, moment)
            catalog.insert(conn, image.id, release, moment, EVIDENCE)
            assert catalog.get(conn, image.id) is None
            catalog.publish(conn, image.id, one.stored, moment)
            catalog.keep(conn, "debian-13", image_id=image.id, signed_at=moment)
            entries.append(one)
    return entries


def test_releases_come_back_as_they_were_put(database, published):
    with database.read() as conn:
        assert catalog.get(conn, published[1].image_id) == published[1]
        assert catalog.releases(conn, "debian-13") == (published[1], published[0])
        assert catalog.releases(conn) == (published[1], published[0])
        assert catalog.releases(conn, "other") == ()
        assert catalog.current(conn, "debian-13") == published[1]
        assert catalog.locked(conn) == (published[1],)
        assert catalog.evidence(conn, published[0].image_id) == EVIDENCE
        assert catalog.get(conn, "none") is None


def test_a_deleted_image_is_current_no_more_and_stays_known(database, published):
    with database.write() as conn:
        rows.transition(conn, published[1].image_id, "delete")
        assert catalog.current(conn, "debian-13") is None
        assert catalog.releases(conn, "debian-13") == (published[0],)
        assert catalog.get(conn, published[1].image_id) == published[1]


def test_what_was_rolled_back_is_known_by_its_digest(database, published):
    with database.write() as conn:
        catalog.withdraw(conn, published[1].image_id, make.START)
        assert catalog.withdrawn(conn, "debian-13") == {NEW.digest_text}
        catalog.withdraw(conn, published[1].image_id, None)
        assert catalog.withdrawn(conn, "debian-13") == frozenset()


def test_one_of_two_jobs_gets_a_family(database):
    with database.write() as conn:
        assert catalog.state(conn, "alpine", lock=True) == FamilyState("alpine")
        assert catalog.claim(conn, "alpine", "first", None)
        assert not catalog.claim(conn, "alpine", "second", None)
        assert catalog.claim(conn, "alpine", "second", "first")
        assert catalog.state(conn, "alpine") == FamilyState("alpine", job_id="second")


def test_what_is_not_named_stays(database):
    with database.write() as conn:
        catalog.keep(conn, "alpine", cause="a cause", failed_at=make.START)
        catalog.keep(conn, "alpine", checked_at=make.START)
        found = catalog.states(conn)
    wanted = FamilyState("alpine", cause="a cause", failed_at=make.START, checked_at=make.START)
    assert found == {"alpine": wanted}


def test_a_release_of_which_nothing_came_is_forgotten_and_a_published_one_is_not(
    database, published
):
    image = make.image()
    with database.write() as conn:
        rows.insert(conn, image)
        catalog.insert(conn, image.id, NEW, make.START, EVIDENCE)
        assert catalog.coming(conn, image.id) == NEW
        assert len(catalog.releases(conn)) == 2
        for image_id in (image.id, image.id, published[0].image_id):
            catalog.forget(conn, image_id)
        assert catalog.coming(conn, image.id) is None
        assert catalog.get(conn, published[0].image_id) == published[0]

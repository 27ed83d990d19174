"""Two changes of one image at once, on PostgreSQL: neither waits for the other in a circle.

A third transaction holds the row of the image until both wait, so that the order in which each
of them takes its locks is what the test is about, and no luck is needed.
"""

import threading

import pytest
import sqlalchemy as sa

from imagesvc import errors
from imagesvc.db import image_table, member
from imagesvc.domain.image import NewImage
from imagesvc.domain.image_property import Change, Limits
from tests import poll
from tests.unit.worker.conftest import CALLER


@pytest.fixture
def url(postgresql_url):
    """Rows that are locked one by one."""
    return postgresql_url


@pytest.fixture
def image(service):
    """A shared image with a tag, a property and a member."""
    new = NewImage(name="x", visibility="shared", tags=("old",), properties={"a": "1", "b": "1"})
    made = service.images.create(CALLER, new)
    service.members.add(CALLER, made.id, "member")
    return made


def _waiting(conn):
    return conn.exec_driver_sql(
        "SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted"
    ).scalar_one()


def _at_once(service, image_id, *acts):
    """Begin the acts in this order while the image is locked; None or the error of each."""
    found = [None] * len(acts)

    def go(n):
        try:
            acts[n]()
        except Exception as exc:  # the test judges it
            found[n] = exc

    threads = [threading.Thread(target=go, args=(n,)) for n in range(len(acts))]
    held = sa.select(image_table.TABLE.c.id).where(image_table.TABLE.c.id == image_id)
    with service.database.write() as conn, service.database.read() as watch:
        conn.execute(held.with_for_update())
        for n, thread in enumerate(threads, 1):
            thread.start()
            poll.until(lambda n=n: _waiting(watch) >= n)
    for thread in threads:
        thread.join()
    service.database.dispose()
    return found


def test_the_end_of_a_job_and_the_deletion_of_its_image_do_not_wait_in_a_circle(service, capture):
    made, job = capture
    deleted, cancelled = _at_once(
        service,
        made.id,
        lambda: service.images.delete(CALLER, made.id),
        lambda: service.jobs.cancel(CALLER, job.id),
    )
    assert deleted is None
    assert isinstance(cancelled, errors.StateConflict)  # the deletion cancelled it
    assert service.jobs.get(CALLER, job.id).state == "cancelled"


@pytest.mark.parametrize(
    "change",
    [
        Change("replace", ("properties", "a"), "2"),
        Change("remove", ("properties", "a")),
        Change("replace", ("tags",), ["new"]),
    ],
)
def test_a_patch_and_a_deletion_do_not_wait_in_a_circle(service, image, change):
    deleted, patched = _at_once(
        service,
        image.id,
        lambda: service.images.delete(CALLER, image.id),
        lambda: service.images.patch(CALLER, image.id, (change,)),
    )
    assert deleted is None
    assert isinstance(patched, errors.ImageNotFound)


def test_the_removal_of_a_tag_and_a_deletion_do_not_wait_in_a_circle(service, image):
    deleted, removed = _at_once(
        service,
        image.id,
        lambda: service.images.delete(CALLER, image.id),
        lambda: service.tags.remove(CALLER, image.id, "old"),
    )
    assert deleted is None
    assert isinstance(removed, errors.ImageNotFound)


def test_a_deleted_image_gets_no_member(service, image):
    deleted, added = _at_once(
        service,
        image.id,
        lambda: service.images.delete(CALLER, image.id),
        lambda: service.members.add(CALLER, image.id, "late"),
    )
    assert deleted is None
    assert isinstance(added, errors.ImageNotFound)
    with service.database.read() as conn:
        assert member.count(conn, image.id) == 0


def test_an_image_that_is_private_by_now_gets_no_member(service, image):
    private = Change("replace", ("visibility",), "private")
    patched, added = _at_once(
        service,
        image.id,
        lambda: service.images.patch(CALLER, image.id, (private,)),
        lambda: service.members.add(CALLER, image.id, "late"),
    )
    assert patched is None
    assert isinstance(added, errors.Forbidden)


@pytest.mark.parametrize("what", ["tags", "members"])
def test_rivals_do_not_pass_a_limit_together(service, image, what):
    limit = getattr(Limits(), what)
    names = [f"n{n}" for n in range(limit - 2)]
    if what == "tags":
        service.images.patch(CALLER, image.id, (Change("replace", ("tags",), ["old", *names]),))
        add = service.tags.add
    else:
        for name in names:
            service.members.add(CALLER, image.id, name)
        add = service.members.add
    found = _at_once(
        service,
        image.id,
        *(lambda n=n: add(CALLER, image.id, f"rival{n}") for n in range(4)),
    )
    assert found.count(None) == 1
    assert sum(isinstance(one, errors.TooLarge) for one in found) == 3

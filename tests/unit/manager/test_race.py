"""Two changes of one image at once, on PostgreSQL: neither waits for the other in a circle.

A third transaction holds the row of the image until both wait, so that the order in which each
of them takes its locks is what the test is about, and no luck is needed.
"""

import threading

import pytest
import sqlalchemy as sa

from imagesvc import errors
from imagesvc.db import image as image_rows
from imagesvc.db import image_table, member, metadata
from imagesvc.db import job as job_rows
from imagesvc.domain.image import NewImage
from imagesvc.domain.image_import import ImportRequest
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
        lambda: service.deletions.delete(CALLER, made.id),
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
        lambda: service.deletions.delete(CALLER, image.id),
        lambda: service.images.patch(CALLER, image.id, (change,)),
    )
    assert deleted is None
    assert isinstance(patched, errors.ImageNotFound)


def test_the_removal_of_a_tag_and_a_deletion_do_not_wait_in_a_circle(service, image):
    deleted, removed = _at_once(
        service,
        image.id,
        lambda: service.deletions.delete(CALLER, image.id),
        lambda: service.tags.remove(CALLER, image.id, "old"),
    )
    assert deleted is None
    assert isinstance(removed, errors.ImageNotFound)


def test_a_deleted_image_gets_no_member(service, image):
    deleted, added = _at_once(
        service,
        image.id,
        lambda: service.deletions.delete(CALLER, image.id),
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


class Breaking:
    """A body that breaks off as soon as it is let go."""

    def __init__(self):
        self.begun, self.go_on = threading.Event(), threading.Event()

    def read(self, size, /):
        self.begun.set()
        assert self.go_on.wait(30)
        raise ConnectionResetError


def test_an_upload_that_fails_while_its_image_is_deleted_fails_as_it_would_have(service):
    new = NewImage(name="x", disk_format="raw", container_format="bare")
    image_id, body, found = service.images.create(CALLER, new).id, Breaking(), []
    upload = _begun(lambda: service.image_files.upload(CALLER, image_id, body), found)
    assert body.begun.wait(30)

    def fail():
        body.go_on.set()
        upload.join()

    deleted, _ = _at_once(
        service, image_id, lambda: service.deletions.delete(CALLER, image_id), fail
    )
    assert deleted is None
    assert [type(one) for one in found] == [ConnectionResetError]


def test_a_deletion_waits_for_no_job_that_came_while_it_waited_for_the_image(service):
    """A worker that has the new job wants the image, which the deletion has."""
    new = NewImage(name="x", disk_format="raw", container_format="bare", visibility="shared")
    made = service.images.create(CALLER, new)
    service.members.add(CALLER, made.id, "member")
    wanted = ImportRequest("web-download", uri="http://example.com/x")
    found = []

    def import_and_delete(held):
        for n, act in enumerate(
            (
                lambda: service.imports.start(CALLER, made.id, wanted),
                lambda: service.deletions.delete(CALLER, made.id),
            ),
            1,
        ):
            threads.append(_begun(act, found))
            poll.until(lambda n=n: _waiting(watch) >= n)
        held.rollback()

    def work():
        with service.database.write() as conn:
            job = job_rows.claim(conn, "worker", 30, metadata.now())
        with service.database.write() as conn:
            job_rows.fence(conn, job)
            image_rows.get(conn, made.id, lock=True)

    threads = []
    image, offer = image_table.TABLE, member.TABLE
    with (
        service.database.scan() as watch,
        service.database.scan() as held,
        service.database.scan() as gate,
    ):
        # The deletion has the image by then, and looks at jobs afterwards.
        gate.execute(
            sa.select(offer.c.image_id).where(offer.c.image_id == made.id).with_for_update()
        )
        held.execute(sa.select(image.c.id).where(image.c.id == made.id).with_for_update())
        import_and_delete(held)
        threads[0].join()
        poll.until(lambda: _waiting(watch) == 1)
        threads.append(_begun(work, found))
        poll.until(lambda: _waiting(watch) == 2)
        gate.rollback()
        for thread in threads:
            thread.join()
    (job,) = service.jobs.list(CALLER)
    service.database.dispose()
    assert found == []
    assert (job.state, job.cancel_requested) == ("running", True)


def _begun(act, found):
    """A thread that does it; what it raises is added to `found`."""

    def go():
        try:
            act()
        except Exception as exc:  # the test judges it
            found.append(exc)

    thread = threading.Thread(target=go)
    thread.start()
    return thread

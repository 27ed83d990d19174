"""Quotas in the transactions of images, uploads and captures, on both engines."""

import dataclasses
import io
import threading

import pytest

from imagesvc import errors
from imagesvc.db import lease, quota
from imagesvc.domain.image import NewImage
from imagesvc.domain.image_property import Change
from imagesvc.domain.quota import Change as Use
from imagesvc.domain.quota import Resource
from imagesvc.interface import errors as driver_errors
from imagesvc.manager import quota_verify
from imagesvc.worker import quota as chore
from imagesvc.worker import reaper
from tests.unit.db import make
from tests.unit.worker.conftest import CALLER
from tests.unit.worker.paper_compute import DISK

ADMIN = dataclasses.replace(CALLER, roles=frozenset({"admin"}), is_admin=True)
THREADS = 20
SIZE = 1000


def limit(service, **limits):
    found = {Resource(name): value for name, value in limits.items()}
    service.quotas.set_limits(ADMIN, CALLER.project_id, found)


def use(service, project=CALLER.project_id):
    """What the counters say, and that the rows say the same."""
    assert quota_verify.verify(service.database) == ()
    found = service.quotas.show(ADMIN, project)
    return {str(one.resource): (one.used, one.reserved) for one in found}


def counts(images=0, stored_bytes=0, reserved=0, uploads=0):
    return {
        "images": (images, 0),
        "stored_bytes": (stored_bytes, reserved),
        "uploads": (0, uploads),
    }


def create(service, **facts):
    new = NewImage(name="x", disk_format="raw", container_format="bare", **facts)
    return service.images.create(CALLER, new).id


def upload(service, image_id, data=b"x" * SIZE, announced=True):
    reader = data if hasattr(data, "read") else io.BytesIO(data)
    size = len(data) if announced else None
    return service.image_files.upload(CALLER, image_id, reader, size)


def outcomes(work, arguments):
    """Do it in a thread each; True, or the error of each."""
    found = []

    def go(argument):
        try:
            work(argument)
            found.append(True)
        except errors.ImagesvcError as exc:
            found.append(exc)

    threads = [threading.Thread(target=go, args=(one,)) for one in arguments]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    refused = [one for one in found if one is not True]
    assert [one for one in refused if not isinstance(one, errors.QuotaExceeded)] == []
    return found.count(True), len(refused)


def test_of_twenty_threads_as_many_create_as_the_limit_allows(service):
    limit(service, images=7)
    assert outcomes(lambda _: create(service), range(THREADS)) == (7, 13)
    assert use(service) == counts(images=7)


@pytest.mark.parametrize("announced", [True, False])
def test_of_twenty_threads_as_many_store_as_the_limit_allows(service, announced):
    ids = [create(service) for _ in range(THREADS)]
    limit(service, stored_bytes=SIZE * 7 + SIZE // 2)
    send = lambda image_id: upload(service, image_id, announced=announced)  # noqa: E731
    assert outcomes(send, ids) == (7, 13)
    assert use(service) == counts(images=THREADS, stored_bytes=7 * SIZE)
    statuses = [service.images.get(CALLER, image_id).status for image_id in ids]
    assert (statuses.count("active"), statuses.count("queued")) == (7, 13)
    assert len(service.backends.storage().list()) == 7


def test_of_twenty_threads_as_many_upload_at_once_as_the_limit_allows(service):
    ids = [create(service) for _ in range(THREADS)]
    limit(service, uploads=3)
    turned_away = threading.Semaphore(0)
    rest = threading.Event()

    class Slow(io.BytesIO):
        """A client whose bytes come when all others are turned away."""

        def __len__(self):
            return SIZE

        def read(self, size=-1):
            assert rest.wait(60)
            return super().read(size)

    def send(image_id):
        try:
            upload(service, image_id, Slow(b"x" * SIZE))
        except errors.QuotaExceeded:
            turned_away.release()
            raise

    def count():
        for _ in range(THREADS - 3):
            assert turned_away.acquire(timeout=60)
        during.update(use(service))
        rest.set()

    during = {}
    counter = threading.Thread(target=count)
    counter.start()
    assert outcomes(send, ids) == (3, 17)
    counter.join()
    assert during == counts(images=THREADS, reserved=3 * SIZE, uploads=3)
    assert use(service) == counts(images=THREADS, stored_bytes=3 * SIZE)


def test_use_is_counted_without_a_limit_and_given_back(service):
    image_id = create(service)
    upload(service, image_id)
    other = create(service)
    assert use(service) == counts(images=2, stored_bytes=SIZE)
    limit(service, images=2, stored_bytes=SIZE)
    with pytest.raises(errors.QuotaExceeded, match="images exceeded: 2 of 2 images used, 1 more"):
        create(service)
    service.deletions.delete(CALLER, image_id)
    upload(service, other, announced=False)
    service.deletions.delete(CALLER, other)
    assert use(service) == counts()


class Counting(io.BytesIO):
    """A body that says how much was read of it."""

    def __len__(self):
        return len(self.getbuffer())


def test_an_announced_upload_that_does_not_fit_is_refused_unread(service):
    limit(service, stored_bytes=SIZE)
    image_id, body = create(service), Counting(b"x" * (SIZE + 1))
    with pytest.raises(errors.QuotaExceeded) as caught:
        upload(service, image_id, body)
    assert str(caught.value) == (
        "Quota for stored_bytes exceeded: 0 of 1000 bytes used, 1001 more asked."
    )
    assert body.tell() == 0
    assert service.images.get(CALLER, image_id).status == "queued"
    assert use(service) == counts(images=1)


def test_an_upload_of_unknown_length_stops_when_it_passes_the_limit(service):
    limit(service, stored_bytes=3 << 20)
    image_id, body = create(service), Counting(b"x" * (32 << 20))
    with pytest.raises(errors.QuotaExceeded):
        upload(service, image_id, body, announced=False)
    assert body.tell() <= 5 << 20
    assert service.images.get(CALLER, image_id).status == "queued"
    assert service.backends.storage().list() == []
    assert use(service) == counts(images=1)
    upload(service, image_id, b"x" * (3 << 20), announced=False)
    assert use(service) == counts(images=1, stored_bytes=3 << 20)


def test_an_empty_upload_fits_even_above_a_lowered_limit(service):
    first, second = create(service), create(service)
    upload(service, first)
    limit(service, stored_bytes=1)
    assert upload(service, second, b"", announced=False).status == "active"


def test_a_failed_upload_leaves_no_use(service):
    image_id = create(service)
    with pytest.raises(errors.UnsupportedImage):
        upload(service, image_id, b"QFI\xfb\0\0\0\3" + bytes(1024))
    with pytest.raises(errors.InvalidRequest):
        service.image_files.upload(CALLER, image_id, io.BytesIO(b"short"), SIZE)
    assert use(service) == counts(images=1)


def test_an_image_deleted_while_its_bytes_come_leaves_no_use(service):
    image_id = create(service)

    class Deleting(io.BytesIO):
        """Deletes the image before the first byte."""

        def read(self, size=-1):
            if self.tell() == 0:
                service.deletions.delete(CALLER, image_id)
                assert use(service) == counts(reserved=SIZE, uploads=1)
            return super().read(size)

    with pytest.raises(errors.ImageGone):
        service.image_files.upload(CALLER, image_id, Deleting(b"x" * SIZE), SIZE)
    assert use(service) == counts()


def test_a_new_owner_takes_the_use_over_if_it_fits(service):
    image_id = create(service)
    upload(service, image_id)
    service.quotas.set_limits(ADMIN, "other", {Resource.STORED_BYTES: SIZE - 1})
    give = (Change("replace", ("owner",), "other"),)
    with pytest.raises(errors.QuotaExceeded):
        service.images.patch(ADMIN, image_id, give)
    assert use(service) == counts(images=1, stored_bytes=SIZE)
    service.quotas.set_limits(ADMIN, "other", {Resource.STORED_BYTES: None})
    service.images.patch(ADMIN, image_id, give)
    assert use(service) == counts()
    assert use(service, "other") == counts(images=1, stored_bytes=SIZE)


# ------------------------------------------------------------------ captures


def test_a_capture_reserves_and_settles(service, capture, work):
    assert use(service) == counts(images=1, reserved=len(DISK))
    work()
    assert use(service) == counts(images=1, stored_bytes=len(DISK))


@pytest.mark.parametrize("limits", [{"images": 0}, {"stored_bytes": len(DISK) - 1}])
def test_a_capture_that_does_not_fit_is_refused_and_leaves_nothing(service, limits):
    limit(service, **limits)
    with pytest.raises(errors.QuotaExceeded):
        service.captures.start(CALLER, server_id="server", name="captured")
    assert use(service) == counts()
    assert service.jobs.list(CALLER) == ()


def test_a_failed_capture_gives_everything_back_and_takes_it_again(service, capture, compute, work):
    compute.faults["open_snapshot"] = driver_errors.DriverError("The disk is broken.", "")
    work()
    image, job = capture
    assert use(service) == counts()
    limit(service, images=0)
    with pytest.raises(errors.QuotaExceeded):
        service.jobs.retry(CALLER, job.id)
    limit(service, images=1)
    compute.faults.clear()
    service.jobs.retry(CALLER, job.id)
    assert use(service) == counts(images=1, reserved=len(DISK))
    work()
    assert use(service) == counts(images=1, stored_bytes=len(DISK))
    service.deletions.delete(CALLER, image.id)
    assert use(service) == counts()


def test_the_deletion_of_a_killed_image_gives_nothing_back_twice(service, capture, compute, work):
    compute.faults["start_snapshot"] = driver_errors.DriverError("No.", "")
    work()
    service.deletions.delete(CALLER, capture[0].id)
    assert use(service) == counts()


@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize("by", ["cancel", "delete"])
def test_a_stopped_capture_gives_everything_back(service, capture, compute, work, by, begun):
    image, job = capture
    if begun:
        compute.pending = True
        work(1)
    if by == "cancel":
        service.jobs.cancel(CALLER, job.id)
    else:
        service.deletions.delete(CALLER, image.id)
    work()
    assert service.jobs.get(CALLER, job.id).state == "cancelled"
    assert use(service) == counts()


# ------------------------------------------------------------------- repairs


def test_what_nobody_answers_for_is_released_by_the_reaper(service, monkeypatch):
    with service.database.write() as conn:
        service.quotas.reserve(conn, CALLER.project_id, "lost", stored_bytes=9, uploads=1)
    assert reaper.run(service) == 0
    assert use(service) == counts(reserved=9, uploads=1)
    monkeypatch.setattr(service.conf, "worker", _Later(service.conf.worker))
    assert reaper.run(service) == 1
    assert use(service) == counts()


class _Later:
    """The worker's options after a pause longer than any upload may take."""

    def __init__(self, options):
        self._options = options
        self.upload_stale_s = -1

    def __getattr__(self, name):
        return getattr(self._options, name)


def test_a_counter_that_went_astray_is_mended_once_in_an_interval(service):
    create(service)

    def spoil():
        with service.database.write() as conn:
            quota.change(conn, [Use(CALLER.project_id, Resource.IMAGES, used=5)], {})

    spoil()
    assert chore.run(service) == 1
    assert use(service) == counts(images=1)
    spoil()
    assert chore.run(service) == 0
    with service.database.write() as conn:
        held = lease.TABLE.delete().where(lease.TABLE.c.name == "quota")
        conn.execute(held)
    assert chore.run(service) == 1


def test_verifying_alone_changes_nothing_and_sees_no_error_in_running_work(service):
    limit(service, images=-1)
    stop = threading.Event()
    wrong = []

    def look():
        while not stop.is_set():
            wrong.extend(quota_verify.verify(service.database, mend=True))

    watcher = threading.Thread(target=look)
    watcher.start()

    def work(_):
        for _ in range(5):
            service.deletions.delete(CALLER, create(service))

    assert outcomes(work, range(4)) == (4, 0)
    stop.set()
    watcher.join()
    assert wrong == []
    assert use(service) == counts()


# ---------------------------------------------------------------- statements


def test_quota_and_audit_are_within_the_budgets_of_statements(service):
    new = NewImage(name="x", tags=("a", "b"), properties={"k": "v", "l": "w"})
    with make.counted(service.database) as seen:
        image = service.images.create(CALLER, new)
    assert len(seen) == 5
    with make.counted(service.database) as seen:
        service.images.get(CALLER, image.id)
    assert len(seen) <= 2
    changes = (Change("replace", ("name",), "y"), Change("add", ("properties", "m"), "n"))
    with make.counted(service.database) as seen:
        service.images.patch(CALLER, image.id, changes)
    assert len(seen) <= 6
    with make.counted(service.database) as seen:
        service.images.patch(ADMIN, image.id, (Change("replace", ("owner",), "other"),))
    assert len(seen) <= 6

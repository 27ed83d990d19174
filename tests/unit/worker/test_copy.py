"""A copy that is broken off in the middle of a disk goes on there, and proves what was there."""

import datetime
import io
import os

import pytest
import sqlalchemy as sa

from imagesvc.db import image_disk, job_table, metadata
from imagesvc.domain.image import NewImage
from imagesvc.interface.errors import NoSpace
from imagesvc.manager import data_key
from imagesvc.manager.copy import NewCopy
from imagesvc.stream import envelope
from imagesvc.worker import flow, gradual_write, reaper
from imagesvc.worker.step import copy
from imagesvc_drivers.storage.file_writer import FileWriter
from tests.unit.worker.conftest import CALLER

pytestmark = pytest.mark.parametrize("url", ["sqlite"], indirect=True)
MIB = 1 << 20
DATA = os.urandom(6 * MIB + 99)


@pytest.fixture(autouse=True)
def _small_windows(monkeypatch):
    monkeypatch.setattr(gradual_write, "WINDOW_BYTES", MIB)


@pytest.fixture
def sealed(monkeypatch):
    """Plain bytes by nonce, of all that is sealed; no two objects have the same prefix."""
    found = {}
    seal = envelope._Cipher.seal

    def noted(self, segment, plain, last):
        found.setdefault((self._prefix, segment, last), set()).add(bytes(plain))
        return seal(self, segment, plain, last)

    monkeypatch.setattr(envelope._Cipher, "seal", noted)
    return found


@pytest.fixture
def written(monkeypatch):
    """How many bytes each write gave to a file."""
    counts = []
    write = FileWriter.write
    monkeypatch.setattr(
        FileWriter, "write", lambda self, data: counts.append(len(data)) or write(self, data)
    )
    return counts


@pytest.fixture
def source(service):
    """A plain image; its id."""
    wanted = NewImage(name="x", disk_format="raw", container_format="bare")
    image_id = service.images.create(CALLER, wanted).id
    service.image_files.upload(CALLER, image_id, io.BytesIO(DATA), len(DATA))
    return image_id


@pytest.fixture
def begun(service, source, work, monkeypatch):
    """Begin an encrypted copy, and let its worker end after so many windows; the job."""

    def begin(windows=3):
        left = [windows]

        def stop(name):
            left[0] -= name == "step.copy.part"
            if not left[0]:
                left[0] = -1
                raise flow.Released

        monkeypatch.setattr(gradual_write, "crashpoint", stop)
        key_id = service.keys.create(CALLER, "k", None, "once").info.id
        job = service.copies.start(CALLER, source, NewCopy("y", key_id=key_id))
        work(rounds=1)
        assert service.jobs.get(CALLER, job.id).state == "ready"
        return job

    return begin


def file_of(service, image_id):
    """The file of a plain disk."""
    with service.database.read() as conn:
        ((store_id, key),) = image_disk.list_for(conn, image_id)[0].locations
    return service.backends.storage(store_id).path(key)


def parts(service, image_id):
    """What is being written in the same store."""
    return list(file_of(service, image_id).parent.parent.joinpath(".part").iterdir())


def flip(path, at):
    """Change one byte."""
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 1]))


def check_whole(service, job):
    """The copy is there, and right."""
    found = service.jobs.get(CALLER, job.id)
    assert (found.state, found.error_text) == ("done", None)
    with service.image_files.download(CALLER, job.image_id).open() as stream:
        assert stream.read() == DATA


def test_what_a_worker_left_when_it_was_told_to_stop_is_not_written_again(
    service, begun, work, written, sealed
):
    job = begun()
    assert 2 * MIB < sum(written) <= 3 * MIB
    del written[:]
    work()
    check_whole(service, job)
    assert sum(written) < 4 * MIB + 1000
    assert all(len(plain) == 1 for plain in sealed.values())


def test_what_a_rotten_source_gave_before_does_not_get_into_the_copy(service, source, begun, work):
    flip(file_of(service, source), 1000)
    job = begun()
    flip(file_of(service, source), 1000)
    work()
    check_whole(service, job)


def test_other_bytes_than_before_are_sealed_under_no_nonce_that_was_used(
    service, source, begun, work, sealed
):
    job = begun()
    (part,) = parts(service, source)
    os.truncate(part, MIB + 5)  # as a store that took a later part before this one
    flip(file_of(service, source), MIB + 500_000)
    work()
    found = service.jobs.get(CALLER, job.id)
    assert (found.state, "damaged" in found.error_text) == ("failed", True)
    assert all(len(plain) == 1 for plain in sealed.values())
    assert len({prefix for prefix, _, _ in sealed}) == 2  # it began anew


def test_a_window_of_which_nobody_knows_whether_it_went_begins_anew(
    service, source, begun, work, written, monkeypatch
):
    monkeypatch.setattr(gradual_write, "_MARKS_MAX", 1)
    job = begun(4)
    (part,) = parts(service, source)
    os.truncate(part, MIB + 5)
    del written[:]
    work()
    check_whole(service, job)
    assert sum(written) > 6 * MIB


def test_what_is_gone_from_the_store_begins_anew(service, source, begun, work):
    job = begun()
    (part,) = parts(service, source)
    part.unlink()
    work()
    check_whole(service, job)


def test_a_cancelled_copy_leaves_no_part(service, source, begun, work):
    job = begun()
    service.jobs.cancel(CALLER, job.id)
    work()
    assert service.jobs.get(CALLER, job.id).state == "cancelled"
    service.backends.storage().discard_stale(older_than_s=0)
    assert not parts(service, source)


def test_who_lost_the_job_at_its_last_line_leaves_bytes_that_another_may_go_on_with(
    service, source, work, monkeypatch
):
    def taken_over(name):
        if name == "step.copy.committed":
            table, past = job_table.TABLE, metadata.now() - datetime.timedelta(hours=1)
            with service.database.write() as conn:
                values = {"lease_token": table.c.lease_token + 1, "lease_until": past}
                conn.execute(sa.update(table).where(table.c.id == job.id).values(values))

    key_id = service.keys.create(CALLER, "k", None, "once").info.id
    job = service.copies.start(CALLER, source, NewCopy("y", key_id=key_id))
    with monkeypatch.context() as patched:
        patched.setattr(copy, "crashpoint", taken_over)
        work(rounds=1)
    store = service.backends.storage()
    (first,) = (one.key for one in store.list() if job.image_id in one.key)
    work()
    check_whole(service, job)
    reaper.run(service)
    (second,) = (one.key for one in store.list() if job.image_id in one.key)
    assert first != second  # what was committed is no write that goes on


@pytest.mark.parametrize("how", ["deleted", "deactivated", "key disabled", "full"])
def test_what_happens_while_nobody_works_ends_the_copy_with_that_cause_and_leaves_nothing(
    service, source, begun, work, how, monkeypatch
):
    monkeypatch.setattr(data_key, "_KEPT_S", 0.0)
    folder = file_of(service, source).parent
    job = begun()
    if how == "deleted":
        service.deletions.delete(CALLER, source)
    elif how == "deactivated":
        service.images.deactivate(CALLER, source)
    elif how == "key disabled":
        (key,) = service.keys.list(CALLER)
        service.keys.set_enabled(CALLER, key.info.id, False)
    else:
        monkeypatch.setattr(FileWriter, "write", full)
    work()
    found = service.jobs.get(CALLER, job.id)
    said = {
        "deleted": "deleted",
        "deactivated": "deactivated",
        "key disabled": "key",
        "full": "full",
    }
    assert (found.state, said[how] in found.error_text) == ("failed", True), found
    monkeypatch.undo()
    reaper.run(service)
    service.backends.storage().discard_stale(older_than_s=0)
    assert not list(folder.parent.joinpath(".part").iterdir())
    assert not [one for one in service.backends.storage().list() if job.image_id in one.key]


def full(writer, data):
    """As a disk without room."""
    raise NoSpace("The storage backend is full.")

"""Downloads as uses of an image: written soon, seldom, and never in their way, on both engines."""

import datetime
import io
import threading

import pytest

from imagesvc.db import attempt, image_use, metadata
from imagesvc.db import image as image_rows
from imagesvc.domain.image import NewImage
from imagesvc.manager import last_use
from imagesvc.manager.last_use import LastUses
from imagesvc.manager.signed_url import Proof
from tests import open_job, poll
from tests.unit.db import make
from tests.unit.worker.conftest import CALLER

DATA = b"bytes" * 1000
LONG_AGO = datetime.timedelta(hours=2)
A_WHILE_AGO = datetime.timedelta(minutes=30)


pytestmark = pytest.mark.usefixtures("uses_written_later")


@pytest.fixture
def image_id(service):
    new = NewImage(name="x", disk_format="raw", container_format="bare")
    image = service.images.create(CALLER, new)
    service.image_files.upload(CALLER, image.id, io.BytesIO(DATA), len(DATA))
    return image.id


def used_at(service, image_id):
    with service.database.read() as conn:
        return image_use.life(conn, image_id).last_used_at


def set_used(service, image_id, ago):
    with service.database.write() as conn:
        image_rows.update(conn, image_id, {"last_used_at": metadata.now() - ago})


def read(service, image_id, **span):
    with service.image_files.download(CALLER, image_id).open(**span) as stream:
        return stream.read(1)


def proof(service, image_id):
    """What a signed URL of the image says of itself; its job goes on."""
    job_id = open_job.begin(service, CALLER)
    query = service.image_files.sign(image_id, 0, job_id).rpartition("?")[2]
    facts = dict(part.split("=") for part in query.split("&"))
    return Proof(facts["signature"], facts["job"])


def signed(service, image_id):
    return service.image_files.open_signed(image_id, 0, proof(service, image_id))


def test_a_download_is_a_use_and_no_change(service, image_id):
    before = service.images.get(CALLER, image_id)
    read(service, image_id)
    service.last_uses.write()
    assert metadata.now() - used_at(service, image_id) < datetime.timedelta(minutes=1)
    assert service.images.get(CALLER, image_id) == before


def test_a_range_is_a_use(service, image_id):
    read(service, image_id, offset=10, length=1)
    service.last_uses.write()
    assert used_at(service, image_id) is not None


def test_a_signed_download_is_a_use(service, image_id):
    signed(service, image_id).open().close()
    service.last_uses.write()
    assert used_at(service, image_id) is not None


def test_bytes_that_are_only_asked_about_are_not_used(service, image_id):
    service.image_files.download(CALLER, image_id)
    signed(service, image_id)
    service.last_uses.write()
    assert used_at(service, image_id) is None


def test_an_image_that_was_used_lately_costs_no_statement_more(service, image_id):
    read(service, image_id)  # from now on its rows are known
    set_used(service, image_id, A_WHILE_AGO)
    service.last_uses.write()
    before = used_at(service, image_id)
    shown = proof(service, image_id)
    files = service.image_files
    uses = (
        (lambda: read(service, image_id), 1),
        (lambda: files.open_signed(image_id, 0, shown).open().close(), 2),  # its job too
    )
    for use, statements in uses:
        use()
        with make.counted(service.database) as seen:
            use()
            service.last_uses.write()
        assert len(seen) == statements
    assert used_at(service, image_id) == before


def test_a_use_after_an_hour_is_written_again(service, image_id):
    set_used(service, image_id, LONG_AGO)
    before = used_at(service, image_id)
    read(service, image_id)
    service.last_uses.write()
    assert used_at(service, image_id) > before


def test_many_downloads_are_written_in_one_statement(service, image_id):
    for _ in range(50):
        read(service, image_id)
    with make.counted(service.database) as seen:
        service.last_uses.write()
        service.last_uses.write()
    assert len(seen) == 1


def test_it_is_written_soon_by_itself_and_by_the_end_of_the_process_at_last(
    service, image_id, monkeypatch
):
    uses = LastUses(service.database)
    uses.note(image_id, None)
    uses.close()
    first = used_at(service, image_id)
    assert first is not None
    set_used(service, image_id, LONG_AGO)
    monkeypatch.setattr(last_use, "DELAY_S", 0.01)
    uses.note(image_id, None)
    poll.until(lambda: used_at(service, image_id) >= first)


def test_a_download_waits_for_no_writer(service, image_id, monkeypatch):
    """A stopped writer holds the image, on SQLite the whole database; its use is written later."""
    monkeypatch.setattr(last_use, "DELAY_S", 0.01)
    monkeypatch.setattr(attempt, "PATIENCE_S", 30)
    with service.database.write() as conn:
        image_rows.update(conn, image_id, {"cause": None})
        reading = threading.Thread(target=read, args=(service, image_id))
        reading.start()
        reading.join(timeout=10)
        assert not reading.is_alive()
    read(service, image_id)
    poll.until(lambda: used_at(service, image_id))


def test_a_failure_is_forgotten_and_told_to_the_log(service, image_id, caplog, monkeypatch):
    def broken(*args):
        raise OSError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(image_use, "touch", broken)
        read(service, image_id)
        service.last_uses.write()
    assert "disk is full" in caplog.text
    read(service, image_id)
    service.last_uses.write()
    assert used_at(service, image_id) is not None


def test_no_more_images_wait_than_said(service, image_id, monkeypatch):
    monkeypatch.setattr(last_use, "WAITING_MAX", 1)
    service.last_uses.note("another", None)
    read(service, image_id)
    service.last_uses.write()
    assert used_at(service, image_id) is None
    read(service, image_id)
    service.last_uses.write()
    assert used_at(service, image_id) is not None


def test_processes_that_note_the_same_use_write_it_once(service, image_id):
    uses = [LastUses(service.database) for _ in range(4)]
    for one in uses:
        one.note(image_id, None)
    threads = [threading.Thread(target=one.write) for one in uses]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert used_at(service, image_id) is not None
    with service.database.write() as conn:
        assert image_use.touch(conn, [image_id], metadata.now()) == 0

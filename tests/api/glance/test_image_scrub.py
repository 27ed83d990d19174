"""Stored bytes that changed: found by `imagesvc-manage image scrub`, repaired from another copy."""

import dataclasses
import errno
import io

import pytest

from imagesvc import opts
from imagesvc.cmd import manage
from imagesvc.db import audit_list, image, image_disk, location, metadata, pending
from imagesvc.interface.errors import Unavailable
from imagesvc.manager import copy_mark, disk_copy, image_scrub
from imagesvc.worker import reaper
from tests.api.caller import Caller

DATA = b"x" * 1000


@pytest.fixture
def owner(several):
    return Caller(several.app)


@pytest.fixture
def copied(several, owner):
    """An image in two stores; no other image is left by the end."""
    image_id = owner.create()["id"]
    assert owner.upload(image_id, DATA, **{"X-Image-Meta-Store": "archive"}).status_code == 204
    key = f"{image_id}/copy"
    with several.service.backends.storage("fast").open_write(key) as writer:
        writer.write(DATA)
        writer.commit()
    with several.service.database.write() as conn:
        location.add(conn, image_id, 0, "fast", key)
    yield image_id
    assert owner.request("DELETE", f"/v2/images/{image_id}").status_code in (204, 404)


@pytest.fixture
def scrub(several, monkeypatch, capsys):
    """Run the command: its code, and what it printed."""

    def run(*more):
        monkeypatch.setenv(opts.CONF_VARIABLE, "")
        path = str(several.folder / "imagesvc.conf")
        capsys.readouterr()
        code = manage.main(["--config-file", path, "image", "scrub", *more])
        out, err = capsys.readouterr()
        return code, out + err

    return run


def places(several, image_id):
    """Store -> key of an image's disk."""
    with several.service.database.read() as conn:
        return dict(image_disk.list_for(conn, image_id)[0].locations)


def flip(several, image_id, *stores):
    """Change one bit of the copies in these stores."""
    for store in stores:
        path = several.service.backends.storage(store).path(places(several, image_id)[store])
        data = bytearray(path.read_bytes())
        data[500] ^= 1
        path.chmod(0o600)
        path.write_bytes(data)


def repairs(several, image_id):
    """What the audit trail says of repairs."""
    with several.service.database.read() as conn:
        query = audit_list.AuditQuery(limit=10, action="location:repair", target_id=image_id)
        return audit_list.list_page(conn, query, None)


def mend(several, image_id, stale_s=60.0):
    """Scrub one image with repair, in this process: the verdict and the findings."""
    service, found = several.service, []
    repair = disk_copy.CopyRepair(service.operation, service.backends, stale_s)
    marks = copy_mark.CopyMarks(service.operation)
    scrubber = image_scrub.ImageScrub(
        service.database, service.backends, marks, found.append, repair=repair
    )
    return scrubber.run(image_id=image_id), found


def revision(several, image_id):
    with several.service.database.read() as conn:
        return image.get(conn, image_id).revision


def test_copies_as_they_were_stored_are_clean(scrub, copied):
    code, said = scrub("--repair")
    assert (code, said) == (
        0, "1 images, 2 copies, 2000 bytes read; 0 bad, 0 repaired, 0 not judged\n"
    )  # fmt: skip


def test_a_flipped_bit_is_told_and_without_repair_it_is_only_marked(several, scrub, copied):
    before, number = places(several, copied), revision(several, copied)
    flip(several, copied, "fast")
    code, said = scrub()
    assert code == 1
    assert f"corrupt    fast {copied}/copy: disk 0 of image {copied}: sha512 is " in said
    assert said.endswith("1 bad, 0 repaired, 0 not judged\n")
    assert (places(several, copied), revision(several, copied)) == (before, number + 1)
    assert repairs(several, copied) == ()
    assert scrub()[0] == 1
    assert revision(several, copied) == number + 1


@pytest.mark.parametrize("options", [(), ("--store", "fast")])
def test_a_bad_copy_is_replaced_by_the_good_one(several, owner, scrub, copied, options):
    before, number = places(several, copied), revision(several, copied)
    flip(several, copied, "fast")
    assert owner.get(f"/v2/images/{copied}/file").content != DATA
    code, said = scrub("--repair", "--image", copied, *options)
    assert code == 0
    assert "; repaired from archive\n" in said
    after = places(several, copied)
    assert after["archive"] == before["archive"]
    assert after["fast"] != before["fast"]
    assert revision(several, copied) == number + 2  # the mark, the repair
    assert owner.get(f"/v2/images/{copied}/file").content == DATA
    (event,) = repairs(several, copied)
    assert (event.outcome, event.owner_project_id) == ("success", owner.project)
    assert event.detail == {"store": "fast", "disk": 0, "from_store": "archive"}
    reaper.run(several.service)
    assert [key for key in several.keys("fast") if key.startswith(copied)] == [after["fast"]]
    assert scrub()[0] == 0


def test_a_missing_or_cut_copy_is_replaced_too(several, owner, scrub, copied):
    driver = several.service.backends.storage("archive")
    driver.delete(places(several, copied)["archive"])
    code, said = scrub("--repair")
    assert (code, "missing    archive" in said, "repaired from fast" in said) == (0, True, True)
    path = driver.path(places(several, copied)["archive"])
    path.chmod(0o600)
    path.write_bytes(DATA[:10])
    assert "10 bytes, its row says 1000; repaired from fast" in scrub("--repair")[1]
    path = driver.path(places(several, copied)["archive"])
    assert path.read_bytes() == DATA


@pytest.mark.parametrize("options", [(), ("--store", "fast")])
def test_two_bad_copies_stay_as_they_are(several, scrub, copied, options):
    flip(several, copied, "fast", "archive")
    before, number = places(several, copied), revision(several, copied)
    code, said = scrub("--repair", *options)
    assert code == 1
    bad = 1 if options else 2
    assert said.count("not repaired: ") == bad
    assert (places(several, copied), revision(several, copied)) == (before, number + bad)
    assert repairs(several, copied) == ()
    reaper.run(several.service)
    for store in ("fast", "archive"):
        assert [key for key in several.keys(store) if key.startswith(copied)] == [before[store]]


def test_a_store_that_cannot_be_asked_is_trouble(several, copied, monkeypatch):
    driver = several.service.backends.storage("fast")

    def away(key, **more):
        raise Unavailable("away")

    monkeypatch.setattr(driver, "open_read", away)
    verdict, found = mend(several, copied)
    assert (verdict.bad, verdict.unknown, verdict.copies) == (0, 1, 2)
    assert [(one.fault, one.copy.store_id, one.repaired) for one in found] == [
        ("unknown", "fast", False)
    ]


def test_unknown_stores_and_images_are_refused(scrub):
    assert scrub("--store", "nowhere")[0] == 2
    absent = "00000000-0000-4000-8000-000000000000"
    assert scrub("--image", absent) == (2, f"imagesvc-manage: No image {absent} was found.\n")


def test_new_bytes_are_noted_before_they_are_written(several, copied, monkeypatch):
    flip(several, copied, "fast")
    driver = several.service.backends.storage("fast")
    opened, noted = driver.open_write, []

    def look(key, **more):
        with several.service.database.read() as conn:
            noted.append(key in {one.storage_key for one in pending.stale(conn, metadata.now())})
        return opened(key, **more)

    monkeypatch.setattr(driver, "open_write", look)
    assert mend(several, copied)[0].repaired == 1
    assert noted == [True]


def test_an_image_deleted_during_its_repair_leaves_nothing(several, owner, copied, monkeypatch):
    flip(several, copied, "fast")
    driver = several.service.backends.storage("fast")
    opened = driver.open_write

    def late(key, **more):
        assert owner.request("DELETE", f"/v2/images/{copied}").status_code == 204
        return opened(key, **more)

    monkeypatch.setattr(driver, "open_write", late)
    verdict, found = mend(several, copied)
    assert (verdict.bad, verdict.repaired, found) == (0, 0, [])
    reaper.run(several.service)
    for store in ("fast", "archive"):
        assert not [key for key in several.keys(store) if key.startswith(copied)]


def test_a_note_that_the_reaper_took_ends_the_repair(several, copied, monkeypatch):
    flip(several, copied, "fast")
    before = places(several, copied)
    driver = several.service.backends.storage("fast")
    opened = driver.open_write

    def late(key, **more):
        with several.service.database.write() as conn:
            pending.remove(conn, "fast", key)
        return opened(key, **more)

    monkeypatch.setattr(driver, "open_write", late)
    for stale_s in (0.0, 60.0):  # seen by the first beat, and in the end
        verdict, (finding,) = mend(several, copied, stale_s)
        assert (verdict.bad, finding.repaired) == (1, False)
        assert places(several, copied) == before
        reaper.run(several.service)
        assert [key for key in several.keys("fast") if key.startswith(copied)] == [f"{copied}/copy"]


def test_a_disk_error_under_a_file_is_a_bad_copy(several, copied, monkeypatch):
    driver = several.service.backends.storage("fast")

    class Broken(io.RawIOBase):
        def readinto(self, buffer):
            raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(driver, "open_read", lambda key, **more: Broken())
    verdict, (finding,) = mend(several, copied)
    assert (verdict.repaired, finding.fault) == (1, "unreadable")


def test_a_store_that_is_only_read_is_not_repaired(several, copied, monkeypatch):
    flip(several, copied, "fast")
    stores = several.service.backends.stores
    shut = dataclasses.replace(stores.find("fast"), read_only=True)
    monkeypatch.setattr(type(stores), "find", lambda self, store_id: shut)
    verdict, (finding,) = mend(several, copied)
    assert verdict.bad == 1
    assert finding.remedy == "not repaired: The store fast takes no new bytes."


def test_a_deactivated_image_is_read_and_one_without_a_digest_is_only_measured(
    several, owner, scrub, copied
):
    assert owner.request("POST", f"/v2/images/{copied}/actions/deactivate").status_code == 204
    with several.service.database.write() as conn:
        table = image_disk.TABLE
        bare = table.update().where(table.c.image_id == copied)
        conn.execute(bare.values(hash_value=None, md5=None))
    flip(several, copied, "fast")
    assert scrub()[0] == 0
    several.service.backends.storage("fast").delete(f"{copied}/copy")
    code, said = scrub("--repair")
    assert (code, "not repaired: its row has no digest" in said) == (1, True)


def test_md5_proves_a_disk_that_has_nothing_better(several, scrub, copied):
    with several.service.database.write() as conn:
        table = image_disk.TABLE
        bare = table.update().where(table.c.image_id == copied)
        conn.execute(bare.values(hash_value=None, hash_algorithm=None))
    flip(several, copied, "fast")
    code, said = scrub("--repair")
    assert (code, "md5 is " in said, "repaired from archive" in said) == (0, True, True)

"""Rows against bytes, both ways, on real rows and a real store."""

import os
import uuid

import pytest

from imagesvc.cmd import manage
from imagesvc.db import doomed, image_disk, pending
from imagesvc.manager import store_verify
from imagesvc.worker import reaper, reconcile
from tests.unit.worker.conftest import CALLER
from tests.unit.worker.paper_compute import DISK


def put(service, key, *, age_s=3600.0):
    """A committed object that no row names."""
    with service.backends.storage().open_write(key) as writer:
        writer.write(b"bytes")
        writer.commit()
    age(service, key, age_s)


def age(service, key, age_s=3600.0):
    """Make the object older."""
    driver = service.backends.storage()
    moment = driver.stat(key).modified_at.timestamp() - age_s
    os.utime(driver.path(key), (moment, moment))


def look(service, *, repair=False):
    """(fault, key) of each difference."""
    verdict = store_verify.verify(
        service.database, service.backends, older_than_s=60, repair=repair
    )
    return [(one.fault, one.key) for one in verdict.findings]


def key_of(service, image):
    """Where the image's bytes are."""
    with service.database.read() as conn:
        return image_disk.list_for(conn, image.id)[0].locations[0][1]


def test_a_store_as_its_rows_say_is_clean(service, active_image, monkeypatch):
    monkeypatch.setattr(store_verify, "PAGE", 1)
    verdict = store_verify.verify(service.database, service.backends, older_than_s=0)
    assert (verdict.objects, verdict.rows, verdict.findings) == (1, 1, [])


@pytest.mark.parametrize("page", [1, 2, 1000])
def test_each_difference_is_found_whatever_the_pages(service, active_image, monkeypatch, page):
    monkeypatch.setattr(store_verify, "PAGE", page)
    first, last = "0" * 8 + "/x", "z" * 8 + "/x"
    for key in (first, last):
        put(service, key)
    assert look(service) == [("orphan", first), ("orphan", last)]
    key = key_of(service, active_image)
    service.backends.storage().delete(key)
    assert look(service) == [("orphan", first), ("missing", key), ("orphan", last)]
    put(service, key)
    assert look(service) == [("orphan", first), ("size", key), ("orphan", last)]


def test_bytes_under_way_doomed_or_young_are_no_difference(service):
    for key in ("under/way", "doomed/1"):
        put(service, key)
    put(service, "young/1", age_s=0)
    with service.database.write() as conn:
        pending.insert(conn, "local", "under/way", "under", "token")
        doomed.add(conn, "local", "doomed/1")
    assert look(service) == []


def test_only_orphans_of_images_that_are_or_were_ours_are_repaired(service, active_image):
    deleted = active_image.id
    ours, foreign = f"{deleted}/old", f"{uuid.uuid4()}/1"
    put(service, ours)
    put(service, foreign)
    service.deletions.delete(CALLER, deleted)
    assert set(look(service)) == {("orphan", ours), ("orphan", foreign)}
    assert len(look(service, repair=True)) == 2
    reaper.run(service)
    assert look(service, repair=True) == [("orphan", foreign)]
    assert [item.key for item in service.backends.storage().list()] == [foreign]


def test_an_image_without_bytes_and_a_store_that_is_gone_are_told(service, active_image):
    table = image_disk.LOCATION
    with service.database.write() as conn:
        conn.execute(table.update().values(store_id="lost"))
    age(service, service.backends.storage().list()[0].key)
    assert [fault for fault, _ in look(service)] == ["orphan", "store"]
    with service.database.write() as conn:
        conn.execute(table.delete())
    assert [fault for fault, _ in look(service)] == ["orphan", "no-location"]


def test_an_image_deleted_while_the_store_is_listed_is_no_difference(
    service, active_image, monkeypatch
):
    driver = service.backends.storage()
    listed = driver.list

    def late(prefix="", *, after=None, limit=1000):
        found = listed(prefix, after=after, limit=limit)
        if after is None:
            service.deletions.delete(CALLER, active_image.id)
            reaper.run(service)
        return found

    monkeypatch.setattr(driver, "list", late)
    assert look(service) == []


@pytest.mark.parametrize("deleted", [False, True])
def test_an_image_written_or_deleted_after_the_listing_is_no_difference(
    service, active_image, monkeypatch, deleted
):
    driver = service.backends.storage()
    stat = driver.stat

    def late(key):
        if deleted:
            service.deletions.delete(CALLER, active_image.id)
        return stat(key)

    monkeypatch.setattr(driver, "list", lambda *args, **named: [])
    monkeypatch.setattr(driver, "stat", late)
    assert look(service) == []


def test_the_command_says_each_difference_and_its_code(
    service, active_image, tmp_path, capsys, monkeypatch
):
    monkeypatch.setenv("IMAGESVC_CONF", str(tmp_path / "imagesvc.conf"))
    command = ["--config-file", str(tmp_path / "imagesvc.conf"), "store", "verify"]
    assert manage.main(command) == 0
    assert capsys.readouterr().out == "1 objects, 1 rows, 0 differences\n"
    orphan, key = f"{active_image.id}/old", key_of(service, active_image)
    put(service, orphan)
    assert manage.main(command) == 1
    assert f"orphan      local {orphan}: 5 bytes" in capsys.readouterr().out
    assert manage.main([*command, "--repair"]) == 0
    assert "; left to the reaper" in capsys.readouterr().out
    service.backends.storage().delete(key)
    assert manage.main([*command, "--repair"]) == 1
    out = capsys.readouterr().out
    assert f"missing     local {key}: disk 0 of image {active_image.id} names {len(DISK)}" in out
    assert out.endswith("1 objects, 1 rows, 1 differences\n")


def test_a_worker_removes_lost_bytes_once_a_day(service, active_image, caplog):
    orphan = f"{active_image.id}/old"
    put(service, orphan, age_s=2 * reconcile.AGE_S)
    put(service, f"{active_image.id}/newer")
    assert (reconcile.run(service), reconcile.run(service)) == (1, 0)
    assert f"key={orphan}" in caplog.text
    reaper.run(service)
    keys = {item.key for item in service.backends.storage().list()}
    assert keys == {key_of(service, active_image), f"{active_image.id}/newer"}

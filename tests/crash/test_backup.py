"""A worker killed anywhere in the life of a backup: each of its jobs ends rightly, once."""

import hashlib

import pytest

from tests.crash.station import until
from tests.crash.test_capture import clean, kill_and_recover, run_here, upload
from tests.crash.test_whole_capture import STATE, bytes_of, server_of

KEEP_POINTS = ("backup.local.written", "step.keep.kept", "step.keep.finished")
RESTORE_POINTS = ("step.restore.started", "step.restore.done")
DELETE_POINTS = ("step.delete.deleted",)
CAPTURE_POINTS = ("step.store.kept", "step.activate.done")


def content(station, backup_id):
    """The disks of a backup, each held against its digest."""
    driver = station.service.backends.backup()
    found = driver.get_backup(backup_id, project_id=station.caller.project_id)
    read = []
    for disk in found.disks:
        with driver.open_disk(backup_id, disk.disk_id) as stream:
            read.append(stream.read())
        assert hashlib.sha512(read[-1]).hexdigest() == disk.digest
    return read


def create(station, server_id):
    return station.service.backups.create(station.caller, server_id=server_id, name="b")


def backup_of(station, guest):
    """The image of a server with two disks, and the id of a backup of it; the server is gone."""
    source = upload(station, guest)
    server_id = server_of(station, source, 1)
    backup_id = run_here(station, create(station, server_id)).result["backup_id"]
    station.service.servers.delete(station.caller, server_id)
    return source, backup_id


def check_kept(station, guest, backup_id):
    """One backup and nothing else is kept, and no snapshot is left."""
    first, second = content(station, backup_id)
    assert second == guest.read_bytes()
    assert len(first) == len(second)
    assert first[STATE] != second[STATE]  # the system disk has counted its boot
    (folder,) = (station.folder / "backup" / "backups").iterdir()
    assert folder.name == backup_id
    names = sorted(path.name for path in folder.iterdir() if path.suffix != ".raw")
    assert names == ["backup.json", "spec.json"]
    assert len(list(folder.glob("[!.]*.raw"))) == len(list(folder.iterdir())) - 2 == 2
    assert list((station.folder / "compute" / "snapshots").iterdir()) == []
    return first, second


def check_captured(station, image, source, disks):
    """The image has the disks of the backup, and nothing is left over."""
    assert station.service.images.get(station.caller, image.id).kind == "whole-machine"
    assert [bytes_of(station, image.id, number) for number in (0, 1)] == list(disks)
    until(lambda: clean(station, {image.id, source.id}))
    assert station.quota() == [(2, 0), (3 * len(disks[0]), 0), (0, 0)]
    assert station.quota_is_true()


def check_restored(station, ended):
    """One server runs, with both disks."""
    (told,) = ended.result["servers"]
    (server,) = station.service.servers.list(station.caller)
    assert (server.server_id, server.state) == (told["server_id"], "running")
    assert [disk.disk_id for disk in server.disks] == ["disk0", "disk1"]


def test_a_backup_is_made_and_read_though_the_workers_die(station, guest):
    source = upload(station, guest)
    server_id = server_of(station, source, 1)
    ended = kill_and_recover(station, create(station, server_id), "backup.local.written")
    assert (ended.state, ended.error_text) == ("done", None)
    backup_id = ended.result["backup_id"]
    disks = check_kept(station, guest, backup_id)
    station.service.servers.delete(station.caller, server_id)
    image, job = station.service.backup_captures.start(station.caller, backup_id, name="whole")
    run_here(station, job)
    check_captured(station, image, source, disks)
    station.end_processes()
    (station.folder / "died").unlink()
    job = station.service.backups.restore(station.caller, backup_id, name="again", memory_mib=16)
    ended = kill_and_recover(station, job, "step.restore.started")
    assert (ended.state, ended.error_text) == ("done", None)
    check_restored(station, ended)


@pytest.mark.peer
@pytest.mark.parametrize("point", ["step.snapshot.done", *KEEP_POINTS, "step.cleanup.begin"])
def test_a_backup_is_made_once_whatever_line_its_worker_dies_at(station, guest, point):
    server_id = server_of(station, upload(station, guest), 1)
    ended = kill_and_recover(station, create(station, server_id), point)
    assert (ended.state, ended.error_text) == ("done", None)
    check_kept(station, guest, ended.result["backup_id"])


@pytest.mark.peer
@pytest.mark.parametrize("point", RESTORE_POINTS)
def test_a_backup_becomes_one_server_whatever_line_its_worker_dies_at(station, guest, point):
    backup_id = backup_of(station, guest)[1]
    job = station.service.backups.restore(station.caller, backup_id, name="again", memory_mib=16)
    ended = kill_and_recover(station, job, point)
    assert (ended.state, ended.error_text) == ("done", None)
    check_restored(station, ended)


@pytest.mark.peer
@pytest.mark.parametrize("point", CAPTURE_POINTS)
def test_a_backup_becomes_one_image_whatever_line_its_worker_dies_at(station, guest, point):
    source, backup_id = backup_of(station, guest)
    disks = content(station, backup_id)
    image, job = station.service.backup_captures.start(station.caller, backup_id, name="whole")
    ended = kill_and_recover(station, job, point)
    assert (ended.state, ended.error_text) == ("done", None)
    check_captured(station, image, source, disks)


@pytest.mark.peer
@pytest.mark.parametrize("point", DELETE_POINTS)
def test_a_backup_is_deleted_whatever_line_its_worker_dies_at(station, guest, point):
    backup_id = backup_of(station, guest)[1]
    ended = kill_and_recover(
        station, station.service.backups.delete(station.caller, backup_id), point
    )
    assert (ended.state, ended.error_text) == ("done", None)
    assert list((station.folder / "backup" / "backups").iterdir()) == []


def test_a_backup_that_has_rotted_makes_no_server(station, guest):
    backup_id = backup_of(station, guest)[1]
    path = station.service.backends.backup().path(backup_id, "disk0")
    path.chmod(0o600)
    with path.open("r+b") as target:
        target.write(b"rot")
    job = station.service.backups.restore(station.caller, backup_id, name="again", memory_mib=16)
    ended = run_here(station, job)
    assert ended.state == "failed"
    assert station.service.servers.list(station.caller) == []

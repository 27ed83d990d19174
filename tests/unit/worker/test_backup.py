"""Backups of servers on paper: made, read, kept while they are read, and gone."""

import contextlib
import dataclasses
import hashlib
import threading

import pytest

from imagesvc import errors
from imagesvc.db import doomed, job_table, metadata, pending
from imagesvc.interface import errors as driver_errors
from imagesvc.interface.backup import BackupSpec
from imagesvc.interface.compute import ComputeCapability, Consistency
from imagesvc.interface.errors import NotSupported, Unavailable
from imagesvc.testing.conformance.operation import result_of
from imagesvc.testing.conformance.options import options_of
from imagesvc.worker import reaper
from imagesvc_drivers.backup.local import LocalBackup
from tests.unit.testing.folder_backup import FolderBackup
from tests.unit.worker.conftest import CALLER
from tests.unit.worker.paper_compute import DATA, DISK

AWAY = Unavailable("Away.", "away")


EACH = pytest.mark.parametrize("url", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def url(request, tmp_path):
    """SQLite, but for tests of what the engines do differently."""
    if getattr(request, "param", "sqlite") == "postgresql":
        return request.getfixturevalue("postgresql_url")
    return f"sqlite:///{tmp_path}/imagesvc.sqlite"


@pytest.fixture
def made(service, work):
    """A backup of the server."""

    def go(**options):
        job = service.backups.create(CALLER, server_id="server", name="b", **options)
        work()
        done = service.jobs.get(CALLER, job.id)
        assert (done.state, done.error_text) == ("done", None)
        return done.result["backup_id"]

    return go


@pytest.fixture
def folder(service, tmp_path):
    """Where the backups are."""
    return tmp_path / "backup" / "backups"


def content(service, backup_id):
    """The disks of a backup as they read."""
    driver = service.backends.backup()
    found = driver.get_backup(backup_id, project_id=CALLER.project_id)
    read = []
    for disk in found.disks:
        with driver.open_disk(backup_id, disk.disk_id) as stream:
            read.append(stream.read())
    return read


def state(service, job):
    found = service.jobs.get(CALLER, job.id)
    return found.state, found.error_text


def capture(service, backup_id, **options):
    return service.backup_captures.start(CALLER, backup_id, name="whole", **options)


def test_a_backup_has_all_disks_of_its_server_and_outlives_it(service, compute, made):
    backup_id = made()
    compute.servers.clear()
    found = service.backups.get(CALLER, backup_id)
    assert (found.name, found.server_id, found.os_type) == ("b", "server", "linux")
    assert [(disk.disk_id, disk.size_bytes, disk.boot) for disk in found.disks] == [
        ("vda", len(DISK), True), ("vdb", len(DATA), False),
    ]  # fmt: skip
    digests = [hashlib.sha512(each).hexdigest() for each in (DISK, DATA)]
    assert [disk.digest for disk in found.disks] == digests
    assert content(service, backup_id) == [DISK, DATA]
    assert not compute.snapshots
    assert service.backups.list(CALLER) == [found]


@pytest.mark.parametrize(("quiesce", "frozen", "consistency"), [
    (True, True, Consistency.APPLICATION),
    (True, False, Consistency.CRASH),
    (False, True, Consistency.CRASH),
])  # fmt: skip
def test_a_backup_tells_whether_the_guest_was_frozen(
    service, compute, made, quiesce, frozen, consistency
):
    compute.frozen = frozen
    assert service.backups.get(CALLER, made(quiesce=quiesce)).consistency == consistency


def test_the_system_disk_comes_first_wherever_the_server_has_it(service, compute, made):
    compute.disk_ids = ["vdb", "vda"]
    assert content(service, made()) == [DISK, DATA]


def test_disks_that_cannot_be_copied_at_one_instant_are_refused_and_one_disk_is_not(
    service, compute, made
):
    compute.capabilities -= {ComputeCapability.CONSISTENT_GROUP}
    with pytest.raises(NotSupported):
        service.backups.create(CALLER, server_id="server", name="b")
    compute.disk_ids = ["vda"]
    assert content(service, made()) == [DISK]


def test_a_server_without_disks_of_its_own_is_not_backed_up_here(service, compute):
    """It boots from a volume, say."""
    compute.disk_ids = []
    with pytest.raises(errors.InvalidRequest, match="no disk of its own"):
        service.backups.create(CALLER, server_id="server", name="b")


def test_a_disk_that_is_kept_is_not_copied_again(service, compute, made, monkeypatch):
    opened, open_write = [], LocalBackup.open_write

    def flaky(self, backup_id, disk_id):
        opened.append(disk_id)
        if opened == ["vda", "vdb"]:
            raise AWAY
        return open_write(self, backup_id, disk_id)

    monkeypatch.setattr(LocalBackup, "open_write", flaky)
    assert content(service, made()) == [DISK, DATA]
    assert opened == ["vda", "vdb", "vdb"]


@pytest.mark.parametrize("call", ["open_snapshot", "delete_snapshot"])
def test_a_backup_whose_worker_dies_in_the_middle_is_made_once(service, compute, work, call):
    job = service.backups.create(CALLER, server_id="server", name="b")
    compute.faults[call] = errors.LeaseLost(job_id=job.id)
    work(rounds=2)
    del compute.faults[call]
    with service.database.write() as conn:
        lapse(conn, job.id)
    work()
    assert state(service, job) == ("done", None)
    assert len(service.backups.list(CALLER)) == 1
    assert not compute.snapshots


def lapse(conn, job_id):
    """Let the lease of a job end now."""
    table = job_table.TABLE
    conn.execute(table.update().where(table.c.id == job_id).values(lease_until=metadata.now()))


@pytest.mark.parametrize("method", ["prepare", "open_write", "finish"])
def test_a_backup_that_fails_leaves_nothing(service, compute, work, folder, monkeypatch, method):
    original = getattr(LocalBackup, method)
    calls = []

    def broken(self, *args):
        calls.append(args)
        if len(calls) > 1 and method == "prepare":
            return original(self, *args)
        if method != "open_write":
            original(self, *args)  # the answer is lost
        raise driver_errors.DriverError("It broke.", "why")

    monkeypatch.setattr(LocalBackup, method, broken)
    job = service.backups.create(CALLER, server_id="server", name="b")
    work()
    assert state(service, job) == ("failed", "It broke.")
    assert list(folder.iterdir()) == []
    assert not compute.snapshots


def test_a_backup_that_cannot_be_begun_fails_and_ends(service, compute, work, monkeypatch):
    def full(self, spec, token):
        raise driver_errors.NoSpace("The backup backend's disk is full.")

    monkeypatch.setattr(LocalBackup, "prepare", full)
    job = service.backups.create(CALLER, server_id="server", name="b")
    work()
    assert state(service, job) == ("failed", "The backup backend's disk is full.")
    assert not compute.snapshots


@pytest.mark.parametrize("moment", ["open", "commit"])
def test_a_cancelled_backup_leaves_nothing(service, compute, work, folder, monkeypatch, moment):
    """At its last disk, and at the last moment of all."""
    job = service.backups.create(CALLER, server_id="server", name="b")
    open_write = LocalBackup.open_write

    def cancelling(self, backup_id, disk_id):
        writer = open_write(self, backup_id, disk_id)
        commit = writer.commit

        def late():
            commit()
            service.jobs.cancel(CALLER, job.id)

        if disk_id == "vdb" and moment == "open":
            service.jobs.cancel(CALLER, job.id)
        elif disk_id == "vdb":
            writer.commit = late
        return writer

    monkeypatch.setattr(LocalBackup, "open_write", cancelling)
    work()
    assert service.jobs.get(CALLER, job.id).state == "cancelled"
    assert list(folder.iterdir()) == []
    assert not compute.snapshots


def test_a_server_that_is_restored_gets_the_disks_in_order(service, compute, made, work):
    backup_id = made()
    compute.servers.clear()
    job = service.backups.restore(CALLER, backup_id, name="again", memory_mib=128, vcpus=2)
    work()
    assert state(service, job) == ("done", None)
    (told,) = service.jobs.get(CALLER, job.id).result["servers"]
    assert told == {"server_id": next(iter(compute.servers)), "error": ""}
    (spec,) = compute.specs
    assert (spec.name, spec.memory_mib, spec.vcpus, spec.image_id) == ("again", 128, 2, None)
    assert [source.local_path.read_bytes() for source in spec.disks] == [DISK, DATA]
    assert [source.digest for source in spec.disks] == [
        hashlib.sha512(each).hexdigest() for each in (DISK, DATA)
    ]
    assert {source.disk_format for source in spec.disks} == {"raw"}


@pytest.mark.parametrize(
    ("had", "asked", "wanted"), [(96, None, 96), (96, 128, 128), (None, None, 64)]
)
def test_a_restored_server_has_the_memory_that_it_had_unless_more_is_asked(
    service, compute, made, work, monkeypatch, had, asked, wanted
):
    kept = compute.get_server
    monkeypatch.setattr(
        compute,
        "get_server",
        lambda *args, **options: dataclasses.replace(kept(*args, **options), memory_mib=had),
    )
    backup_id = made()
    assert service.backups.get(CALLER, backup_id).memory_mib == had
    service.backups.restore(CALLER, backup_id, name="again", memory_mib=asked)
    work()
    assert [spec.memory_mib for spec in compute.specs] == [wanted]


def test_a_server_is_not_rebuilt_before_its_backup_has_copied_its_disks(
    service, compute, active_image, work
):
    job = service.backups.create(CALLER, server_id="server", name="b")
    asked = {"server_ids": ("server",), "image_id": active_image.id}
    with pytest.raises(errors.Conflict, match="captured"):
        service.rebuilds.start(CALLER, **asked)
    work()
    assert state(service, job) == ("done", None)
    assert service.rebuilds.start(CALLER, **asked)


def test_a_server_is_not_rebuilt_while_a_service_copies_it(service, foreign, active_image, work):
    job = service.backups.create(CALLER, server_id="server", name="b")
    with service.database.write() as conn:
        table = job_table.TABLE
        conn.execute(table.update().where(table.c.id == job.id).values(step=3))
    asked = {"server_ids": ("server",), "image_id": active_image.id}
    with pytest.raises(errors.Conflict, match="captured"):
        service.rebuilds.start(CALLER, **asked)
    until_ended(service, work, job)
    assert service.rebuilds.start(CALLER, **asked)


def test_several_disks_go_to_a_backend_that_has_data_disks(service, compute, made):
    backup_id = made()
    compute.capabilities -= {ComputeCapability.DATA_DISK}
    with pytest.raises(NotSupported, match="system disk alone"):
        service.backups.restore(CALLER, backup_id, name="again")
    compute.capabilities |= {ComputeCapability.CONSISTENT_GROUP}
    compute.disk_ids = ["vda"]
    assert service.backups.restore(CALLER, made(), name="again")


def test_a_restoration_that_is_cancelled_leaves_no_server(service, compute, made, work):
    backup_id = made()
    compute.servers.clear()
    compute.pending = True
    job = service.backups.restore(CALLER, backup_id, name="again")
    work(rounds=2)
    service.jobs.cancel(CALLER, job.id)
    work()
    assert service.jobs.get(CALLER, job.id).state == "cancelled"
    assert compute.servers == {}


def test_a_server_whose_restoration_fails_in_the_end_is_deleted(
    service, compute, made, work, monkeypatch
):
    backup_id = made()
    compute.servers.clear()
    poll = compute.poll

    def lost(handle):
        poll(handle)
        monkeypatch.undo()
        raise driver_errors.DriverError("The answer was lost.", "lost")

    monkeypatch.setattr(compute, "poll", lost)
    job = service.backups.restore(CALLER, backup_id, name="again")
    work()
    assert state(service, job) == ("failed", "The answer was lost.")
    assert compute.servers == {}


def test_an_image_of_a_backup_is_of_the_whole_machine(service, compute, made, work):
    backup_id = made(quiesce=True)
    compute.servers.clear()
    image, job = capture(service, backup_id, tags=("t",))
    work()
    assert state(service, job) == ("done", None)
    active = service.images.get(CALLER, image.id)
    assert (active.status, active.kind, active.os_type) == ("active", "whole-machine", "linux")
    assert (active.source_server_id, active.tags) == ("server", ("t",))
    assert active.properties["consistency"] == "application"
    disks = service.images.disks(CALLER, image.id)
    assert [(disk.index, disk.role) for disk in disks] == [(0, "system"), (1, "data")]
    for index, wanted in enumerate((DISK, DATA)):
        with service.image_files.download(CALLER, image.id, disk=index).open() as stream:
            assert stream.read() == wanted
    used = [(one.used, one.reserved) for one in service.quotas.show(CALLER, CALLER.project_id)]
    assert used[:2] == [(1, 0), (2 * len(DISK), 0)]


def test_a_backup_that_has_rotted_makes_no_image(service, made, work, folder):
    backup_id = made()
    path = service.backends.backup().path(backup_id, "vdb")
    path.chmod(0o600)
    with path.open("r+b") as target:
        target.seek(1000)
        target.write(b"rot")
    image, job = capture(service, backup_id)
    work()
    assert state(service, job) == ("failed", "The backup does not give back what was kept.")
    assert service.images.get(CALLER, image.id).status == "killed"
    reaper.run(service)
    with service.database.read() as conn:
        assert doomed.list(conn, 10) + pending.stale(conn, metadata.now()) == ()
    assert service.backends.storage().list() == []
    used = [(one.used, one.reserved) for one in service.quotas.show(CALLER, CALLER.project_id)]
    assert used[:2] == [(0, 0), (0, 0)]


def readers(service, backup_id):
    """A job of each kind that reads the backup."""
    yield service.backups.restore(CALLER, backup_id, name="again")
    yield capture(service, backup_id)[1]


@EACH
def test_a_backup_is_kept_as_long_as_a_job_reads_it(service, made, work):
    backup_id = made()
    for job in readers(service, backup_id):
        with pytest.raises(errors.BackupInUse) as caught:
            service.backups.delete(CALLER, backup_id)
        assert job.id in caught.value.text
        work()
        assert state(service, job) == ("done", None)
    service.backups.delete(CALLER, backup_id)
    work()
    assert service.backups.list(CALLER) == []


@EACH
def test_a_backup_that_is_being_deleted_is_not_read(service, compute, made, work, folder):
    backup_id = made()
    compute.faults["start_create"] = driver_errors.DriverError("No.", "no")
    failed = service.backups.restore(CALLER, backup_id, name="again")
    work()
    assert state(service, failed) == ("failed", "No.")
    job = service.backups.delete(CALLER, backup_id)
    for call in (
        lambda: service.backups.restore(CALLER, backup_id, name="again"),
        lambda: capture(service, backup_id),
        lambda: service.jobs.retry(CALLER, failed.id),
    ):
        with pytest.raises(errors.BackupInUse):
            call()
    assert service.backups.delete(CALLER, backup_id).id == job.id
    service.jobs.cancel(CALLER, job.id)
    again = service.backups.restore(CALLER, backup_id, name="again")
    with pytest.raises(errors.BackupInUse):
        service.jobs.retry(CALLER, job.id)
    service.jobs.cancel(CALLER, again.id)
    service.jobs.retry(CALLER, job.id)
    work()
    assert state(service, job) == ("done", None)
    assert list(folder.iterdir()) == []
    with pytest.raises(errors.BackupNotFound):
        service.backups.delete(CALLER, backup_id)


def begin_to_read(service, begun):
    """Restore the one backup that there is; gives its id."""
    (found,) = service.backups.list(CALLER)
    begun.append(service.backups.restore(CALLER, found.backup_id, name="again"))
    return found.backup_id


def watch_deletion(monkeypatch, driver, service, begun):
    """A backup is deleted when its reader is through, and nobody begins to read it any more."""
    delete = driver.delete_backup

    def deleting(self, backup_id, *, project_id):
        assert state(service, begun[0]) == ("done", None)
        with pytest.raises(errors.BackupInUse):
            begin_to_read(service, begun)
        delete(self, backup_id, project_id=project_id)

    monkeypatch.setattr(driver, "delete_backup", deleting)


@EACH
def test_a_backup_that_is_taken_back_is_read_to_the_end_and_by_nobody_anew(
    service, compute, work, folder, monkeypatch
):
    finish, begun = LocalBackup.finish, []

    def lost(self, *args):
        finish(self, *args)
        if not begun:
            begin_to_read(service, begun)
        raise driver_errors.DriverError("The answer was lost.", "lost")

    monkeypatch.setattr(LocalBackup, "finish", lost)
    watch_deletion(monkeypatch, LocalBackup, service, begun)
    job = service.backups.create(CALLER, server_id="server", name="b")
    until_ended(service, work, job)
    assert state(service, job) == ("failed", "The answer was lost.")
    assert state(service, begun[0]) == ("done", None)
    assert len(begun) == 1
    assert list(folder.iterdir()) == []


def test_a_backup_by_a_service_is_taken_back_when_nobody_reads_it(
    service, foreign, work, monkeypatch
):
    start, begun = FolderBackup.start_create, []

    def lost(self, spec, token):
        result_of(self, start(self, spec, token))
        if not begun:
            begin_to_read(service, begun)
        monkeypatch.setattr(FolderBackup, "start_create", start)
        raise driver_errors.DriverError("The answer was lost.", "lost")

    monkeypatch.setattr(FolderBackup, "start_create", lost)
    watch_deletion(monkeypatch, FolderBackup, service, begun)
    job = service.backups.create(CALLER, server_id="server", name="b")
    until_ended(service, work, job)
    assert state(service, job) == ("failed", "The answer was lost.")
    assert foreign.list_backups(CALLER.project_id) == []


@EACH
def test_a_backup_is_never_read_and_deleted_at_once(service, made):
    backup_id = made()
    ways = (
        lambda: service.backups.delete(CALLER, backup_id),
        lambda: service.backups.restore(CALLER, backup_id, name="again"),
    )
    for _ in range(10):
        barrier, jobs = threading.Barrier(len(ways)), []

        def go(way, barrier=barrier, jobs=jobs):
            barrier.wait(10)
            with contextlib.suppress(errors.BackupInUse):
                jobs.append(way())

        rivals = [threading.Thread(target=go, args=(way,)) for way in ways]
        for one in rivals:
            one.start()
        for one in rivals:
            one.join()
        (job,) = jobs
        service.jobs.cancel(CALLER, job.id)


def test_a_backup_that_went_meanwhile_makes_nothing_and_says_so(service, compute, made, work):
    backup_id = made()
    compute.servers.clear()
    jobs = list(readers(service, backup_id))
    service.backends.backup().delete_backup(backup_id, project_id=CALLER.project_id)
    work()
    for job in jobs:
        assert state(service, job) == ("failed", f"No backup {backup_id} was found.")
    assert compute.servers == {}


@pytest.fixture
def foreign(service, monkeypatch, tmp_path):
    """A service that copies servers by itself, in place of the local driver."""
    options = options_of(FolderBackup, {"state_dir": str(tmp_path / "foreign")})
    driver = FolderBackup(options, backend_id="local")
    driver.open()
    home = driver.servers / "server"
    home.mkdir()
    (home / "vda").write_bytes(DISK)
    (home / "vdb").write_bytes(DATA)
    monkeypatch.setattr(service.backends, "backup", lambda backend_id=None: driver)
    yield driver
    driver.close()


def until_ended(service, work, job):
    """The service works in its own threads."""
    while service.jobs.get(CALLER, job.id).finished_at is None:
        work()


def test_a_service_that_sees_servers_makes_backups_and_servers_by_itself(
    service, compute, foreign, work
):
    job = service.backups.create(CALLER, server_id="server", name="b")
    until_ended(service, work, job)
    assert state(service, job) == ("done", None)
    assert compute.tokens == []
    backup_id = service.jobs.get(CALLER, job.id).result["backup_id"]
    assert content(service, backup_id) == [DISK, DATA]
    again = service.backups.restore(CALLER, backup_id, name="again")
    until_ended(service, work, again)
    (told,) = service.jobs.get(CALLER, again.id).result["servers"]
    assert (foreign.servers / told["server_id"] / "vdb").read_bytes() == DATA
    image, job = capture(service, backup_id)
    until_ended(service, work, job)
    assert service.images.get(CALLER, image.id).status == "active"


def test_a_backup_by_a_service_is_taken_back(service, foreign, work, monkeypatch):
    start, made = FolderBackup.start_create, []

    def lost(self, spec, token):
        made.append(result_of(self, start(self, spec, token)))
        monkeypatch.setattr(FolderBackup, "start_create", start)
        raise driver_errors.DriverError("The answer was lost.", "lost")

    monkeypatch.setattr(FolderBackup, "start_create", lost)
    job = service.backups.create(CALLER, server_id="server", name="b")
    until_ended(service, work, job)
    assert state(service, job) == ("failed", "The answer was lost.")
    assert made
    assert foreign.list_backups(CALLER.project_id) == []


def test_a_service_that_makes_no_servers_and_hashes_nothing_cannot_restore(
    service, foreign, work, monkeypatch
):
    handle = foreign.start_create(BackupSpec("b", CALLER.project_id, "server"), "t")
    backup_id = result_of(foreign, handle)
    info = foreign.info()
    monkeypatch.setattr(
        FolderBackup, "info", lambda self: dataclasses.replace(info, capabilities=frozenset())
    )
    with pytest.raises(NotSupported, match="image of it"):
        service.backups.restore(CALLER, backup_id, name="again")

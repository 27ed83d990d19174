"""Laws of backup drivers (`imagesvc.interface.backup`).

class TestAcmeBackup(BackupConformance):
    @pytest.fixture
    def driver(self, tmp_path): return self.make(AcmeBackup, url=...)

    @pytest.fixture
    def spec(self): return BackupSpec("law", PROJECT, "server")  # with SEES_SERVERS: one it sees
"""

import hashlib
from collections.abc import Callable
from typing import Any

import pytest

from imagesvc.interface import backup, errors
from imagesvc.interface.backup import BackupCapability, BackupSpec, RestoreSpec
from imagesvc.interface.compute import Consistency
from imagesvc.testing.conformance.backup_disk import DISKS, FOREIGN, PROJECT, UNKNOWN
from imagesvc.testing.conformance.backup_service import BackupServiceConformance
from imagesvc.testing.conformance.backup_take import BackupTakeConformance
from imagesvc.testing.conformance.comparison import same

__all__ = ["FOREIGN", "PROJECT", "UNKNOWN", "BackupConformance"]


class BackupConformance(BackupServiceConformance, BackupTakeConformance):
    """The suite; backups that it makes are deleted after each test."""

    def test_a_backup_comes_about_in_one_way_at_least(self, driver: backup.BackupDriver) -> None:
        """A driver offers SEES_SERVERS or TAKES_DISKS, or both."""
        ways = {BackupCapability.SEES_SERVERS, BackupCapability.TAKES_DISKS}
        assert ways & driver.info().capabilities

    def test_a_backup_reads_as_the_disks_of_the_server_in_their_order(
        self, driver: backup.BackupDriver, spec: BackupSpec
    ) -> None:
        """Backup and open_disk: the raw bytes from `offset`, the system disk first."""
        backup_id = self.make_backup(driver, spec)
        found = driver.get_backup(backup_id, project_id=PROJECT)
        described = (found.backup_id, found.project_id, found.name, found.server_id)
        assert described == (backup_id, PROJECT, spec.name, spec.server_id)
        assert (found.os_type, found.architecture) == (spec.os_type, spec.architecture)
        assert found.memory_mib == spec.memory_mib
        assert [disk.boot for disk in found.disks] == [True] + [False] * (len(found.disks) - 1)
        for disk, content in zip(found.disks, self.content(driver, found), strict=True):
            assert len(content) == disk.size_bytes
            assert disk.digest in ("", hashlib.sha512(content).hexdigest())
            if self.has(driver, BackupCapability.TAKES_DISKS):
                assert same(content, DISKS[disk.disk_id])
            for offset in (0, 1, disk.size_bytes - 1, disk.size_bytes):
                with driver.open_disk(backup_id, disk.disk_id, offset=offset) as stream:
                    assert same(stream.read(), content[offset:])
            for offset in (-1, disk.size_bytes + 1):
                with pytest.raises(errors.InvalidArgument):
                    driver.open_disk(backup_id, disk.disk_id, offset=offset)
        with pytest.raises(errors.NotFound):
            driver.open_disk(backup_id, "no such disk")

    def test_the_list_has_pages_in_the_order_of_ids(
        self, driver: backup.BackupDriver, spec: BackupSpec
    ) -> None:
        """list_backups: ordered by id, those after the id `after`, of this project."""
        made = sorted(self.make_backup(driver, spec) for _ in range(3))
        assert [found.backup_id for found in driver.list_backups(PROJECT)] == made
        first = driver.list_backups(PROJECT, limit=1)
        rest = driver.list_backups(PROJECT, after=first[0].backup_id)
        assert [found.backup_id for found in (*first, *rest)] == made
        assert driver.list_backups(FOREIGN) == []

    def test_a_backup_of_another_project_is_not_found(
        self, driver: backup.BackupDriver, spec: BackupSpec
    ) -> None:
        """A backup of another project is NotFound, and nothing happens to it."""
        mine = self.make_backup(driver, spec)
        for backup_id, project_id in ((mine, FOREIGN), (UNKNOWN, PROJECT), ("../x", PROJECT)):
            with pytest.raises(errors.NotFound):
                driver.get_backup(backup_id, project_id=project_id)
            driver.delete_backup(backup_id, project_id=project_id)
        assert driver.get_backup(mine, project_id=PROJECT).backup_id == mine
        for backup_id in (UNKNOWN, "../x"):
            with pytest.raises(errors.NotFound):
                driver.open_disk(backup_id, "vda")

    def test_another_instance_finds_the_backups_and_a_deletion_may_be_repeated(
        self, driver: backup.BackupDriver, spec: BackupSpec
    ) -> None:
        """Backups outlive the service."""
        backup_id = self.make_backup(driver, spec)
        before = driver.get_backup(backup_id, project_id=PROJECT)
        driver.close()
        other = self.again(driver)
        assert other.get_backup(backup_id, project_id=PROJECT) == before
        for _ in range(2):
            other.delete_backup(backup_id, project_id=PROJECT)
        for each in (driver, other):
            with pytest.raises(errors.NotFound):
                each.get_backup(backup_id, project_id=PROJECT)
            with pytest.raises(errors.NotFound):
                each.open_disk(backup_id, before.disks[0].disk_id)

    def test_a_backup_reads_whole_though_those_before_and_after_are_gone(
        self, driver: backup.BackupDriver, spec: BackupSpec
    ) -> None:
        """delete_backup: others stay whole, also in a chain."""
        first, second, third = (self.make_backup(driver, spec) for _ in range(3))
        found = driver.get_backup(second, project_id=PROJECT)
        before = self.content(driver, found)
        for other in (first, third):
            driver.delete_backup(other, project_id=PROJECT)
        assert driver.get_backup(second, project_id=PROJECT) == found
        assert same(self.content(driver, found), before)

    def test_a_file_of_this_machine_has_the_bytes(
        self, driver: backup.BackupDriver, spec: BackupSpec
    ) -> None:
        """path: the file that holds the raw bytes (LOCAL_FILE)."""
        if not self.has(driver, BackupCapability.LOCAL_FILE):
            return
        found = driver.get_backup(self.make_backup(driver, spec), project_id=PROJECT)
        paths = [driver.path(found.backup_id, disk.disk_id) for disk in found.disks]
        assert same([path.read_bytes() for path in paths], self.content(driver, found))
        with pytest.raises(errors.NotFound):
            driver.path(found.backup_id, "no such disk")

    def test_optional_methods_say_so_when_missing(
        self, driver: backup.BackupDriver, spec: BackupSpec
    ) -> None:
        """Without the capability a method raises NotSupported."""
        restoration = RestoreSpec("law", PROJECT)
        optional: dict[BackupCapability, list[Callable[[], Any]]] = {
            BackupCapability.SEES_SERVERS: [lambda: driver.start_create(spec, "none")],
            BackupCapability.TAKES_DISKS: [
                lambda: driver.prepare(spec, "none"),
                lambda: driver.open_write(UNKNOWN, "vda"),
                lambda: driver.finish(UNKNOWN, (), Consistency.CRASH),
            ],
            BackupCapability.RESTORE: [lambda: driver.start_restore(UNKNOWN, restoration, "none")],
            BackupCapability.LOCAL_FILE: [lambda: driver.path(UNKNOWN, "vda")],
        }
        for capability, calls in optional.items():
            if not self.has(driver, capability):
                for call in calls:
                    with pytest.raises(errors.NotSupported):
                        call()

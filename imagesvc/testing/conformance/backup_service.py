"""Laws of backup drivers whose service copies servers by itself (SEES_SERVERS, RESTORE)."""

import uuid

import pytest

from imagesvc.interface import backup, errors
from imagesvc.interface.backup import BackupCapability, BackupSpec, RestoreSpec
from imagesvc.interface.operation import HANDLE_BYTES_MAX, ProgressState
from imagesvc.testing.conformance.backup_disk import (
    PROJECT,
    UNKNOWN,
    BackupDiskConformance,
)
from imagesvc.testing.conformance.operation import follow, result_of


class BackupServiceConformance(BackupDiskConformance):
    """Long work; servers that are made of backups are the test's to remove."""

    @pytest.mark.parametrize("handle", ["unknown", "", "../../etc/passwd"])
    def test_an_unknown_handle_is_not_found(self, driver: backup.BackupDriver, handle: str) -> None:
        """`poll` and `cancel` of an unknown handle raise NotFound, also where no work is long."""
        with pytest.raises(errors.NotFound):
            driver.poll(handle)
        with pytest.raises(errors.NotFound):
            driver.cancel(handle)

    def test_a_service_makes_one_backup_a_token(
        self, driver: backup.BackupDriver, spec: BackupSpec
    ) -> None:
        """start_create: the same token is the same work, for another instance and after its end."""
        if not self.has(driver, BackupCapability.SEES_SERVERS):
            return
        handle = driver.start_create(spec, "once")
        assert 0 < len(handle.encode()) < HANDLE_BYTES_MAX
        other = self.again(driver)
        assert other.start_create(spec, "once") == handle
        made = result_of(other, handle)
        assert driver.start_create(spec, "once") == handle
        assert result_of(driver, handle) == made
        assert [found.backup_id for found in driver.list_backups(PROJECT)] == [made]
        driver.cancel(handle)  # ended work is left as it is
        assert driver.get_backup(made, project_id=PROJECT).server_id == spec.server_id

    def test_a_service_that_is_told_to_stop_leaves_a_whole_backup_or_none(
        self, driver: backup.BackupDriver, spec: BackupSpec
    ) -> None:
        """cancel: stop long work and undo it."""
        if not self.has(driver, BackupCapability.SEES_SERVERS):
            return
        handle = driver.start_create(spec, "stop")
        driver.cancel(handle)
        ended = follow(driver, handle)
        there = [found.backup_id for found in driver.list_backups(PROJECT)]
        assert there == ([ended.result] if ended.state is ProgressState.DONE else [])

    def test_a_service_makes_one_server_a_token(
        self, driver: backup.BackupDriver, spec: BackupSpec
    ) -> None:
        """start_restore: the same token is the same work; its result is a list of one server."""
        if not self.has(driver, BackupCapability.RESTORE):
            return
        backup_id = self.make_backup(driver, spec)
        wanted, token = RestoreSpec("law", PROJECT), uuid.uuid4().hex
        handle = driver.start_restore(backup_id, wanted, token)
        assert driver.start_restore(backup_id, wanted, token) == handle
        (made,) = result_of(driver, handle)
        assert made["server_id"]
        assert made["error"] == ""
        assert result_of(self.again(driver), handle) == [made]
        with pytest.raises(errors.NotFound):
            driver.start_restore(UNKNOWN, wanted, "unknown")

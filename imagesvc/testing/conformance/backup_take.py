"""Laws of backup drivers that are handed the disks (TAKES_DISKS)."""

from typing import ClassVar

import pytest

from imagesvc.interface import backup, errors
from imagesvc.interface.backup import BackupCapability, BackupSpec
from imagesvc.interface.compute import Consistency
from imagesvc.testing.conformance.backup_disk import (
    DISKS,
    PROJECT,
    BackupDiskConformance,
    facts,
)
from imagesvc.testing.conformance.comparison import same
from imagesvc.testing.conformance.work_kill import KilledWork


class BackupTakeConformance(KilledWork, BackupDiskConformance):
    """The named points are those of the driver; without any it is killed at lines of its code."""

    # Points of `imagesvc.crashpoint` that the driver passes in prepare, and in finish.
    PREPARE_CRASH_POINTS: ClassVar[tuple[str, ...]] = ()
    FINISH_CRASH_POINTS: ClassVar[tuple[str, ...]] = ()

    def test_a_backup_is_not_there_before_it_is_whole(
        self, driver: backup.BackupDriver, spec: BackupSpec
    ) -> None:
        """finish: from now on it is found; each disk must have been committed in its size."""
        if not self.has(driver, BackupCapability.TAKES_DISKS):
            return
        backup_id = driver.prepare(spec, "whole")
        wanted = facts()
        for disk, content in zip(wanted, DISKS.values(), strict=True):
            with pytest.raises(errors.InvalidArgument):
                driver.finish(backup_id, wanted, Consistency.CRASH)
            self.write(driver, backup_id, disk.disk_id, content)
            assert driver.list_backups(PROJECT) == []
            with pytest.raises(errors.NotFound):
                driver.get_backup(backup_id, project_id=PROJECT)
            with pytest.raises(errors.NotFound):
                driver.open_disk(backup_id, disk.disk_id)
        for _ in range(2):
            driver.finish(backup_id, wanted, Consistency.CRASH)
        found = driver.get_backup(backup_id, project_id=PROJECT)
        assert (found.disks, found.consistency) == (tuple(wanted), Consistency.CRASH)

    def test_the_same_token_is_the_same_backup(
        self, driver: backup.BackupDriver, spec: BackupSpec
    ) -> None:
        """prepare: the same token gives the same id, also after finish and elsewhere."""
        if not self.has(driver, BackupCapability.TAKES_DISKS):
            return
        backup_id = driver.prepare(spec, "same")
        assert self.again(driver).prepare(spec, "same") == backup_id
        self.fill(driver, backup_id)
        assert driver.prepare(spec, "same") == backup_id
        assert driver.prepare(spec, "another") != backup_id
        assert [found.backup_id for found in driver.list_backups(PROJECT)] == [backup_id]
        with pytest.raises(errors.InvalidArgument):
            driver.open_write(backup_id, "vda")

    def test_what_was_not_committed_leaves_nothing_and_is_written_anew(
        self, driver: backup.BackupDriver, spec: BackupSpec
    ) -> None:
        """DiskWriter: leaving it without commit drops what was written; the last commit counts."""
        if not self.has(driver, BackupCapability.TAKES_DISKS):
            return
        backup_id = driver.prepare(spec, "anew")
        for disk_id, content in DISKS.items():
            self.write(driver, backup_id, disk_id, b"x" * len(content))
            self.write(driver, backup_id, disk_id, content)
            with driver.open_write(backup_id, disk_id) as writer:
                writer.write(b"y" * len(content))
        driver.finish(backup_id, facts(), Consistency.CRASH)
        found = driver.get_backup(backup_id, project_id=PROJECT)
        assert same(self.content(driver, found), list(DISKS.values()))

    def test_a_deleted_backup_takes_no_more(
        self, driver: backup.BackupDriver, spec: BackupSpec
    ) -> None:
        """delete_backup: whole or not; open_write, write and finish raise NotFound after."""
        if not self.has(driver, BackupCapability.TAKES_DISKS):
            return
        backup_id = driver.prepare(spec, "gone")
        with driver.open_write(backup_id, "vda") as writer:
            writer.write(b"x")
            driver.delete_backup(backup_id, project_id=PROJECT)
            with pytest.raises(errors.NotFound):
                writer.commit()
        with pytest.raises(errors.NotFound):
            driver.open_write(backup_id, "vda")
        with pytest.raises(errors.NotFound):
            driver.finish(backup_id, facts(), Consistency.CRASH)

    def test_a_backup_that_was_begun_goes_on_after_a_kill(
        self, driver: backup.BackupDriver, spec: BackupSpec
    ) -> None:
        """After kill -9 at any point of prepare the same token ends with the backup."""
        if not self.has(driver, BackupCapability.TAKES_DISKS):
            return
        points = self.PREPARE_CRASH_POINTS
        for token in self.cut_short(driver, points, "prepare", lambda one: (spec, one)):
            backup_id = driver.prepare(spec, token)
            self.fill(driver, backup_id)
            found = driver.get_backup(backup_id, project_id=PROJECT)
            assert same(self.content(driver, found), list(DISKS.values()))
            driver.delete_backup(backup_id, project_id=PROJECT)

    def test_a_backup_is_made_whole_again_after_a_kill(
        self, driver: backup.BackupDriver, spec: BackupSpec
    ) -> None:
        """After kill -9 at any point of finish the backup is whole or not there; twice is once."""
        if not self.has(driver, BackupCapability.TAKES_DISKS):
            return
        made: list[str] = []

        def prepared(token: str) -> tuple[object, ...]:
            made.append(driver.prepare(spec, token))
            for disk_id, content in DISKS.items():
                self.write(driver, made[-1], disk_id, content)
            return made[-1], facts(), Consistency.CRASH

        for _ in self.cut_short(driver, self.FINISH_CRASH_POINTS, "finish", prepared):
            for found in driver.list_backups(PROJECT):
                assert same(self.content(driver, found), list(DISKS.values()))
            driver.finish(made[-1], facts(), Consistency.CRASH)
            found = driver.get_backup(made[-1], project_id=PROJECT)
            assert same(self.content(driver, found), list(DISKS.values()))

"""Backups as files: the laws of the kind, and what is odd about this driver."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from imagesvc.interface import errors
from imagesvc.interface.backup import BackupDisk, BackupSpec
from imagesvc.interface.base import HealthState
from imagesvc.interface.compute import Consistency
from imagesvc.testing.conformance import sync_trace
from imagesvc.testing.conformance.backup import PROJECT, BackupConformance
from imagesvc_drivers.backup.local import LocalBackup
from tests import small_disk

HOLE_BYTES = 8 << 20
DISK_BYTES = 300_000
MAKE = f"""
import sys
from imagesvc.interface.backup import BackupDisk, BackupSpec
from imagesvc.interface.compute import Consistency
from imagesvc.testing.conformance.options import options_of
from imagesvc_drivers.backup.local import LocalBackup
driver = LocalBackup(options_of(LocalBackup, {{"state_dir": sys.argv[1]}}), backend_id="test")
driver.open()
backup_id = driver.prepare(BackupSpec("law", "project", "server"), "token")
with driver.open_write(backup_id, "vda") as writer:
    writer.write(b"x" * {DISK_BYTES})
    writer.commit()
driver.finish(backup_id, [BackupDisk("vda", {DISK_BYTES}, True)], Consistency.CRASH)
"""


class TestLocalBackup(BackupConformance):
    PREPARE_CRASH_POINTS = ("backup.local.prepared",)
    FINISH_CRASH_POINTS = ("backup.local.finished",)

    @pytest.fixture
    def driver(self, tmp_path: Path) -> LocalBackup:
        return self.make(LocalBackup, state_dir=str(tmp_path / "backup"))

    def test_a_disk_is_a_sparse_file_that_nobody_writes_again(
        self, driver: LocalBackup, spec: BackupSpec
    ) -> None:
        backup_id = driver.prepare(spec, "sparse")
        with driver.open_write(backup_id, "vda") as writer:
            for block in (bytes(HOLE_BYTES), b"end"):
                writer.write(block)
            writer.commit()
        size_bytes = HOLE_BYTES + 3
        driver.finish(backup_id, [BackupDisk("vda", size_bytes, True)], Consistency.CRASH)
        found = driver.path(backup_id, "vda").stat()
        assert found.st_blocks * 512 < 1 << 20 < found.st_size == size_bytes
        assert found.st_mode & 0o222 == 0

    def test_a_backup_that_was_left_is_removed_and_one_under_way_is_not(
        self, driver: LocalBackup, spec: BackupSpec, tmp_path: Path
    ) -> None:
        left, going = driver.prepare(spec, "left"), driver.prepare(spec, "going")
        whole = driver.prepare(spec, "whole")
        self.fill(driver, whole)
        root = tmp_path / "backup" / "backups"
        long_ago = time.time() - 30 * 24 * 3600
        for backup_id in (left, whole):
            for path in (*(root / backup_id).iterdir(), root / backup_id):
                os.utime(path, (long_ago, long_ago))
        driver.open()
        assert {path.name for path in root.iterdir()} == {going, whole}

    def test_what_was_left_is_removed_when_another_backup_begins(
        self, driver: LocalBackup, spec: BackupSpec, tmp_path: Path
    ) -> None:
        root, trash = (tmp_path / "backup" / name for name in ("backups", "trash"))
        left = root / driver.prepare(spec, "left")
        long_ago = time.time() - 30 * 24 * 3600
        for path in (left / "spec.json", left):
            os.utime(path, (long_ago, long_ago))
        (trash / "old").mkdir()
        begun = driver.prepare(spec, "going")
        assert [path.name for path in root.iterdir()] == [begun]
        assert list(trash.iterdir()) == []

    def test_a_backup_that_cannot_be_removed_is_told_and_removed_later(
        self, driver: LocalBackup, spec: BackupSpec, tmp_path: Path
    ) -> None:
        backup_id = driver.prepare(spec, "busy")
        self.fill(driver, backup_id)
        root, trash = (tmp_path / "backup" / name for name in ("backups", "trash"))
        inside = root / backup_id / "inside"
        inside.mkdir()
        with small_disk.mounted(inside, 1):
            for _ in range(2):
                with pytest.raises(errors.Unavailable):
                    driver.delete_backup(backup_id, project_id=PROJECT)
            driver.open()
            assert list(root.iterdir()) == []
        driver.delete_backup(backup_id, project_id=PROJECT)
        assert list(trash.iterdir()) == []

    @pytest.mark.parametrize("name", ["spec.json", "backup.json"])
    @pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"spec": {}, "disks": [{}]}'])
    def test_a_damaged_record_hides_no_other_and_is_told(
        self, driver: LocalBackup, spec: BackupSpec, tmp_path: Path, name: str, text: str
    ) -> None:
        whole, damaged = driver.prepare(spec, "whole"), driver.prepare(spec, "damaged")
        for backup_id in (whole, damaged):
            self.fill(driver, backup_id)
        (tmp_path / "backup" / "backups" / damaged / name).write_text(text)
        assert [one.backup_id for one in driver.list_backups(PROJECT)] == [whole]
        with pytest.raises(errors.DriverError, match=f"record of backup {damaged} is damaged"):
            driver.get_backup(damaged, project_id=PROJECT)

    def test_what_a_newer_release_wrote_besides_is_passed_over(
        self, driver: LocalBackup, spec: BackupSpec, tmp_path: Path
    ) -> None:
        backup_id = driver.prepare(spec, "newer")
        self.fill(driver, backup_id)
        before = driver.get_backup(backup_id, project_id=PROJECT)
        folder = tmp_path / "backup" / "backups" / backup_id
        kept, whole = (json.loads((folder / n).read_text()) for n in ("spec.json", "backup.json"))
        for body in (kept, kept["spec"], whole, *whole["disks"]):
            body["newer"] = 1
        (folder / "spec.json").write_text(json.dumps(kept))
        (folder / "backup.json").write_text(json.dumps(whole))
        assert driver.get_backup(backup_id, project_id=PROJECT) == before
        assert driver.list_backups(PROJECT) == [before]

    def test_a_writer_that_was_killed_leaves_no_trace_in_the_backup(
        self, driver: LocalBackup, spec: BackupSpec, tmp_path: Path
    ) -> None:
        backup_id = driver.prepare(spec, "killed")
        writer = driver.open_write(backup_id, "vda")
        writer.write(b"x" * 1000)
        self.fill(driver, backup_id)
        found = driver.get_backup(backup_id, project_id=PROJECT)
        assert self.content(driver, found)[0] != b"x" * 1000
        disks = {driver.path(backup_id, disk.disk_id).name for disk in found.disks}
        folder = tmp_path / "backup" / "backups" / backup_id
        assert {path.name for path in folder.iterdir()} == {"spec.json", "backup.json", *disks}
        writer.close()
        with pytest.raises(errors.InvalidArgument):
            writer.write(b"more")

    def test_a_folder_that_cannot_be_written_is_down(
        self, driver: LocalBackup, tmp_path: Path
    ) -> None:
        (tmp_path / "backup" / "trash").rmdir()
        assert driver.health().state is HealthState.DOWN
        driver.open()
        assert driver.health().state is HealthState.OK

    def test_a_backup_is_on_the_disk_before_it_is_found(self, tmp_path: Path) -> None:
        trace, strace = tmp_path / "trace", shutil.which("strace")
        assert strace is not None
        command = [*sync_trace.command(strace, trace), sys.executable, "-c", MAKE]
        subprocess.run([*command, str(tmp_path / "backup")], check=True)
        files, unflushed = sync_trace.judge(trace, DISK_BYTES // 2)
        assert (files, unflushed) == (1, [])

    def test_a_disk_that_does_not_fit_is_told_and_leaves_nothing(
        self, tmp_path: Path, spec: BackupSpec
    ) -> None:
        place = tmp_path / "full"
        place.mkdir()
        with small_disk.mounted(place, 1):
            driver = self.make(LocalBackup, state_dir=str(place / "backup"))
            backup_id = driver.prepare(spec, "full")
            with driver.open_write(backup_id, "vda") as writer:
                with pytest.raises(errors.NoSpace):
                    writer.write(b"x" * (2 << 20))
                with pytest.raises(errors.NoSpace):
                    driver.prepare(spec, "another")
            self.fill(driver, backup_id)
            found = driver.get_backup(backup_id, project_id=PROJECT)
            assert len(self.content(driver, found)) == len(found.disks)

    def test_a_relative_folder_is_refused(self) -> None:
        with pytest.raises(errors.InvalidConfiguration):
            self.construct(LocalBackup, state_dir="backup")

"""What the suites of backups share: backups that are made, read, and deleted after."""

import hashlib
import uuid
from collections.abc import Iterator

import pytest

from imagesvc.interface import backup
from imagesvc.interface.backup import Backup, BackupCapability, BackupDisk, BackupSpec
from imagesvc.interface.compute import Consistency
from imagesvc.testing.conformance.base import DriverConformance
from imagesvc.testing.conformance.operation import result_of

PROJECT = "conformance"
FOREIGN = "somebody-else"
UNKNOWN = "3f2f4f0e-0000-4000-8000-000000000000"
SERVER = "5a1d2c3b-0000-4000-8000-000000000001"
# Two disks with holes, whose ids are not fit for file names.
DISKS = {
    "vda": bytes(range(256)) * 300 + bytes(1 << 17) + b"end",
    "../data disk/1": bytes(1 << 17) + bytes(range(255)) * 4 + bytes(1 << 16),
}


class BackupDiskConformance(DriverConformance):
    """Fixtures and ways; backups that it makes are deleted after each test."""

    VERSION = backup.VERSION
    CAPABILITY = BackupCapability

    @pytest.fixture
    def spec(self) -> BackupSpec:
        """What to back up: with SEES_SERVERS a server that the service sees, else none is needed."""
        return BackupSpec("law", PROJECT, SERVER, "windows", "aarch64", memory_mib=48)

    @pytest.fixture(autouse=True)
    def _no_backup_stays(self, driver: backup.BackupDriver) -> Iterator[None]:
        yield
        driver.open()
        for found in driver.list_backups(PROJECT, limit=1000):
            driver.delete_backup(found.backup_id, project_id=PROJECT)

    def make_backup(self, driver: backup.BackupDriver, spec: BackupSpec) -> str:
        """Make a backup, give its id."""
        token = uuid.uuid4().hex
        if not self.has(driver, BackupCapability.TAKES_DISKS):
            return str(result_of(driver, driver.start_create(spec, token)))
        backup_id = driver.prepare(spec, token)
        self.fill(driver, backup_id)
        return backup_id

    def fill(self, driver: backup.BackupDriver, backup_id: str) -> None:
        """Hand DISKS over and make the backup whole."""
        for disk_id, content in DISKS.items():
            self.write(driver, backup_id, disk_id, content)
        driver.finish(backup_id, facts(), Consistency.APPLICATION)

    def write(
        self, driver: backup.BackupDriver, backup_id: str, disk_id: str, content: bytes
    ) -> None:
        """Hand one disk over, in pieces of odd sizes."""
        with driver.open_write(backup_id, disk_id) as writer:
            for begin in range(0, len(content), 65_537):
                writer.write(content[begin : begin + 65_537])
            writer.commit()

    def content(self, driver: backup.BackupDriver, found: Backup) -> list[bytes]:
        """The disks as they read."""
        read = []
        for disk in found.disks:
            with driver.open_disk(found.backup_id, disk.disk_id) as stream:
                read.append(stream.read())
        return read


def facts() -> list[BackupDisk]:
    """What is said of DISKS when the backup is made whole."""
    return [
        BackupDisk(disk_id, len(content), disk_id == "vda", hashlib.sha512(content).hexdigest())
        for disk_id, content in DISKS.items()
    ]

"""The file store: the laws of storage, and what is its own."""

import errno
import fcntl
import os

import pytest

from imagesvc.interface import base, errors
from imagesvc.testing.conformance import storage_object as laws
from imagesvc.testing.conformance.storage import StorageConformance
from imagesvc_drivers.client import writeback
from imagesvc_drivers.storage import file_object
from imagesvc_drivers.storage.file import FileStorage

MIB = 1 << 20


class TestFileStorage(StorageConformance):
    crashpoints = ("storage.file.synced", "storage.file.published")

    @pytest.fixture
    def driver(self, tmp_path):
        return self.make(FileStorage, directory=str(tmp_path / "store"))

    def test_zeros_take_no_space(self, driver, key):
        with driver.open_write(key) as writer:
            writer.write(b"x" + bytes(8 * MIB - 1))
            writer.write(bytes(8 * MIB))
            writer.commit()
        facts = driver.path(key).stat()
        assert facts.st_size == 16 * MIB
        assert facts.st_blocks * 512 < MIB

    def test_a_copy_keeps_the_holes(self, driver, key):
        laws.write(driver, key, b"x" + bytes(16 * MIB))
        driver.copy(key, f"{key}-copy")
        assert driver.path(f"{key}-copy").stat().st_blocks * 512 < MIB

    def test_a_write_of_odd_length_does_not_lose_the_holes_after_it(self, driver, key):
        with driver.open_write(key) as writer:
            writer.write(b"odd")
            for _ in range(8):
                writer.write(bytes(MIB))
            writer.commit()
        assert driver.path(key).stat().st_blocks * 512 < 2 * MIB

    def test_a_part_of_a_killed_writer_is_discarded(self, driver, key, tmp_path):
        self.kill_writer(driver, key, "written")
        assert driver.discard_stale(older_than_s=3600) == 0
        assert driver.discard_stale(older_than_s=0) == 1
        assert [path for path in tmp_path.rglob("*") if path.is_file()] == []

    def test_a_living_writer_is_never_discarded(self, driver, key):
        with driver.open_write(key) as writer:
            writer.write(b"slow")
            assert self.again(driver).discard_stale(older_than_s=-1) == 0
            writer.commit()
        assert laws.drain(driver.open_read(key)) == b"slow"

    def test_a_write_that_somebody_has_is_not_gone_on_with(self, driver, key):
        with driver.open_write(key) as writer:
            writer.write(b"mine")
            with pytest.raises(errors.NotFound):
                self.again(driver).resume_write(key, writer.upload_id)
            writer.commit()
        assert laws.drain(driver.open_read(key)) == b"mine"

    def test_a_write_is_not_gone_on_with_on_a_machine_that_may_have_lost_bytes(
        self, driver, key, monkeypatch
    ):
        writer = driver.open_write(key)
        writer.write(b"x")
        upload_id = writer.upload_id
        writer.leave()
        for other in ("another-start", ""):
            monkeypatch.setattr(file_object, "boot_id", lambda other=other: other)
            with pytest.raises(errors.NotFound):
                driver.resume_write(key, upload_id)

    def test_a_write_whose_name_is_no_part_is_not_found(self, driver, key):
        laws.write(driver, "other", b"x")
        writer = driver.open_write(key)
        boot_id = writer.upload_id.partition(":")[0]
        writer.abort()
        for name in ("../object/other", "", "f" * 32, "a:b"):
            with pytest.raises(errors.NotFound):
                driver.resume_write(key, f"{boot_id}:{name}")

    def test_a_part_that_was_published_is_never_written_to(self, driver, key):
        self.kill_writer(driver, key, "committed", "storage.file.published")
        (part,) = driver.path(key).parent.parent.joinpath(".part").iterdir()
        driver.path(key).rename(driver.path_of("elsewhere"))
        with pytest.raises(errors.NotFound):
            driver.resume_write(key, f"{file_object.boot_id()}:{part.name}")

    def test_a_full_disk_is_no_space(self, driver, key, monkeypatch):
        """A mock, since filling a real file system would need privileges."""

        def refuse(*_):
            raise OSError(errno.ENOSPC, "No space left on device")

        with driver.open_write(key) as writer:
            monkeypatch.setattr(os, "fdatasync", refuse)
            monkeypatch.setattr(os, "fsync", refuse)
            writer.write(b"x")
            with pytest.raises(errors.NoSpace):
                writer.commit()
            monkeypatch.undo()
        self.assert_absent(driver, key)

    def test_a_part_that_cannot_be_locked_is_let_go_of(self, driver, key, monkeypatch, tmp_path):
        """A mock, since file systems that have no locks left are not at hand."""

        def refuse(*_):
            raise OSError(errno.ENOLCK, "No locks available")

        monkeypatch.setattr(fcntl, "flock", refuse)
        before = os.listdir("/proc/self/fd")
        with pytest.raises(errors.Unavailable) as caught:
            driver.open_write(key)
        assert caught.value.__traceback__  # holds what was under way
        assert os.listdir("/proc/self/fd") == before
        assert [path for path in tmp_path.rglob("*") if path.is_file()] == []

    def test_bytes_are_for_the_service_alone(self, driver, key):
        laws.write(driver, key, b"x")
        path = driver.path(key)
        assert path.stat().st_mode & 0o077 == 0
        assert path.parent.stat().st_mode & 0o077 == 0

    def test_a_bounded_reader_has_a_fileno(self, driver, key):
        laws.write(driver, key, b"0123456789")
        with driver.open_read(key, offset=2, length=3) as reader:
            assert os.fstat(reader.fileno()).st_size == 10
            assert reader.read() == b"234"

    def test_a_relative_directory_is_refused(self):
        with pytest.raises(errors.InvalidConfiguration, match="directory"):
            self.construct(FileStorage, directory="store")

    def test_a_lost_directory_is_down(self, driver, tmp_path):
        (tmp_path / "store").rename(tmp_path / "gone")
        assert driver.health().state is base.HealthState.DOWN

    def test_a_lost_directory_has_not_lost_its_objects(self, driver, key, tmp_path):
        with driver.open_write(key) as writer:
            writer.write(b"x")
            writer.commit()
        (tmp_path / "store").rename(tmp_path / "gone")
        for ask in (driver.open_read, driver.stat, driver.delete, driver.path, driver.open_write):
            with pytest.raises(errors.Unavailable):
                ask(key)
        (tmp_path / "gone").rename(tmp_path / "store")
        assert driver.stat(key).size_bytes == 1

    def test_the_kernel_writes_out_while_more_bytes_still_come(self, driver, key, monkeypatch):
        asked = []

        def note(descriptor, offset, length, how):
            asked.append((offset, length))

        monkeypatch.setattr(writeback, "_sync_file_range", note)
        with driver.open_write(key) as writer:
            for _ in range(20):
                writer.write(os.urandom(MIB))
            writer.commit()
        assert asked == [(0, 8 * MIB), (8 * MIB, 8 * MIB)]

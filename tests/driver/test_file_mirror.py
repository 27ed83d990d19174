"""The file store with a mirror: the laws of storage, and two directories that say the same."""

import errno
import os
import shutil
import time

import pytest

from imagesvc.interface import base, errors
from imagesvc.testing.conformance import storage_object as laws
from imagesvc.testing.conformance.storage import StorageConformance
from imagesvc_drivers.storage.file import FileStorage
from imagesvc_drivers.storage.file_folder import FileFolder

DATA = os.urandom(300_000) + bytes(300_000)


def files(folder):
    """Names of what is committed in a directory."""
    return sorted(path.name for path in (folder / "object").iterdir())


def rot(path, data):
    """Other bytes in a file of the store."""
    path.chmod(0o600)
    path.write_bytes(data)


class TestMirroredFileStorage(StorageConformance):
    crashpoints = ("storage.file.synced", "storage.file.published", "storage.file.half")

    @pytest.fixture
    def one(self, tmp_path):
        return tmp_path / "one"

    @pytest.fixture
    def two(self, tmp_path):
        return tmp_path / "two"

    @pytest.fixture
    def driver(self, one, two):
        return self.make(FileStorage, directory=str(one), mirror_directory=str(two))

    def test_both_directories_have_each_object(self, driver, key, one, two):
        laws.write(driver, key, DATA)
        driver.copy(key, f"{key}-copy")
        assert files(one) == files(two)
        for name in files(one):
            assert (one / "object" / name).read_bytes() == DATA
            assert (two / "object" / name).read_bytes() == DATA
            assert (two / "object" / name).stat().st_blocks * 512 < len(DATA)
        driver.delete(key)
        driver.delete(f"{key}-copy")
        assert files(one) == files(two) == []

    @pytest.mark.parametrize("lost", ["one", "two"])
    def test_a_lost_file_or_directory_is_read_from_the_other(self, driver, key, tmp_path, lost):
        laws.write(driver, key, DATA)
        name = files(tmp_path / lost)[0]
        (tmp_path / lost / "object" / name).unlink()
        assert [item.copies for item in driver.list()] == [1]
        for _ in range(2):
            assert laws.drain(driver.open_read(key)) == DATA
            assert driver.stat(key).copies == 1
            assert driver.path(key).read_bytes() == DATA
            with pytest.raises(errors.AlreadyExists):
                driver.open_write(key)
            shutil.rmtree(tmp_path / lost, ignore_errors=True)

    def test_a_directory_that_is_away_is_degraded_and_takes_nothing(self, driver, key, two):
        two.rename(two.with_name("away"))
        health = driver.health()
        assert health.state is base.HealthState.DEGRADED
        assert "nothing can be written" in health.detail
        with pytest.raises(errors.Unavailable):
            driver.open_write(key)
        with pytest.raises(errors.Unavailable):
            driver.stat(key)  # it may be in the directory that is away
        with pytest.raises(errors.Unavailable):
            driver.list()
        with pytest.raises(errors.Unavailable):
            driver.discard_stale(older_than_s=0)
        two.with_name("away").rename(two)
        self.assert_absent(driver, key)
        assert driver.health().state is base.HealthState.OK

    def test_without_both_directories_it_is_down(self, driver, one, two):
        one.rename(one.with_name("1"))
        two.rename(two.with_name("2"))
        assert driver.health().state is base.HealthState.DOWN

    @pytest.mark.parametrize("lacking", ["one", "two"])
    def test_an_object_in_one_directory_alone_is_copied_back(self, driver, key, tmp_path, lacking):
        laws.write(driver, key, DATA)
        (tmp_path / lacking / "object" / files(tmp_path / lacking)[0]).unlink()
        assert driver.discard_stale(older_than_s=3600) == 0
        assert driver.stat(key).copies == 1
        assert driver.discard_stale(older_than_s=0) == 1
        assert driver.stat(key).copies == 2
        assert laws.drain(driver.open_copy(key, 0)) == laws.drain(driver.open_copy(key, 1)) == DATA
        assert driver.discard_stale(older_than_s=0) == 0

    def test_an_empty_new_disk_is_filled(self, driver, key, two):
        for number in range(5):
            laws.write(driver, f"{key}/{number}", DATA)
        shutil.rmtree(two)
        driver.open()
        assert driver.discard_stale(older_than_s=0) == 5
        assert {item.copies for item in driver.list()} == {2}

    def test_an_object_that_cannot_be_copied_back_holds_up_no_other(self, driver, key, one, two):
        laws.write(driver, key, DATA)
        shutil.rmtree(two)
        (one / "object" / "! no key").touch()
        (one / "object" / "a-directory").mkdir()
        driver.open()
        driver.discard_stale(older_than_s=-1)
        assert files(two) == [key.replace("/", "+")]

    def test_a_kill_between_the_two_names_is_repaired(self, driver, key, one, two):
        data = self.kill_writer(driver, key, "committed", "storage.file.half")
        assert (len(files(one)), len(files(two))) == (1, 0)
        assert laws.drain(driver.open_read(key)) == data
        assert driver.discard_stale(older_than_s=0) == 3  # two parts, and the twin
        assert laws.drain(driver.open_copy(key, 1)) == data
        assert not list(two.glob(".part/*"))
        driver.delete(key)
        assert files(one) == files(two) == []

    def test_directories_that_do_not_change_are_not_read(self, driver, key, monkeypatch, one, two):
        laws.write(driver, key, DATA)
        long_ago = time.time() - 60
        for folder in (one, two):
            os.utime(folder / "object", (long_ago, long_ago))
        assert driver.discard_stale(older_than_s=0) == 0
        monkeypatch.setattr(os, "scandir", None)
        assert driver.discard_stale(older_than_s=0) == 0
        monkeypatch.undo()
        (two / "object" / files(two)[0]).unlink()
        assert driver.discard_stale(older_than_s=0) == 1

    @pytest.mark.parametrize("first", [True, False])
    def test_an_object_deleted_while_it_is_copied_back_does_not_return(
        self, driver, key, one, two, monkeypatch, first
    ):
        laws.write(driver, key, DATA)
        lacking = one if first else two
        (lacking / "object" / files(lacking)[0]).unlink()
        link = os.link

        def late(source, target):
            if first:
                link(source, target)
            self.again(driver).delete(key)
            if not first:
                link(source, target)

        monkeypatch.setattr(os, "link", late)
        driver.discard_stale(older_than_s=0)
        assert files(one) == files(two) == []

    def test_an_object_copied_back_in_the_middle_of_its_deletion_does_not_stay(
        self, driver, key, one, two, monkeypatch
    ):
        laws.write(driver, key, DATA)
        (one / "object" / files(one)[0]).unlink()
        remove, copied = FileFolder.remove, []

        def late(folder, used):
            if folder.root == two:
                copied.append(self.again(driver).discard_stale(older_than_s=0))
            remove(folder, used)

        monkeypatch.setattr(FileFolder, "remove", late)
        driver.delete(key)
        assert copied == [1]
        assert files(one) == files(two) == []

    def test_copies_that_differ_are_no_commit(self, driver, key, one, two):
        with driver.open_write(key) as writer:
            writer.write(DATA)
            (part,) = (two / ".part").iterdir()
            rot(part, DATA[:-1] + b"\xff")
            with pytest.raises(errors.IntegrityError):
                writer.commit()
        assert files(one) == files(two) == []
        self.assert_absent(driver, key)

    def test_a_second_name_that_fails_takes_the_first_back(self, driver, key, one, monkeypatch):
        """A mock, since a disk that fails at that moment cannot be had."""

        def refuse(*_):
            raise OSError(errno.EIO, "Input/output error")

        with driver.open_write(key) as writer:
            writer.write(DATA)
            monkeypatch.setattr(os, "replace", refuse)
            with pytest.raises(errors.Unavailable):
                writer.commit()
        monkeypatch.undo()
        assert files(one) == []
        laws.write(driver, key, DATA)

    def test_copies_of_other_lengths_are_not_counted(self, driver, key, two):
        laws.write(driver, key, DATA)
        rot(two / "object" / files(two)[0], DATA[:10])
        assert driver.stat(key).copies == 1

    def test_one_device_is_told(self, driver, key):
        (told,) = driver.warnings()
        assert "on one device" in told

    @pytest.mark.parametrize("mirror", ["two", "/x", "/x/y", "/"])
    def test_a_mirror_in_the_directory_or_at_no_absolute_path_is_refused(self, mirror):
        with pytest.raises(errors.InvalidConfiguration, match="mirror_directory"):
            self.construct(FileStorage, directory="/x", mirror_directory=mirror)


def test_two_devices_are_no_warning(tmp_path):
    if not os.access("/dev/shm", os.W_OK):
        pytest.skip("there is no second device")
    if os.stat("/dev/shm").st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second device")
    other = f"/dev/shm/{tmp_path.name}-{os.getpid()}"
    options = type("Options", (), {"directory": str(tmp_path), "mirror_directory": other})
    driver = FileStorage(options, backend_id="x")
    try:
        driver.open()
        assert driver.warnings() == ()
        laws.write(driver, "key", DATA)
        assert driver.stat("key").copies == 2
    finally:
        shutil.rmtree(other)

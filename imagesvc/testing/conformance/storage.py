"""Laws of storage drivers; see `imagesvc.interface.storage`."""

import json
import os
import signal
import subprocess
import sys
import threading
import uuid
from typing import BinaryIO, ClassVar

import pytest

from imagesvc.interface import errors, storage
from imagesvc.interface.storage import StorageCapability, StorageDriver
from imagesvc.testing.conformance import storage_child
from imagesvc.testing.conformance.base import DriverConformance

BLOCK = 1 << 20
SIZES = (0, 1, 4095, 65536, BLOCK - 1, BLOCK, BLOCK + 1)
KILL_SIZE = 1_500_000


def write(driver: StorageDriver, key: str, data: bytes) -> storage.ObjectInfo:
    """Write and commit one object."""
    with driver.open_write(key) as writer:
        writer.write(data)
        return writer.commit()


def drain(reader: BinaryIO) -> bytes:
    """Read to the end and close."""
    with reader:
        return b"".join(iter(lambda: reader.read(BLOCK), b""))


class StorageConformance(DriverConformance):
    """Derive, give `driver`; name the driver's own crash points in `crashpoints`."""

    VERSION = storage.VERSION
    CAPABILITY = StorageCapability
    crashpoints: ClassVar[tuple[str, ...]] = ()

    @pytest.fixture
    def key(self) -> str:
        """A fresh key."""
        return f"law/{uuid.uuid4().hex}"

    def assert_absent(self, driver: StorageDriver, key: str) -> None:
        """Nothing of `key` can be seen."""
        with pytest.raises(errors.NotFound):
            driver.stat(key)
        with pytest.raises(errors.NotFound):
            driver.open_read(key)
        assert key not in [found.key for found in driver.list(key)]

    # ------------------------------------------------------------ writing

    @pytest.mark.parametrize("size", SIZES)
    def test_what_is_read_is_what_was_written(
        self, driver: StorageDriver, key: str, size: int
    ) -> None:
        """`open_read` yields exactly what was written."""
        data = storage_child.content(size, size)
        info = write(driver, key, data)
        assert (info.key, info.size_bytes) == (key, size)
        assert driver.stat(key).size_bytes == size
        assert drain(driver.open_read(key)) == data

    def test_writes_of_any_length_make_one_object(self, driver: StorageDriver, key: str) -> None:
        """`write` appends, whatever the lengths; `offset` counts them; zeros are kept."""
        parts = [b"a", bytes(70_000), b"", b"b" * 65_536, bytes(200_000), b"c", bytes(131_072)]
        with driver.open_write(key) as writer:
            for part in parts:
                before = writer.offset
                writer.write(part)
                assert writer.offset == before + len(part)
            writer.commit()
        assert drain(driver.open_read(key)) == b"".join(parts)

    def test_bytes_are_not_readable_before_commit(self, driver: StorageDriver, key: str) -> None:
        """Bytes are readable only after `commit`, also for another process."""
        with driver.open_write(key) as writer:
            writer.write(b"x" * BLOCK)
            self.assert_absent(driver, key)
            self.assert_absent(self.again(driver), key)
            writer.commit()
        assert self.again(driver).stat(key).size_bytes == BLOCK

    def test_abort_leaves_nothing(self, driver: StorageDriver, key: str) -> None:
        """`abort` can be repeated, leaves nothing that can be seen, and frees the key."""
        writer = driver.open_write(key)
        writer.write(b"x" * BLOCK)
        writer.abort()
        writer.abort()
        self.assert_absent(driver, key)
        assert write(driver, key, b"again").size_bytes == len(b"again")

    def test_an_exception_in_the_block_aborts(self, driver: StorageDriver, key: str) -> None:
        """The writer is a context manager that aborts what was not committed."""
        with pytest.raises(ZeroDivisionError), driver.open_write(key) as writer:
            writer.write(b"x")
            raise ZeroDivisionError
        self.assert_absent(driver, key)

    def test_abort_after_commit_changes_nothing(self, driver: StorageDriver, key: str) -> None:
        """`abort` after `commit` has no effect."""
        writer = driver.open_write(key)
        writer.write(b"kept")
        writer.commit()
        writer.abort()
        assert drain(driver.open_read(key)) == b"kept"

    def test_a_committed_key_is_never_replaced(self, driver: StorageDriver, key: str) -> None:
        """`open_write` raises AlreadyExists for a committed key."""
        write(driver, key, b"first")
        with pytest.raises(errors.AlreadyExists):
            driver.open_write(key)
        assert drain(driver.open_read(key)) == b"first"

    def test_of_two_writers_of_one_key_one_wins_whole(
        self, driver: StorageDriver, key: str
    ) -> None:
        """The object is that of one writer; bytes are never mixed, and never change again."""
        with driver.open_write(key) as first, driver.open_write(key) as second:
            first.write(b"1" * 70_000)
            second.write(b"2" * 70_000)
            first.commit()
            with pytest.raises(errors.AlreadyExists):
                second.commit()
        assert drain(driver.open_read(key)) == b"1" * 70_000

    def test_uncommitted_bytes_can_be_checked(self, driver: StorageDriver, key: str) -> None:
        """`open_uncommitted` gives what was written so far, or says NotSupported."""
        with driver.open_write(key) as writer:
            writer.write(b"head" + bytes(200_000))
            try:
                assert drain(writer.open_uncommitted()) == b"head" + bytes(200_000)
            except errors.NotSupported:
                assert not self.has(driver, StorageCapability.LOCAL_FILE)
            path = writer.uncommitted_path()
            assert (path is not None) == self.has(driver, StorageCapability.LOCAL_FILE)
            if path is not None:
                assert path.read_bytes() == b"head" + bytes(200_000)
            writer.write(b"tail")
            writer.commit()
        assert drain(driver.open_read(key)) == b"head" + bytes(200_000) + b"tail"

    def test_threads_write_at_once(self, driver: StorageDriver, key: str) -> None:
        """One instance serves many threads."""
        keys = [f"{key}-{number}" for number in range(8)]
        threads = [
            threading.Thread(target=write, args=(driver, one, one.encode() * 20_000))
            for one in keys
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for one in keys:
            assert drain(driver.open_read(one)) == one.encode() * 20_000

    # ------------------------------------------------------------ reading

    @pytest.mark.parametrize(
        ("offset", "length"),
        [(0, 0), (0, 1), (1, 10), (70_000, None), (99_999, 5), (100_000, None), (0, 200_000)],
    )
    def test_a_range_is_exactly_that_range(
        self, driver: StorageDriver, key: str, offset: int, length: int | None
    ) -> None:
        """`length` bytes from `offset`; short at the end; empty at the size."""
        data = storage_child.content(7, 100_000)
        write(driver, key, data)
        end = None if length is None else offset + length
        assert drain(driver.open_read(key, offset=offset, length=length)) == data[offset:end]

    @pytest.mark.parametrize(("offset", "length"), [(11, None), (-1, None), (0, -1), (11, 0)])
    def test_a_wrong_range_is_refused(
        self, driver: StorageDriver, key: str, offset: int, length: int | None
    ) -> None:
        """InvalidArgument for an offset past the end and for negative numbers."""
        write(driver, key, b"0123456789")
        with pytest.raises(errors.InvalidArgument):
            driver.open_read(key, offset=offset, length=length)

    def test_a_reader_gives_small_pieces(self, driver: StorageDriver, key: str) -> None:
        """`read(n)` gives at most n bytes, b"" at the end."""
        write(driver, key, b"0123456789")
        with driver.open_read(key, offset=2, length=7) as reader:
            found = b"".join(iter(lambda: reader.read(1), b""))
            assert reader.read(1) == b""
        assert found == b"2345678"

    def test_an_unknown_key_is_not_found(self, driver: StorageDriver, key: str) -> None:
        """NotFound, also for the first segments of a key that exists, and below it."""
        write(driver, f"{key}/disk", b"x")
        for unknown in (f"{key}-x", key, f"{key}/disk/more"):
            self.assert_absent(driver, unknown)

    @pytest.mark.parametrize(
        "bad", ["", "/", "a/", "/a", "a//b", "..", "a/../b", ".", "a b", "a\0", "é", "k" * 256]
    )
    def test_a_malformed_key_is_refused(self, driver: StorageDriver, bad: str) -> None:
        """InvalidArgument from every method that takes a key."""
        for call in (driver.open_write, driver.open_read, driver.stat, driver.delete):
            with pytest.raises(errors.InvalidArgument):
                call(bad)

    @pytest.mark.parametrize(
        "name", ["k" * 255, ".part", "object", "part/x", "-x", "A.b_c-1", "..."]
    )
    def test_every_well_formed_key_works(self, driver: StorageDriver, key: str, name: str) -> None:
        """Keys mean nothing to the driver, whatever they look like and however long they are."""
        used = name if len(name) == storage.KEY_LENGTH_MAX else f"{key}/{name}"
        write(driver, used, b"x")
        assert drain(driver.open_read(used)) == b"x"
        assert used in [found.key for found in driver.list(used)]
        driver.delete(used)

    def test_a_key_may_go_on_below_another_key(self, driver: StorageDriver, key: str) -> None:
        """`a` and `a/b` are two keys."""
        write(driver, key, b"upper")
        write(driver, f"{key}/lower", b"lower")
        assert drain(driver.open_read(key)) == b"upper"
        assert drain(driver.open_read(f"{key}/lower")) == b"lower"

    def test_an_etag_stays_and_differs(self, driver: StorageDriver, key: str) -> None:
        """`etag` names the content version."""
        write(driver, key, b"one")
        first = driver.stat(key)
        assert self.again(driver).stat(key).etag == first.etag
        assert first.modified_at.utcoffset() is not None
        driver.delete(key)
        write(driver, key, b"two, longer")
        assert not first.etag or driver.stat(key).etag != first.etag

    # ---------------------------------------------------- delete and list

    def test_delete_can_be_repeated(self, driver: StorageDriver, key: str) -> None:
        """`delete` of what is gone is success; the key can be used again."""
        write(driver, key, b"x")
        driver.delete(key)
        driver.delete(key)
        self.assert_absent(driver, key)
        write(driver, key, b"y")
        assert drain(driver.open_read(key)) == b"y"

    def test_delete_leaves_neighbours(self, driver: StorageDriver, key: str) -> None:
        """Only the key named goes."""
        for name in ("a", "ab", "a.b"):
            write(driver, f"{key}/{name}", name.encode())
        driver.delete(f"{key}/a")
        assert [found.key for found in driver.list(key)] == [f"{key}/a.b", f"{key}/ab"]

    def test_an_open_reader_reads_on_after_delete_or_fails(
        self, driver: StorageDriver, key: str
    ) -> None:
        """Never other bytes: the rest, or a DriverError."""
        data = storage_child.content(3, 3 * BLOCK)
        write(driver, key, data)
        with driver.open_read(key) as reader:
            head = reader.read(BLOCK)
            driver.delete(key)
            try:
                rest = drain(reader)
            except errors.DriverError:
                return
        assert head + rest == data

    def test_list_is_in_key_order_and_in_pages(self, driver: StorageDriver, key: str) -> None:
        """Pages by `after` and `limit` give each key once, in the order of their bytes."""
        names = ["0", "a", "a-b", "a.b", "a/b", "a/c", "ab", "b", "B", "_", "a0"]
        keys = sorted(f"{key}/{name}" for name in names)
        for one in keys:
            write(driver, one, one.encode())
        found: list[storage.ObjectInfo] = []
        while page := driver.list(f"{key}/", after=found[-1].key if found else None, limit=3):
            assert len(page) <= 3
            found += page
        assert [item.key for item in found] == keys
        assert [item.size_bytes for item in found] == [len(one) for one in keys]
        assert driver.list(f"{key}/nothing") == []

    def test_usage_is_told(self, driver: StorageDriver, key: str) -> None:
        """Used bytes, and all bytes if known; never negative."""
        usage = driver.usage()
        assert usage.used_bytes >= 0
        assert usage.total_bytes is None or usage.total_bytes >= usage.used_bytes

    # ------------------------------------------------------- capabilities

    def test_server_side_copy(self, driver: StorageDriver, key: str) -> None:
        """SERVER_SIDE_COPY: an equal object of its own; or NotSupported."""
        data = storage_child.content(5, 300_000) + bytes(300_000) + b"end"
        write(driver, key, data)
        if not self.has(driver, StorageCapability.SERVER_SIDE_COPY):
            with pytest.raises(errors.NotSupported):
                driver.copy(key, f"{key}-copy")
            return
        assert driver.copy(key, f"{key}-copy").size_bytes == len(data)
        with pytest.raises(errors.AlreadyExists):
            driver.copy(key, f"{key}-copy")
        with pytest.raises(errors.NotFound):
            driver.copy(f"{key}-none", f"{key}-copy-2")
        self.assert_absent(driver, f"{key}-copy-2")
        driver.delete(key)
        assert drain(driver.open_read(f"{key}-copy")) == data

    def test_local_file(self, driver: StorageDriver, key: str) -> None:
        """LOCAL_FILE: `path` and a real file from `open_read`; or NotSupported."""
        write(driver, key, b"0123456789")
        if not self.has(driver, StorageCapability.LOCAL_FILE):
            with pytest.raises(errors.NotSupported):
                driver.path(key)
            return
        assert driver.path(key).read_bytes() == b"0123456789"
        with driver.open_read(key, offset=4) as reader:
            assert os.lseek(reader.fileno(), 0, os.SEEK_CUR) == len(b"0123")
            assert os.read(reader.fileno(), 100) == b"456789"
        with pytest.raises(errors.NotFound):
            driver.path(f"{key}-none")

    def test_presigned_url(self, driver: StorageDriver, key: str) -> None:
        """PRESIGNED_URL: a URL; or NotSupported."""
        write(driver, key, b"x")
        if self.has(driver, StorageCapability.PRESIGNED_URL):
            assert "://" in driver.presign(key)
            return
        with pytest.raises(errors.NotSupported):
            driver.presign(key)

    def test_resumable_write(self, driver: StorageDriver, key: str) -> None:
        """RESUMABLE_WRITE: another instance goes on at `offset`; or NotSupported."""
        if not self.has(driver, StorageCapability.RESUMABLE_WRITE):
            with pytest.raises(errors.NotSupported):
                driver.resume_write(key, "upload")
            with driver.open_write(key) as writer, pytest.raises(errors.NotSupported):
                _ = writer.upload_id
            return
        data = storage_child.content(9, 20 * BLOCK)
        writer = driver.open_write(key)
        for begin in range(0, 12 * BLOCK, BLOCK):
            writer.write(data[begin : begin + BLOCK])
        with self.again(driver).resume_write(key, writer.upload_id) as other:
            assert other.offset <= 12 * BLOCK
            other.write(data[other.offset :])
            other.commit()
        assert drain(driver.open_read(key)) == data
        with pytest.raises(errors.NotFound):
            driver.resume_write(f"{key}-none", "unknown")

    # --------------------------------------------------------------- kill

    def kill_writer(self, driver: StorageDriver, key: str, die: str, crashpoint: str = "") -> bytes:
        """Let a child process write `key` and be killed; gives what it wrote."""
        driver_class, backend_id, options = self.recipe(driver)
        order = {
            "driver": f"{driver_class.__module__}:{driver_class.__qualname__}",
            "backend_id": backend_id,
            "options": options,
            "key": key,
            "size": KILL_SIZE,
            "seed": 11,
            "die": die,
        }
        done = subprocess.run(  # noqa: S603 - our own module
            [sys.executable, "-m", "imagesvc.testing.conformance.storage_child"],
            input=json.dumps(order, default=str).encode(),
            env=os.environ | {"IMAGESVC_CRASHPOINT": crashpoint},
            capture_output=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == -signal.SIGKILL, done.stderr.decode()
        return storage_child.content(11, KILL_SIZE)

    def test_a_writer_killed_before_commit_leaves_nothing(
        self, driver: StorageDriver, key: str
    ) -> None:
        """A kill leaves nothing that can be seen, and the key is free."""
        self.kill_writer(driver, key, "written")
        self.assert_absent(driver, key)
        driver.discard_stale(older_than_s=0)
        self.assert_absent(driver, key)
        write(driver, key, b"after")
        assert drain(driver.open_read(key)) == b"after"

    def test_a_writer_killed_after_commit_leaves_the_whole(
        self, driver: StorageDriver, key: str
    ) -> None:
        """What `commit` returned for stays, also once the rest of the writer is discarded."""
        data = self.kill_writer(driver, key, "committed")
        driver.discard_stale(older_than_s=0)
        assert drain(self.again(driver).open_read(key)) == data

    def test_a_writer_killed_inside_commit_leaves_nothing_or_the_whole(
        self, driver: StorageDriver, key: str
    ) -> None:
        """At each crash point of the driver; never a part, and the key can be dealt with."""
        for number, crashpoint in enumerate(self.crashpoints):
            used = f"{key}-{number}"
            data = self.kill_writer(driver, used, "committed", crashpoint)
            driver.discard_stale(older_than_s=0)
            try:
                found = driver.stat(used)
            except errors.NotFound:
                self.assert_absent(driver, used)
            else:
                assert found.size_bytes == len(data)
                assert drain(driver.open_read(used)) == data
            driver.delete(used)
            write(driver, used, b"after")

    def test_discarding_spares_what_is_young_or_committed(
        self, driver: StorageDriver, key: str
    ) -> None:
        """`discard_stale` takes only what is older and was never committed."""
        write(driver, f"{key}-kept", b"kept")
        with driver.open_write(key) as writer:
            writer.write(b"x" * BLOCK)
            driver.discard_stale(older_than_s=3600)
            writer.write(b"y")
            writer.commit()
        assert drain(driver.open_read(key)) == b"x" * BLOCK + b"y"
        assert drain(driver.open_read(f"{key}-kept")) == b"kept"

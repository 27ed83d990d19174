"""Laws of storage drivers; see `imagesvc.interface.storage`."""

import threading

import pytest

from imagesvc.interface import errors, storage
from imagesvc.interface.storage import StorageCapability, StorageDriver
from imagesvc.testing.conformance import storage_child
from imagesvc.testing.conformance.storage_capability import StorageCapabilityConformance
from imagesvc.testing.conformance.storage_kill import StorageKillConformance
from imagesvc.testing.conformance.storage_list import StorageListConformance
from imagesvc.testing.conformance.storage_object import BLOCK, drain, holds, write

SIZES = (0, 1, 4095, 65536, BLOCK - 1, BLOCK, BLOCK + 1)


class StorageConformance(
    StorageCapabilityConformance, StorageListConformance, StorageKillConformance
):
    """Derive, give `driver`; name the driver's own crash points in `crashpoints`."""

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
        assert holds(driver.open_read(key), data)

    def test_writes_of_any_length_make_one_object(self, driver: StorageDriver, key: str) -> None:
        """`write` appends, whatever the lengths; `offset` counts them; zeros are kept."""
        parts = [b"a", bytes(70_000), b"", b"b" * 65_536, bytes(200_000), b"c", bytes(131_072)]
        with driver.open_write(key) as writer:
            for part in parts:
                before = writer.offset
                writer.write(part)
                assert writer.offset == before + len(part)
            writer.commit()
        assert holds(driver.open_read(key), b"".join(parts))

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
        path = writer.uncommitted_path()
        writer.abort()
        writer.abort()
        self.assert_absent(driver, key)
        assert path is None or not path.exists()
        assert write(driver, key, b"again").size_bytes == len(b"again")

    def test_an_exception_in_the_block_aborts(self, driver: StorageDriver, key: str) -> None:
        """The writer is a context manager that aborts what was not committed."""

        def fail() -> None:
            with driver.open_write(key) as writer:
                writer.write(b"x")
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fail()
        self.assert_absent(driver, key)

    def test_abort_after_commit_changes_nothing(self, driver: StorageDriver, key: str) -> None:
        """`abort` after `commit` has no effect."""
        writer = driver.open_write(key)
        writer.write(b"kept")
        writer.commit()
        writer.abort()
        assert holds(driver.open_read(key), b"kept")

    def test_a_committed_key_is_never_replaced(self, driver: StorageDriver, key: str) -> None:
        """`open_write` raises AlreadyExists for a committed key."""
        write(driver, key, b"first")
        with pytest.raises(errors.AlreadyExists):
            driver.open_write(key)
        assert holds(driver.open_read(key), b"first")

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
        assert holds(driver.open_read(key), b"1" * 70_000)

    def test_uncommitted_bytes_can_be_checked(self, driver: StorageDriver, key: str) -> None:
        """`open_uncommitted` gives what was written so far, or says NotSupported."""
        with driver.open_write(key) as writer:
            writer.write(b"head" + bytes(200_000))
            try:
                assert holds(writer.open_uncommitted(), b"head" + bytes(200_000))
            except errors.NotSupported:
                assert not self.has(driver, StorageCapability.LOCAL_FILE)
            path = writer.uncommitted_path()
            assert (path is not None) == self.has(driver, StorageCapability.LOCAL_FILE)
            if path is not None:
                assert path.read_bytes() == b"head" + bytes(200_000)
            writer.write(b"tail")
            writer.commit()
        assert holds(driver.open_read(key), b"head" + bytes(200_000) + b"tail")

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
            assert holds(driver.open_read(one), one.encode() * 20_000)

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
        assert holds(driver.open_read(key, offset=offset, length=length), data[offset:end])

    @pytest.mark.parametrize(("offset", "length"), [(11, None), (-1, None), (0, -1), (11, 0)])
    def test_a_wrong_range_is_refused(
        self, driver: StorageDriver, key: str, offset: int, length: int | None
    ) -> None:
        """InvalidArgument for an offset past the end and for negative numbers."""
        write(driver, key, b"0123456789")
        with pytest.raises(errors.InvalidArgument):
            driver.open_read(key, offset=offset, length=length)

    def test_a_reader_gives_small_pieces(self, driver: StorageDriver, key: str) -> None:
        """`read(n)` gives at most n bytes, b"" at the end; `read()` gives the rest."""
        write(driver, key, b"0123456789")
        with driver.open_read(key, offset=2, length=7) as reader:
            found = b"".join(iter(lambda: reader.read(1), b""))
            assert reader.read(1) == b""
        assert found == b"2345678"
        with driver.open_read(key, offset=1) as reader:
            assert reader.read(2) == b"12"
            assert reader.read() == b"3456789"

    def test_readers_do_not_disturb_each_other(self, driver: StorageDriver, key: str) -> None:
        """Several readers of one object each have a place of their own, also across threads."""
        data = storage_child.content(4, 400_000)
        write(driver, key, data)
        with driver.open_read(key) as first, driver.open_read(key) as second:
            halves = [first.read(1000), second.read(1000), first.read(1000)]
        assert halves == [data[:1000], data[:1000], data[1000:2000]]
        found: list[bytes] = []
        threads = [
            threading.Thread(target=lambda: found.append(drain(driver.open_read(key))))
            for _ in range(6)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [data] * len(threads)

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
        assert holds(driver.open_read(used), b"x")
        assert used in [found.key for found in driver.list(used)]
        driver.delete(used)

    def test_a_key_may_go_on_below_another_key(self, driver: StorageDriver, key: str) -> None:
        """`a` and `a/b` are two keys."""
        write(driver, key, b"upper")
        write(driver, f"{key}/lower", b"lower")
        assert holds(driver.open_read(key), b"upper")
        assert holds(driver.open_read(f"{key}/lower"), b"lower")

    def test_an_etag_stays_and_differs(self, driver: StorageDriver, key: str) -> None:
        """`etag` names the content version."""
        write(driver, key, b"one")
        first = driver.stat(key)
        assert self.again(driver).stat(key).etag == first.etag
        assert first.modified_at.utcoffset() is not None
        driver.delete(key)
        write(driver, key, b"two, longer")
        assert not first.etag or driver.stat(key).etag != first.etag

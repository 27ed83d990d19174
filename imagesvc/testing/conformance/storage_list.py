"""Laws of storage drivers: delete, list and usage."""

from imagesvc.interface import errors, storage
from imagesvc.interface.storage import StorageDriver
from imagesvc.testing.conformance import storage_child
from imagesvc.testing.conformance.storage_object import (
    BLOCK,
    StorageObjectConformance,
    drain,
    holds,
    write,
)


class StorageListConformance(StorageObjectConformance):
    """What can be listed and deleted."""

    def test_delete_can_be_repeated(self, driver: StorageDriver, key: str) -> None:
        """`delete` of what is gone is success; the key can be used again."""
        write(driver, key, b"x")
        driver.delete(key)
        driver.delete(key)
        self.assert_absent(driver, key)
        write(driver, key, b"y")
        assert holds(driver.open_read(key), b"y")

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

    def test_a_prefix_is_taken_as_it_is(self, driver: StorageDriver, key: str) -> None:
        """No character of a prefix is special, large letters are not small ones."""
        for name in ("a_b", "a.b", "aXb", "A_b", "a-b"):
            write(driver, f"{key}/{name}", b"x")
        for name in ("a_", "a.", "A"):
            found = [item.key for item in driver.list(f"{key}/{name}")]
            assert len(found) == 1, found
            assert found[0].startswith(f"{key}/{name}")

    def test_a_list_goes_on_after_a_key_that_is_gone(self, driver: StorageDriver, key: str) -> None:
        """`after` need not exist: the reaper deletes what it has just listed."""
        keys = [f"{key}/{number}" for number in range(5)]
        for one in keys:
            write(driver, one, b"x")
        found: list[str] = []
        while page := driver.list(f"{key}/", after=found[-1] if found else None, limit=2):
            found += [item.key for item in page]
            for item in page:
                driver.delete(item.key)
        assert found == keys
        assert driver.list(f"{key}/") == []

    def test_usage_is_told(self, driver: StorageDriver, key: str) -> None:
        """Used bytes, and all bytes if known; never negative."""
        usage = driver.usage()
        assert usage.used_bytes >= 0
        assert usage.total_bytes is None or usage.total_bytes >= usage.used_bytes

"""Laws of what a storage driver may offer beyond the required methods."""

import os

import pytest
import requests

from imagesvc.interface import base, errors
from imagesvc.interface.storage import StorageCapability, StorageDriver
from imagesvc.testing.conformance import storage_child
from imagesvc.testing.conformance.storage_object import (
    BLOCK,
    StorageObjectConformance,
    drain,
    holds,
    write,
)

_TIMEOUT_S = 30


class StorageCapabilityConformance(StorageObjectConformance):
    """A capability is tested if it is promised; else its methods must say NotSupported."""

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
        assert holds(driver.open_read(f"{key}-copy"), data)

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

    def test_copies(self, driver: StorageDriver, key: str) -> None:
        """COPIES: each copy alone, whole or a part, as soon as `commit` returns; or NotSupported."""
        data = storage_child.content(6, 300_000)
        write(driver, key, data)
        assert driver.stat(key).copies == driver.copies()
        if not self.has(driver, StorageCapability.COPIES):
            assert driver.copies() == 1
            with pytest.raises(errors.NotSupported):
                driver.open_copy(key, 0)
            return
        assert driver.copies() > 1
        for number in range(driver.copies()):
            assert holds(driver.open_copy(key, number), data)
            part = drain(driver.open_copy(key, number, offset=1000, length=10))
            assert part == data[1000:1010]
            with pytest.raises(errors.NotFound):
                driver.open_copy(f"{key}-none", number)
            with pytest.raises(errors.InvalidArgument):
                driver.open_copy(key, number, offset=len(data) + 1)
        with pytest.raises(errors.InvalidArgument):
            driver.open_copy(key, driver.copies())
        driver.delete(key)
        for number in range(driver.copies()):
            with pytest.raises(errors.NotFound):
                driver.open_copy(key, number)

    def test_presigned_url(self, driver: StorageDriver, key: str) -> None:
        """PRESIGNED_URL: a URL that gives the object, whole or a range; or NotSupported."""
        write(driver, key, b"0123456789")
        if not self.has(driver, StorageCapability.PRESIGNED_URL):
            with pytest.raises(errors.NotSupported):
                driver.presign(key)
            return
        url = driver.presign(key, expires_s=60.0)
        assert requests.get(url, timeout=_TIMEOUT_S).content == b"0123456789"
        part = requests.get(url, headers={"Range": "bytes=2-4"}, timeout=_TIMEOUT_S)
        assert (part.status_code, part.content) == (206, b"234")

    def test_resumable_write(self, driver: StorageDriver, key: str) -> None:
        """RESUMABLE_WRITE: another instance goes on at `offset` with what was left; or NotSupported."""
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
        upload_id = writer.upload_id
        if driver.contract >= base.Version(1, 3):
            writer.leave()
            writer.abort()
            self.assert_absent(driver, key)
        with self.again(driver).resume_write(key, upload_id) as other:
            assert other.offset <= 12 * BLOCK
            other.write(data[other.offset :])
            other.commit()
        assert holds(driver.open_read(key), data)
        with pytest.raises(errors.NotFound):
            driver.resume_write(f"{key}-none", "unknown")
        if driver.contract >= base.Version(1, 3):
            with pytest.raises(errors.NotFound):
                driver.resume_write(key, upload_id)

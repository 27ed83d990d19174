"""What the suites of storage share: an object, a key, and how one looks for it."""

import uuid
from typing import BinaryIO

import pytest

from imagesvc.interface import errors, storage
from imagesvc.interface.storage import StorageCapability, StorageDriver
from imagesvc.testing.conformance.base import DriverConformance

BLOCK = 1 << 20


def write(driver: StorageDriver, key: str, data: bytes) -> storage.ObjectInfo:
    """Write and commit one object."""
    with driver.open_write(key) as writer:
        writer.write(data)
        return writer.commit()


def drain(reader: BinaryIO) -> bytes:
    """Read to the end and close."""
    with reader:
        return b"".join(iter(lambda: reader.read(BLOCK), b""))


def holds(reader: BinaryIO, data: bytes) -> bool:
    """Whether a reader gives exactly `data`.

    An answer for `assert`, which would explain two unequal megabytes byte by byte, for minutes.
    """
    return drain(reader) == data


class StorageObjectConformance(DriverConformance):
    """A fresh key for each law."""

    VERSION = storage.VERSION
    CAPABILITY = StorageCapability

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

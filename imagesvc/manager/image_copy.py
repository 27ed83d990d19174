"""The copies of a disk: which there are, which may be read, and in which order."""

import dataclasses
import logging
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from imagesvc import errors
from imagesvc.backend.registry import Backends
from imagesvc.domain.image import ImageDisk
from imagesvc.interface.errors import DriverError
from imagesvc.interface.storage import StorageCapability
from imagesvc.stream import encrypted

LOG = logging.getLogger(__name__)

Place = tuple[str, str]  # store id, storage key


@dataclasses.dataclass(frozen=True, slots=True)
class Copy:
    """One copy; `number` counts those that its store keeps of each object, from 0."""

    store_id: str
    key: str
    number: int = 0

    @property
    def place(self) -> Place:
        """What the row of the disk says of it."""
        return self.store_id, self.key


def kept(backends: Backends, store_id: str) -> int:
    """How many copies a store keeps of each object; 1 of a store that does not work."""
    try:
        return backends.storage(store_id).copies()
    except (errors.BackendFailed, errors.BackendNotFound):
        return 1  # whoever reads meets the failure, and says so


def of(backends: Backends, disk: ImageDisk, preferred: tuple[str, ...] = ()) -> tuple[Copy, ...]:
    """All copies in the order in which they are read: the preferred stores, then by weight."""
    return tuple(_of(backends, disk, preferred))


def sound(
    backends: Backends, image_id: str, disk: ImageDisk, preferred: tuple[str, ...] = ()
) -> tuple[Copy, ...]:
    """Those of which nothing bad is known. Raises ImageDamaged if that is none of them."""
    copies = of(backends, disk, preferred)
    good = _good(disk, copies)
    if copies and not good:
        raise errors.ImageDamaged(image_id=image_id)
    return good


def is_last(backends: Backends, disk: ImageDisk, stores: Collection[str]) -> bool:
    """Whether without these stores no copy were left, or none of which nothing bad is known."""
    copies = of(backends, disk)
    return all(one.store_id in stores for one in _good(disk, copies) or copies)


def _good(disk: ImageDisk, copies: tuple[Copy, ...]) -> tuple[Copy, ...]:
    bad = {Copy(one.store_id, one.storage_key, one.number) for one in disk.damages}
    return tuple(one for one in copies if one not in bad)


def open_copy(
    backends: Backends, copy: Copy, offset: int = 0, length: int | None = None
) -> BinaryIO:
    """Open just this copy; whoever calls closes.

    A store of local files gives the file itself, which does not end after `length`. Raises
    DriverError, BackendFailed, BackendNotFound.
    """
    driver = backends.storage(copy.store_id)
    capabilities = driver.info().capabilities
    if encrypted.is_local_file(driver, copy.key):
        length = None  # the kernel sends it; the server stops at Content-Length
    if StorageCapability.COPIES in capabilities:
        return driver.open_copy(copy.key, copy.number, offset=offset, length=length)
    return driver.open_read(copy.key, offset=offset, length=length)


def is_local(backends: Backends, copy: Copy) -> bool:
    """Whether a file of this host holds the plain bytes. Raises BackendFailed, BackendNotFound."""
    driver = backends.storage(copy.store_id)
    return encrypted.is_local_file(driver, copy.key)


def local_path(backends: Backends, copies: Iterable[Copy], disk: ImageDisk) -> Path | None:
    """The file of the first copy that is there and whole in size.

    None if a copy that is no file comes before: its bytes are read by URL, which has the same
    order and passes over what fails. Raises DriverError if every copy is a file and none is there.
    """
    marked = {(one.store_id, one.storage_key) for one in disk.damages}
    failure: Exception | None = None
    for copy in copies:
        try:
            if not is_local(backends, copy) or copy.place in marked:
                return None  # a driver's path may be that of the copy that is marked
            path = backends.storage(copy.store_id).path(copy.key)
            size = path.stat().st_size
        except (DriverError, errors.BackendFailed, errors.BackendNotFound, OSError) as exc:
            failure = exc  # another copy may be there
        else:
            if size == disk.size_bytes:
                return path
            if kept(backends, copy.store_id) > 1:
                return None  # the store's other copy may be whole
            failure = DriverError(f"The file has {size} bytes of {disk.size_bytes}.")
        LOG.warning("file not used store=%s key=%s: %s", copy.store_id, copy.key, failure)
    raise DriverError(
        "No copy of the image's bytes is there and whole.",
        str(failure),
        retryable=getattr(failure, "retryable", False),
    )


def _of(backends: Backends, disk: ImageDisk, preferred: tuple[str, ...]) -> Iterator[Copy]:
    for store_id, key in _ordered(backends, disk.locations, preferred):
        for number in range(kept(backends, store_id)):
            yield Copy(store_id, key, number)


def _ordered(
    backends: Backends, locations: Iterable[Place], preferred: tuple[str, ...] = ()
) -> tuple[Place, ...]:
    """The places in the order in which they are read: the preferred stores, then by weight."""
    found = dict(locations)
    return tuple((store, found[store]) for store in backends.stores.order(found, preferred))

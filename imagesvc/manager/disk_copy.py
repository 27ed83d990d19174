"""One copy of a disk in a store: whether it is what its row says, and a new one in its place."""

import contextlib
import time
import uuid
from collections.abc import Callable, Iterator

from imagesvc import errors
from imagesvc.backend.registry import Backends
from imagesvc.context import service_context
from imagesvc.crashpoint import crashpoint
from imagesvc.db import doomed, pending
from imagesvc.db import image as image_rows
from imagesvc.db import location as location_rows
from imagesvc.domain import storage_key
from imagesvc.domain.image import ImageDisk
from imagesvc.interface.errors import IntegrityError
from imagesvc.manager import image_copy, location
from imagesvc.manager.image_copy import Copy
from imagesvc.manager.location import Location
from imagesvc.manager.operation import Operation
from imagesvc.stream import limit
from imagesvc.stream.digest import Digest
from imagesvc.stream.pipe import BLOCK_BYTES

# A note of bytes under way is renewed so many times before the reaper would take it.
_BEATS = 4


def digest_of(disk: ImageDisk) -> tuple[str, str] | None:
    """(algorithm, hex) that proves the bytes of a disk; None if its row has neither."""
    if disk.hash_algorithm and disk.hash_value:
        return disk.hash_algorithm, disk.hash_value
    return ("md5", disk.md5) if disk.md5 else None


def difference(source: limit.Reader, disk: ImageDisk, each: Callable[[bytes], object]) -> str:
    """Read `source` to its end, a block at a time through `each`: how it differs from the disk's
    row, empty if it does not. Without a digest in the row only the length is compared."""
    algorithm, wanted = digest_of(disk) or ("sha256", "")
    size = 0
    with Digest(algorithm, md5=False) as digest:
        while block := source.read(BLOCK_BYTES):
            size += len(block)
            if size > disk.size_bytes:
                return f"more bytes than the {disk.size_bytes} of its row"
            digest.update(block)
            each(block)
        found = digest.finish().value
    if size != disk.size_bytes:
        return f"{size} bytes, its row says {disk.size_bytes}"
    if wanted and found != wanted:
        return f"{algorithm} is {found[:16]}..., its row says {wanted[:16]}..."
    return ""


class CopyRepair:
    """Puts a proven copy in the place of a bad one."""

    def __init__(self, operation: Operation, backends: Backends, upload_stale_s: float) -> None:
        self._operation = operation
        self._backends = backends
        self._beat_s = upload_stale_s / _BEATS

    def replace(self, image_id: str, disk: ImageDisk, bad: Location, source: Copy) -> None:
        """Copy `source` beside `bad` in its store, and let the disk name the new bytes instead.

        The old bytes, all copies of them, are left to the reaper, and their marks are gone. Raises StoreReadOnly, InvalidRequest,
        IntegrityError if the source is not good either, ImageNotFound, Conflict if the disk
        left the place meanwhile, DriverError, BackendFailed, OSError. Then nothing is changed.
        """
        store_id = bad[0]
        location.require_store(self._backends, store_id)
        detail = {"store": store_id, "disk": disk.index, "from_store": source.store_id}
        with self._announced(image_id, bad) as (key, token):
            self._copy(disk, source, (store_id, key), token)
            with self._operation.write(
                service_context(), "location:repair", "image", image_id, detail
            ) as op:
                image = image_rows.get(op.conn, image_id, lock=True, binned=True)
                if image is None:
                    raise errors.ImageNotFound(image_id=image_id)
                op.owner = image.owner
                noted = pending.remove(op.conn, store_id, key)
                if not noted or not location_rows.replace(op.conn, image_id, disk.index, bad, key):
                    raise _overtaken(image_id)
                doomed.add(op.conn, *bad)

    def _copy(self, disk: ImageDisk, source: Copy, place: Location, token: str) -> None:
        beat = time.monotonic()
        with (
            image_copy.open_copy(self._backends, source) as reader,
            self._backends.storage(place[0]).open_write(place[1], size=disk.size_bytes) as writer,
        ):

            def each(block: bytes) -> None:
                nonlocal beat
                writer.write(block)
                if time.monotonic() - beat >= self._beat_s:
                    beat = time.monotonic()
                    self._renew(token)

            if difference(reader, disk, each):
                raise IntegrityError("The other copy is not good either.")
            crashpoint("copy.written")
            writer.commit()
        crashpoint("copy.committed")

    def _renew(self, token: str) -> None:
        with self._operation.database.write() as conn:
            note = pending.hand_over(conn, token, token)
        if note is None:
            raise errors.Conflict("The reaper took the new copy before it was whole.")

    @contextlib.contextmanager
    def _announced(self, image_id: str, bad: Location) -> Iterator[tuple[str, str]]:
        """A fresh key and the token of its note; what no disk names in the end is doomed."""
        store_id, token = bad[0], uuid.uuid4().hex
        key = storage_key.make(image_id, token, encrypted=storage_key.is_encrypted(bad[1]))
        with self._operation.database.write() as conn:
            pending.insert(conn, store_id, key, image_id, token)
        crashpoint("copy.announced")
        try:
            yield key, token
        finally:
            with self._operation.database.write() as conn:
                pending.remove(conn, store_id, key)
                if not location_rows.is_named(conn, store_id, key):
                    doomed.add(conn, store_id, key)


def _overtaken(image_id: str) -> errors.Conflict:
    return errors.Conflict("The bytes of image {image_id} moved meanwhile.", image_id=image_id)

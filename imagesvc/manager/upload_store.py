"""Bytes of a resumable upload into objects of the store, one after the other.

An object holds at most a part's size. Of small ones, as clients make them that send byte by byte,
the last are written together with what comes after them: each of less than 1 MiB is then larger
than all that follow it, so that few remain, and a byte is written some twenty times at most.
"""

from collections.abc import Sequence

from imagesvc.backend.registry import Backends
from imagesvc.crashpoint import crashpoint
from imagesvc.db import upload_part
from imagesvc.domain.upload import Upload, UploadPart
from imagesvc.interface.storage import ObjectWriter, StorageDriver
from imagesvc.manager import upload_lease
from imagesvc.manager.operation import Operation
from imagesvc.manager.upload_body import Body
from imagesvc.manager.upload_lease import UploadLease
from imagesvc.stream import joined

SMALL_BYTES = 1 << 20
_SMALL_PARTS_MAX = 32
_BLOCK_BYTES = 1 << 18


class PartStore:
    """Stores the body of one request; each part is noted, and counts when its rows say so."""

    def __init__(
        self,
        operation: Operation,
        backends: Backends,
        upload: Upload,
        lease: UploadLease,
        body: Body,
        part_bytes: int,
    ) -> None:
        self._operation = operation
        self._backends = backends
        self._driver: StorageDriver = backends.storage(upload.store_id)
        self._upload = upload
        self._lease = lease
        self._body = body
        self._part_bytes = part_bytes
        self._at = upload.offset_bytes

    def next(self) -> UploadPart | None:
        """Store what comes next, as much as one part takes; None at the end of the body.

        Raises DriverError, and what body and lease raise; then the store keeps nothing of it.
        """
        head = self._head()
        if not head:
            return None
        first = self._at == self._upload.offset_bytes
        old = self._small(len(head)) if first and len(head) < SMALL_BYTES else ()
        begin = old[0].offset_bytes if old else self._at
        key = f"{self._upload.storage_key}-{self._upload.lease_token}-{begin}"
        part = UploadPart(begin, 0, self._upload.store_id, key)
        self._lease.note(key)
        try:
            size = self._write(key, old, head)
        except BaseException:  # whatever it was, nobody will name these bytes
            upload_lease.discard(self._operation, self._backends, part)
            raise
        self._at = begin + size
        return UploadPart(begin, size, self._upload.store_id, key)

    def _head(self) -> bytes:
        """What comes, up to the size from which a part is no small one."""
        head = bytearray()
        while len(head) < SMALL_BYTES and (data := self._body.read(SMALL_BYTES - len(head))):
            head += data
        return bytes(head)

    def _small(self, size: int) -> Sequence[UploadPart]:
        """The last parts that are no larger than what comes after each of them, in order."""
        with self._operation.database.read() as conn:
            last = upload_part.last(conn, self._upload.id, _SMALL_PARTS_MAX)
        found: list[UploadPart] = []
        for part in last:
            if part.size_bytes >= SMALL_BYTES or part.size_bytes > size:
                break
            found.insert(0, part)
            size += part.size_bytes
        return found

    def _write(self, key: str, old: Sequence[UploadPart], head: bytes) -> int:
        with self._driver.open_write(key) as writer:
            size = self._repeat(writer, old)
            writer.write(head)
            size += len(head)
            while size < self._part_bytes and (data := self._body.read(self._part_bytes - size)):
                writer.write(data)
                size += len(data)
            crashpoint("upload.part_written")
            self._lease.beat()
            writer.commit()
        crashpoint("upload.part_stored")
        return size

    def _repeat(self, writer: ObjectWriter, old: Sequence[UploadPart]) -> int:
        count = 0
        pieces = [(part.size_bytes, joined.opener(self._driver, part.storage_key)) for part in old]
        with joined.JoinedReader(pieces) as source:
            while data := source.read(_BLOCK_BYTES):
                writer.write(data)
                count += len(data)
        return count

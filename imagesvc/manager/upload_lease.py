"""The hold that one request has on a resumable upload while it sends bytes.

A request that gets no byte for `lease_s` may lose the upload to the next one, which its own
transactions then notice, as each of them names the lease.
"""

import datetime
import time
from typing import Any

from imagesvc import errors
from imagesvc.backend.registry import Backends
from imagesvc.db import attempt, doomed, metadata, pending, upload_part
from imagesvc.db import upload as upload_rows
from imagesvc.domain.upload import Upload, UploadPart
from imagesvc.manager.operation import Operation
from imagesvc.manager.sweep import sweep


def until(lease_s: float) -> datetime.datetime:
    """When a lease ends that begins or is renewed now."""
    return metadata.now() + datetime.timedelta(seconds=lease_s)


def lost(conn: Any, upload: Upload) -> errors.ImagesvcError:
    """The error for a request that lost its hold: to another one, or because the upload is over."""
    if upload_rows.get(conn, upload.id) is None:
        return errors.UploadNotFound(upload_id=upload.id)
    return errors.Conflict("Another request goes on with upload {id}.", id=upload.id)


class UploadLease:
    """One request's hold on one upload; one thread."""

    def __init__(self, operation: Operation, upload: Upload, lease_s: float) -> None:
        self._operation = operation
        self._upload = upload
        self._lease_s = lease_s
        self._next = time.monotonic() + lease_s / 3

    def beat(self) -> None:
        """A byte came. Raises Conflict if another request has the upload by now, UploadNotFound."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + self._lease_s / 3
            self._renew(None)

    def note(self, key: str) -> None:
        """Note an object of the upload before its first byte. Raises Conflict as `beat`."""
        self._renew(key)

    @attempt.again
    def _renew(self, key: str | None) -> None:
        one = self._upload
        with self._operation.database.write() as conn:
            if not upload_rows.renew(conn, one.id, one.lease_token, until(self._lease_s)):
                raise lost(conn, one)
            if key is not None:
                pending.insert(conn, one.store_id, key, one.image_id, one.id)

    @attempt.again
    def release(self) -> None:
        """Let go of the upload, if it is held."""
        with self._operation.database.write() as conn:
            upload_rows.renew(conn, self._upload.id, self._upload.lease_token, None)


def discard(operation: Operation, backends: Backends, part: UploadPart) -> None:
    """Remove an object that was noted and does not count; one that counts by now stays."""
    if _doom(operation, part):
        sweep(operation.database, backends, [(part.store_id, part.storage_key)])


@attempt.again
def _doom(operation: Operation, part: UploadPart) -> bool:
    place = (part.store_id, part.storage_key)
    with operation.database.write() as conn:
        if upload_part.holds(conn, *place):
            return False
        # Its note may be gone: then it was doomed before it was there, perhaps.
        pending.remove(conn, *place)
        doomed.add(conn, *place)
    return True

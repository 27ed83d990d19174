"""The bytes of a resumable upload: one request takes hold of it, and stores what comes.

Whatever was stored when a connection breaks or a process is killed stays, up to the last part.
"""

from imagesvc import errors
from imagesvc.backend.registry import Backends
from imagesvc.context import RequestContext
from imagesvc.crashpoint import crashpoint
from imagesvc.db import attempt, doomed, metadata, pending, upload_part
from imagesvc.db import image as image_rows
from imagesvc.db import upload as upload_rows
from imagesvc.domain.state import ImageStatus
from imagesvc.domain.upload import Checksum, Upload, UploadPart
from imagesvc.errors import Reason
from imagesvc.interface.errors import Discarded, DriverError
from imagesvc.manager import upload_lease
from imagesvc.manager.operation import Operation
from imagesvc.manager.sweep import sweep
from imagesvc.manager.upload import UploadManager, own_upload
from imagesvc.manager.upload_body import Body
from imagesvc.manager.upload_store import PartStore
from imagesvc.policy.check import Enforcer
from imagesvc.stream import limit


class UploadWriter:
    """Takes the bytes of uploads; any process may take those of any."""

    def __init__(
        self, operation: Operation, enforcer: Enforcer, backends: Backends, uploads: UploadManager
    ) -> None:
        self._operation = operation
        self._enforcer = enforcer
        self._backends = backends
        self._uploads = uploads
        self._limits = uploads.limits

    def write(
        self,
        ctx: RequestContext,
        upload_id: str,
        offset: int,
        reader: limit.Reader,
        *,
        announced: int | None = None,
        size: int | None = None,
        checksum: Checksum | None = None,
    ) -> Upload:
        """Add the bytes of `reader` at `offset`; after the last one the image's job is handed in.

        `announced` is how many they should be, `size` how many the whole upload has, if that is
        told only now. With `checksum` all of them count or none. Raises UploadNotFound, Forbidden,
        Conflict (OFFSET; or another request took over), UploadBusy, TooLarge, QuotaExceeded,
        NoSpace, InvalidRequest (SIZE_MISMATCH, CHECKSUM; CLIENT_GONE and CLIENT_SLOW after what
        came was kept), and what `UploadManager.complete` raises.
        """
        of = (errors.ImagesvcError, DriverError, OSError)
        with self._operation.attempt(ctx, "upload:write", "upload", upload_id, of=of):
            upload = self._claim(ctx, upload_id, offset, size, announced)
            crashpoint("upload.claimed")
            if upload.job_id is not None:
                return upload
            lease = upload_lease.UploadLease(self._operation, upload, self._limits.lease_s)
            body = Body(
                reader,
                upload,
                cap_bytes=self._limits.size_cap_bytes,
                announced=announced,
                checksum=checksum,
                beat=lease.beat,
            )
            try:
                return self._receive(ctx, upload, lease, body)
            finally:
                lease.release()

    @attempt.again
    def _claim(
        self,
        ctx: RequestContext,
        upload_id: str,
        offset: int,
        told: int | None,
        announced: int | None,
    ) -> Upload:
        """Take hold of the upload; what a request before this one left behind is doomed."""
        with self._operation.database.write() as conn:
            found = own_upload(conn, ctx, upload_id)
            self._enforcer.authorize(ctx, "upload:write")
            image = image_rows.get(conn, found.image_id, lock=True)  # the first lock, as elsewhere
            found = own_upload(conn, ctx, upload_id, lock=True)
            if offset != found.offset_bytes:
                raise errors.Conflict(
                    "The upload goes on at {at}.", at=found.offset_bytes, reason=Reason.OFFSET
                )
            size = self._size(found, told, announced or 0)
            if found.job_id is not None:
                return found  # its last answer was lost
            if found.lease_until is not None and found.lease_until > metadata.now():
                raise errors.UploadBusy(upload_id=upload_id)
            doomed.add_all(conn, pending.take(conn, (upload_id,)))
            until = upload_lease.until(self._limits.lease_s)
            upload = upload_rows.claim(conn, upload_id, size, until)
            if image is not None and size != found.size_bytes:
                self._uploads.reserve(conn, image.owner, upload)
            return upload

    def _size(self, found: Upload, told: int | None, announced: int) -> int | None:
        """How many bytes the upload has, if that is known by now."""
        if told is not None and found.size_bytes not in (None, told):
            raise errors.InvalidRequest(
                "The upload has {size} bytes, as was said before.",
                size=found.size_bytes,
                reason=Reason.SIZE_MISMATCH,
            )
        size = told if found.size_bytes is None else found.size_bytes
        end = found.offset_bytes + announced
        self._uploads.check_size(max(end, size or 0))
        if size is not None and end > size:
            raise errors.InvalidRequest(
                "That would be {end} bytes of the {size} that were announced.",
                end=end,
                size=size,
                reason=Reason.SIZE_MISMATCH,
            )
        return size

    def _receive(
        self, ctx: RequestContext, upload: Upload, lease: upload_lease.UploadLease, body: Body
    ) -> Upload:
        """Store part after part; each counts at once, unless a checksum is to be proved first."""
        store = PartStore(
            self._operation, self._backends, upload, lease, body, self._limits.part_bytes
        )
        waiting: list[UploadPart] = []
        try:
            while (part := store.next()) is not None:
                waiting.append(part)
                if not body.is_provable:
                    upload, waiting = self._count(ctx, upload, waiting), []
                elif upload.size_bytes is None:
                    self._uploads.check_room(upload, part.end)
            body.prove()
            if waiting or (upload.job_id is None and upload.offset_bytes == upload.size_bytes):
                upload, waiting = self._count(ctx, upload, waiting), []
            body.require_whole()
            return upload
        finally:
            for one in waiting:
                upload_lease.discard(self._operation, self._backends, one)

    def _count(self, ctx: RequestContext, upload: Upload, parts: list[UploadPart]) -> Upload:
        """The parts are the upload's from now on; those whose place they take are removed."""
        now, gone = self._publish(ctx, upload, parts)
        crashpoint("upload.part_counted")
        sweep(self._operation.database, self._backends, gone)
        return now

    @attempt.again
    def _publish(
        self, ctx: RequestContext, upload: Upload, parts: list[UploadPart]
    ) -> tuple[Upload, list[tuple[str, str]]]:
        end = parts[-1].end if parts else upload.offset_bytes
        gone: list[tuple[str, str]] = []
        with self._operation.database.write() as conn:
            image = image_rows.get(conn, upload.image_id, lock=True)
            if image is None or image.status != ImageStatus.UPLOADING:
                raise errors.UploadNotFound(upload_id=upload.id)
            now = upload_rows.advance(conn, upload, end, self._uploads.expiry())
            if now is None:
                raise upload_lease.lost(conn, upload)
            for part in parts:
                gone += upload_part.put(conn, upload.id, part)
                if not pending.remove(conn, part.store_id, part.storage_key):
                    raise Discarded(
                        "What was uploaded was removed before it was whole.",
                        f"the note of {part.storage_key} is gone",
                    )
            doomed.add_all(conn, gone)
            if now.size_bytes is None:
                self._uploads.reserve(conn, image.owner, now)
            elif end == now.size_bytes:
                now = self._uploads.complete(conn, ctx, image, now)
        return now, gone

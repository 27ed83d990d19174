"""Staging: bytes that wait for their import, in a store that all processes reach."""

import uuid

from imagesvc import errors
from imagesvc.backend.registry import Backends
from imagesvc.context import RequestContext
from imagesvc.crashpoint import crashpoint
from imagesvc.db import attempt, pending
from imagesvc.db import image as image_rows
from imagesvc.domain import storage_key
from imagesvc.interface.errors import DriverError
from imagesvc.manager import heartbeat
from imagesvc.manager.image import visible_image
from imagesvc.manager.image_bytes import Upload
from imagesvc.manager.operation import Operation, Step
from imagesvc.manager.quota import QuotaManager
from imagesvc.manager.upload_failure import give_up
from imagesvc.policy.check import Enforcer
from imagesvc.stream import limit, pipe


class StageManager:
    """Takes the bytes of an image without judging them; `store_id` is where they wait."""

    def __init__(
        self,
        operation: Operation,
        enforcer: Enforcer,
        backends: Backends,
        quotas: QuotaManager,
        *,
        store_id: str,
        cap_bytes: int,
        heartbeat_s: float,
    ) -> None:
        self._operation = operation
        self._enforcer = enforcer
        self._backends = backends
        self._quotas = quotas
        self._store_id = store_id
        self._cap_bytes = cap_bytes
        self._heartbeat_s = heartbeat_s

    def stage(
        self, ctx: RequestContext, image_id: str, reader: limit.Reader, size: int | None = None
    ) -> None:
        """Keep the bytes of a queued image for its import; then it is uploading.

        `size` in bytes, None if unknown. Whatever fails leaves the image queued and no bytes.
        Raises ImageNotFound, Forbidden, StateConflict, InvalidRequest (SIZE_MISMATCH), TooLarge,
        QuotaExceeded, ImageGone, NoSpace, Discarded.
        """
        of = (errors.ImagesvcError, DriverError, OSError)
        with self._operation.attempt(ctx, "image_file:stage", "image", image_id, of=of) as step:
            upload = self._begin(ctx, image_id, size, step)
            try:
                count = self._receive(image_id, upload, reader)
                crashpoint("stage.stored")
                self._rest(ctx, image_id, upload, count, step)
            except BaseException:  # whatever it was, the image must not stay uploading
                give_up(
                    self._operation, self._backends, self._quotas, image_id, upload, "stage_failed"
                )
                raise
        crashpoint("stage.rested")

    @attempt.again
    def _begin(self, ctx: RequestContext, image_id: str, size: int | None, step: Step) -> Upload:
        token = uuid.uuid4().hex
        with self._operation.database.write() as conn:
            image = visible_image(conn, ctx, image_id)
            key = storage_key.make(image_id, token, encrypted=image.encrypted)
            step.owner = image.owner
            self._enforcer.authorize(ctx, "image_file:stage", image)
            owner = image_rows.transition(conn, image_id, "stage", {"upload_token": token})
            pending.insert(conn, self._store_id, key, image_id, token)
            self._quotas.reserve(conn, owner, token, stored_bytes=size or 0, uploads=1)
            room = self._quotas.room(conn, owner) if size is None else None
        crashpoint("stage.begun")
        return Upload(self._store_id, key, token, size, owner, room)

    def _receive(self, image_id: str, upload: Upload, reader: limit.Reader) -> int:
        beat = heartbeat.Heartbeat(
            self._operation, self._quotas, image_id, upload, self._heartbeat_s
        )
        source = limit.LimitedReader(
            reader, cap_bytes=self._cap_bytes, expected_bytes=upload.size_bytes
        )
        driver = self._backends.storage(upload.store_id)
        with beat, driver.open_write(upload.key, size=upload.size_bytes) as writer:
            count = pipe.carry(source, writer, beat)
            crashpoint("stage.received")
            writer.commit()
        return count

    @attempt.again
    def _rest(
        self, ctx: RequestContext, image_id: str, upload: Upload, count: int, step: Step
    ) -> None:
        """The bytes are whole: what is set aside for them stays until their import ends."""
        step.detail.update(size_bytes=count, store=upload.store_id)
        with self._operation.database.write() as conn:
            if not image_rows.rest(conn, image_id, upload.token, count):
                raise errors.ImageGone(image_id=image_id)
            self._quotas.settle(conn, (upload.token,), upload.owner)
            self._quotas.reserve(conn, upload.owner, upload.token, stored_bytes=count)
            self._operation.record(conn, ctx, "image_file:stage", "image", step, "success")

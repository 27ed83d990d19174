"""The bytes of images: up, down, and as a source for drivers."""

import logging
import uuid

from imagesvc import errors
from imagesvc.backend.registry import Backends
from imagesvc.context import RequestContext
from imagesvc.crashpoint import crashpoint
from imagesvc.db import doomed, image_disk, pending
from imagesvc.db import image as image_rows
from imagesvc.domain.image import Image, ImageDisk
from imagesvc.domain.state import ImageStatus
from imagesvc.errors import Reason
from imagesvc.interface import storage
from imagesvc.interface.errors import DriverError
from imagesvc.interface.image_source import ImageSource
from imagesvc.manager import signed_url
from imagesvc.manager.image import visible_image
from imagesvc.manager.image_bytes import Download, Heartbeat, Rules, Upload, disk_of, publish
from imagesvc.manager.operation import Operation, Step
from imagesvc.manager.quota import QuotaManager
from imagesvc.policy.check import Enforcer
from imagesvc.stream import gate, inspect, limit, pipe

LOG = logging.getLogger(__name__)
READABLE = frozenset({ImageStatus.ACTIVE, ImageStatus.DEACTIVATED})


class ImageFileManager:
    """Moves bytes between callers and the stores."""

    def __init__(
        self,
        operation: Operation,
        enforcer: Enforcer,
        backends: Backends,
        rules: Rules,
        signer: signed_url.Signer,
        quotas: QuotaManager,
    ) -> None:
        self._operation = operation
        self._enforcer = enforcer
        self._backends = backends
        self._rules = rules
        self._signer = signer
        self._quotas = quotas

    # ------------------------------------------------------------------ up

    def upload(
        self,
        ctx: RequestContext,
        image_id: str,
        reader: limit.Reader,
        size: int | None = None,
        store_id: str | None = None,
    ) -> Image:
        """Take the bytes of a queued image; then it is active.

        `size` in bytes, None if unknown. Whatever fails leaves the image queued and no bytes.
        Raises ImageNotFound, Forbidden, StateConflict, InvalidRequest (FORMAT_MISSING,
        SIZE_MISMATCH), UnsupportedImage, TooLarge, QuotaExceeded, ImageGone, NoSpace.
        """
        of = (errors.ImagesvcError, DriverError, OSError)
        with self._operation.attempt(ctx, "image_file:upload", "image", image_id, of=of) as step:
            image, upload = self._begin(ctx, image_id, size, store_id, step)
            return self._receive(ctx, image, upload, reader, size, step)

    def _begin(
        self,
        ctx: RequestContext,
        image_id: str,
        size: int | None,
        store_id: str | None,
        step: Step,
    ) -> tuple[Image, Upload]:
        store = self._store_id(store_id)
        token = uuid.uuid4().hex
        key = f"{image_id}/{token}"
        with self._operation.database.write() as conn:
            image = visible_image(conn, ctx, image_id)
            step.owner = image.owner
            self._enforcer.authorize(ctx, "image_file:upload", image)
            if size is not None and size > self._rules.size_cap_bytes:
                raise errors.TooLarge(
                    what="The image", limit=self._rules.size_cap_bytes, unit="bytes",
                    reason=Reason.SIZE_CAP,
                )  # fmt: skip
            inspect.check_container(image.container_format)
            owner = image_rows.transition(conn, image_id, "upload", {"upload_token": token})
            pending.insert(conn, store, key, image_id, token)
            self._quotas.reserve(conn, owner, token, stored_bytes=size or 0, uploads=1)
            room = self._quotas.room(conn, owner) if size is None else None
        crashpoint("upload.begun")
        return image, Upload(store, key, token, size, owner, room)

    def _store_id(self, wanted: str | None) -> str:
        store_id = wanted or self._backends.default_id("storage")
        if store_id not in self._backends.ids("storage"):
            raise errors.InvalidRequest(
                "There is no store {store}.", store=store_id, reason=Reason.STORE_UNKNOWN
            )
        return store_id

    def _receive(
        self,
        ctx: RequestContext,
        image: Image,
        upload: Upload,
        reader: limit.Reader,
        size: int | None,
        step: Step,
    ) -> Image:
        try:
            disk = self._store(image, upload, reader, size)
            crashpoint("upload.stored")
            return self._activate(ctx, image, upload, disk, step)
        except BaseException:  # whatever it was, the image must not stay saving
            self._give_up(image.id, upload)
            raise

    def _store(
        self, image: Image, upload: Upload, reader: limit.Reader, size: int | None
    ) -> ImageDisk:
        driver = self._backends.storage(upload.store_id)
        beat = Heartbeat(self._operation, self._quotas, image.id, upload)
        with driver.open_write(upload.key, size=size) as writer:
            result = pipe.pump(
                reader,
                writer,
                disk_format=image.disk_format or "",
                cap_bytes=self._rules.size_cap_bytes,
                expected_bytes=size,
                virtual_cap_bytes=self._rules.virtual_cap_bytes,
                hash_algorithm=self._rules.hash_algorithm,
                md5=self._rules.md5,
                progress=beat,
            )
            crashpoint("upload.received")
            converter, size_bytes = self._backends.converter(), result.size_bytes
            gate.commit(converter, result.facts, writer, driver, upload.key, size_bytes)
        return disk_of(image, result, ((upload.store_id, upload.key),))

    def _activate(
        self,
        ctx: RequestContext,
        image: Image,
        upload: Upload,
        disk: ImageDisk,
        step: Step,
    ) -> Image:
        step.detail.update(size_bytes=disk.size_bytes, store=upload.store_id)
        try:
            with self._operation.database.write() as conn:
                if not image_rows.heartbeat(conn, image.id, upload.token):
                    raise errors.ImageGone(image_id=image.id)
                owner = publish(conn, image.id, disk, "upload_done", upload_token=upload.token)
                pending.remove(conn, upload.store_id, upload.key)
                self._quotas.settle(conn, (upload.token,), owner, stored_bytes=disk.size_bytes)
                self._operation.record(conn, ctx, "image_file:upload", "image", step, "success")
                active = image_rows.get(conn, image.id)
        except (errors.ImageNotFound, errors.StateConflict, errors.Conflict) as exc:
            raise errors.ImageGone(image_id=image.id) from exc  # deleted or taken while it ran
        crashpoint("upload.activated")
        if active is None:
            raise errors.ImageGone(image_id=image.id)
        return active

    def _give_up(self, image_id: str, upload: Upload) -> None:
        with self._operation.database.write() as conn:
            row = image_rows.get(conn, image_id)
            if row is not None and row.status == ImageStatus.SAVING:
                try:
                    image_rows.transition(
                        conn, image_id, "upload_failed", upload_token=upload.token
                    )
                except errors.Conflict:  # another upload has the image now
                    LOG.info("Upload overtaken. image_id=%s", image_id)
            pending.remove(conn, upload.store_id, upload.key)
            # Active after all, if the answer to the commit was lost on its way.
            taken = image_disk.holds(conn, upload.store_id, upload.key)
            if not taken:
                doomed.add(conn, upload.store_id, upload.key)
            self._quotas.release(conn, upload.token)
        crashpoint("upload.given_up")
        if taken:
            return
        try:
            self._backends.storage(upload.store_id).delete(upload.key)
        except DriverError as exc:  # the row keeps the work for the reaper
            LOG.warning("Bytes left for the reaper. key=%s: %s", upload.key, exc)
            return
        with self._operation.database.write() as conn:
            doomed.remove(conn, upload.store_id, upload.key)

    # ---------------------------------------------------------------- down

    def download(
        self,
        ctx: RequestContext,
        image_id: str,
        *,
        disk: int = 0,
    ) -> Download:
        """The bytes of one disk, for who may read them.

        Raises ImageNotFound, Forbidden (also IMAGE_DEACTIVATED), NoContent before the image
        has bytes, DiskNotFound.
        """
        look = self._operation.look(ctx, "image_file:download", "image", image_id)
        with look as step, self._operation.database.read() as conn:
            image = visible_image(conn, ctx, image_id)
            step.owner = image.owner
            self._enforcer.authorize(ctx, "image_file:download", image)
            disks = image_disk.list_for(conn, image_id)
            if image.status == ImageStatus.DEACTIVATED and not self._enforcer.allows(
                ctx, "image_file:download_deactivated", image
            ):
                raise _deactivated()
        return self._download(image, disks, disk)

    def _download(self, image: Image, disks: tuple[ImageDisk, ...], index: int) -> Download:
        if image.status not in READABLE:
            raise errors.NoContent(image_id=image.id)
        found = next((disk for disk in disks if disk.index == index), None)
        if found is None:
            raise errors.DiskNotFound(image_id=image.id, disk=index)
        store_id, key = found.locations[0]
        etag = found.hash_value or f"{image.id}-{index}"
        driver = self._backends.storage(store_id)
        return Download(found.size_bytes, found.md5, etag, driver, key)

    # -------------------------------------------------------- for drivers

    def image_source(self, image: Image, disk: int = 0) -> ImageSource:
        """One disk as compute and volume drivers take it.

        Raises NoContent, DiskNotFound.
        """
        with self._operation.database.read() as conn:
            disks = image_disk.list_for(conn, image.id)
        if image.status not in READABLE:
            raise errors.NoContent(image_id=image.id)
        found = next((item for item in disks if item.index == disk), None)
        if found is None:
            raise errors.DiskNotFound(image_id=image.id, disk=disk)
        store_id, key = found.locations[0]
        driver = self._backends.storage(store_id)
        local = storage.StorageCapability.LOCAL_FILE in driver.info().capabilities
        return ImageSource(
            image_id=image.id,
            disk=disk,
            disk_format=found.disk_format,
            size_bytes=found.size_bytes,
            virtual_size_bytes=found.virtual_size_bytes or found.size_bytes,
            digest=found.hash_value or "",
            url=self._signer.sign(image.id, disk),
            local_path=driver.path(key) if local else None,
        )

    def open_signed(
        self,
        image_id: str,
        disk: int,
        *,
        expires: int,
        signature: str,
    ) -> Download:
        """The bytes that a signed URL names.

        Raises Forbidden (also IMAGE_DEACTIVATED), ImageNotFound.
        """
        self._signer.verify(image_id, disk, expires, signature)
        with self._operation.database.read() as conn:
            image = image_rows.get(conn, image_id)
            disks = image_disk.list_for(conn, image_id)
        if image is None:
            raise errors.ImageNotFound(image_id=image_id)
        if image.status == ImageStatus.DEACTIVATED:
            raise _deactivated()
        return self._download(image, disks, disk)


def _deactivated() -> errors.Forbidden:
    return errors.Forbidden("The image is deactivated.", reason=Reason.IMAGE_DEACTIVATED)

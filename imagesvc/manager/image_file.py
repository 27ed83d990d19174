"""The bytes of images: up, down, and as a source for drivers."""

import uuid

from imagesvc import errors
from imagesvc.backend.registry import Backends
from imagesvc.context import RequestContext
from imagesvc.crashpoint import crashpoint
from imagesvc.db import attempt, image_disk, pending
from imagesvc.db import image as image_rows
from imagesvc.domain import storage_key
from imagesvc.domain.image import Image, ImageDisk
from imagesvc.domain.state import IMAGE_READABLE, ImageStatus
from imagesvc.errors import Reason
from imagesvc.interface.errors import DriverError
from imagesvc.interface.image_source import ImageSource
from imagesvc.manager import heartbeat, image_copy, location, signed_url
from imagesvc.manager.data_key import DataKeys
from imagesvc.manager.foreign_bytes import ForeignBytes, ForeignDownload
from imagesvc.manager.guest import GuestManager
from imagesvc.manager.image import visible_image
from imagesvc.manager.image_bytes import (
    Download,
    Rules,
    Upload,
    disk_of,
    publish,
    require_bare,
    require_own,
)
from imagesvc.manager.image_snapshot import ImageSnapshots, Snapshot
from imagesvc.manager.last_use import LastUses
from imagesvc.manager.operation import Operation, Step
from imagesvc.manager.quota import QuotaManager
from imagesvc.manager.upload_failure import give_up
from imagesvc.policy import visibility
from imagesvc.policy.check import Enforcer
from imagesvc.stream import container, gate, limit


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
        guests: GuestManager,
        foreign: ForeignBytes,
        keys: DataKeys,
        last_uses: LastUses,
        *,
        heartbeat_s: float,
    ) -> None:
        self._operation = operation
        self._enforcer = enforcer
        self._backends = backends
        self._rules = rules
        self._signer = signer
        self._quotas = quotas
        self._guests = guests
        self._foreign = foreign
        self._keys = keys
        self._last_uses = last_uses
        self._heartbeat_s = heartbeat_s
        self._snapshots = ImageSnapshots()

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
        SIZE_MISMATCH), UnsupportedImage, TooLarge, QuotaExceeded, ImageGone, NoSpace, Discarded.
        """
        of = (errors.ImagesvcError, DriverError, OSError)
        with self._operation.attempt(ctx, "image_file:upload", "image", image_id, of=of) as step:
            image, upload = self._begin(ctx, image_id, size, store_id, step)
            return self._receive(ctx, image, upload, reader, size, step)

    @attempt.again
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
        with self._operation.database.write() as conn:
            image = visible_image(conn, ctx, image_id)
            key = storage_key.make(image_id, token, encrypted=image.encrypted)
            step.owner = image.owner
            self._enforcer.authorize(ctx, "image_file:upload", image)
            self._rules.check_size(size or 0)
            container.check_container(image.container_format)
            owner = image_rows.transition(conn, image_id, "upload", {"upload_token": token})
            pending.insert(conn, store, key, image_id, token)
            self._quotas.reserve(conn, owner, token, stored_bytes=size or 0, uploads=1)
            room = self._quotas.room(conn, owner) if size is None else None
        crashpoint("upload.begun")
        return image, Upload(store, key, token, size, owner, room)

    def _store_id(self, wanted: str | None) -> str:
        store_id = wanted or self._backends.default_id("storage") or ""
        return location.require_store(self._backends, store_id).id

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
            give_up(
                self._operation, self._backends, self._quotas, image.id, upload, "upload_failed"
            )
            raise

    def _store(
        self, image: Image, upload: Upload, reader: limit.Reader, size: int | None
    ) -> ImageDisk:
        driver = self._backends.storage(upload.store_id)
        beat = heartbeat.Heartbeat(
            self._operation, self._quotas, image.id, upload, self._heartbeat_s
        )
        with beat, driver.open_write(upload.key, size=size) as writer:
            result = self._rules.pump(
                reader,
                writer,
                disk_format=image.disk_format or "",
                container_format=image.container_format,
                expected_bytes=size,
                progress=beat,
            )
            crashpoint("upload.received")
            converter, size_bytes = self._backends.converter(), result.size_bytes
            gate.commit(converter, result.facts, writer, driver, upload.key, size_bytes)
            place = (upload.store_id, upload.key)
            guest = self._guests.look_if_free(result, place)
        return disk_of(image, result, (place,), guest)

    @attempt.again
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
                self._guests.fill(conn, image.id, disk, own=False)
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

    # ---------------------------------------------------------------- down

    def download(
        self,
        ctx: RequestContext,
        image_id: str,
        *,
        disk: int = 0,
        preferred: tuple[str, ...] = (),
    ) -> Download | ForeignDownload:
        """The bytes of one disk, for who may read them; `preferred` stores are tried first.

        Raises ImageNotFound, Forbidden (also IMAGE_DEACTIVATED), NoContent before the image
        has bytes, DiskNotFound, ImageDamaged, BackendNotFound for bytes at a foreign URL where the
        operator wants none any more.
        """
        look = self._operation.look(ctx, "image_file:download", "image", image_id)
        with look as step, self._operation.database.read() as conn:
            found = self._snapshots.get(conn, image_id, visibility.predicate(ctx))
            image = found.image
            step.owner = image.owner
            self._enforcer.authorize(ctx, "image_file:download", image)
            if image.status == ImageStatus.DEACTIVATED and not self._enforcer.allows(
                ctx, "image_file:download_deactivated", image
            ):
                raise _deactivated()
        self._keys.require(ctx, image)
        if image.foreign_store is not None and image.status in IMAGE_READABLE:
            return self._foreign.download(
                image, disk, self._last_uses.use(image.id, found.last_used_at)
            )
        return self._download(found, disk, preferred)

    def _download(self, found: Snapshot, index: int, preferred: tuple[str, ...] = ()) -> Download:
        image = found.image
        if image.status not in IMAGE_READABLE:
            raise errors.NoContent(image_id=image.id)
        disk = next((disk for disk in found.disks if disk.index == index), None)
        if disk is None:
            raise errors.DiskNotFound(image_id=image.id, disk=index)
        etag = disk.hash_value or f"{image.id}-{index}"
        copies = image_copy.sound(self._backends, image.id, disk, preferred)
        use = self._last_uses.use(image.id, found.last_used_at)
        return Download(disk.size_bytes, disk.md5, etag, self._backends, copies, use)

    # -------------------------------------------------------- for drivers

    def image_source(
        self, ctx: RequestContext, image: Image, disk: int = 0, *, job_id: str
    ) -> ImageSource:
        """One disk as drivers take it. Raises DiskNotFound, and what `image_sources` raises."""
        for found in self._disks(ctx, image):
            if found.index == disk:
                return self._source(image, found, job_id)
        raise errors.DiskNotFound(image_id=image.id, disk=disk)

    def image_sources(
        self, ctx: RequestContext, image: Image, *, job_id: str
    ) -> tuple[ImageSource, ...]:
        """The disks in their order, as compute and volume drivers take them for the work of a job.

        Raises NoContent, InvalidRequest (FORMAT_MISMATCH) for a container, ImageDamaged,
        DriverError if no copy of a disk is there; Forbidden (KEY_MISSING), KeyUnavailable for an
        encrypted image that the caller's project cannot open.
        """
        return tuple(self._source(image, disk, job_id) for disk in self._disks(ctx, image))

    def _disks(self, ctx: RequestContext, image: Image) -> tuple[ImageDisk, ...]:
        require_own(image)
        require_bare(image)
        self._keys.require(ctx, image)
        with self._operation.database.read() as conn:
            disks = image_disk.list_for(conn, image.id)
        if image.status not in IMAGE_READABLE or not disks:
            raise errors.NoContent(image_id=image.id)
        return disks

    def _source(self, image: Image, disk: ImageDisk, job_id: str) -> ImageSource:
        copies = image_copy.sound(self._backends, image.id, disk)
        return ImageSource(
            image_id=image.id,
            disk=disk.index,
            disk_format=disk.disk_format,
            size_bytes=disk.size_bytes,
            virtual_size_bytes=disk.virtual_size_bytes or disk.size_bytes,
            digest=disk.hash_value or "",
            url=self._signer.sign(image.id, disk.index, job_id),
            local_path=image_copy.local_path(self._backends, copies, disk),
            os_type=image.os_type or (disk.guest.os_type if disk.guest else None),
        )

    def sign(self, image_id: str, disk: int, job_id: str) -> str:
        """The URL of a disk, whether it is there or not; a secret until the job has ended."""
        return self._signer.sign(image_id, disk, job_id)

    def open_signed(self, image_id: str, disk: int, proof: signed_url.Proof) -> Download:
        """The bytes that a signed URL names.

        Raises Forbidden (also IMAGE_DEACTIVATED), ImageNotFound, ImageDamaged.
        """
        self._signer.verify(image_id, disk, proof)
        with self._operation.database.read() as conn:
            found = self._snapshots.get(conn, image_id)
        if found.image.status == ImageStatus.DEACTIVATED:
            raise _deactivated()
        return self._download(found, disk)


def _deactivated() -> errors.Forbidden:
    return errors.Forbidden("The image is deactivated.", reason=Reason.IMAGE_DEACTIVATED)

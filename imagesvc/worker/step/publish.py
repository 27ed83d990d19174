"""The disks of an image into a bucket of the caller's."""

import hashlib
from collections.abc import Callable
from typing import Any

from imagesvc import errors
from imagesvc.crashpoint import crashpoint
from imagesvc.db import image_disk
from imagesvc.db import job as job_rows
from imagesvc.domain import export
from imagesvc.domain.image import Image, ImageDisk
from imagesvc.domain.object_store import DIGEST_SUFFIX
from imagesvc.interface.errors import DriverError, IntegrityError
from imagesvc.stream import bucket, bucket_upload, pipe
from imagesvc.worker import conversion, export_place, image_sight
from imagesvc.worker.conversion import Wanted
from imagesvc.worker.flow import Step, StepContext, Wait


class Publish(Step):
    """Write one object a disk, its digest beside it, and a manifest for several.

    Memo: done (index -> facts of the object), writing (key of the object under way), others (ids
    of the uploads at that key right before ours was begun; None until then), upload_id, manifest
    (its key), result. Another run writes anew the disk that it was at: of an upload in parts
    nothing is taken over.
    """

    name = "publish"

    def run(self, ctx: StepContext) -> Wait | None:
        """Write what is not there yet.

        Raises ImageGone, Forbidden, BucketRefused, BucketAway, what `conversion.opened` does.
        """
        image, disks = _source(ctx)
        place = export_place.open_place(ctx, ctx.job.args["key"])
        parts = export.plan(ctx.job.args, image, disks)
        crashpoint("step.publish.begin")
        export_place.give_up(ctx, place)
        sizes = [disk.size_bytes for part in parts for disk in disks if disk.index == part.index]
        for number, part in enumerate(parts):
            if str(part.index) in ctx.memo.get("done", {}):
                continue
            disk = next(one for one in disks if one.index == part.index)
            share = _Share(ctx, sum(sizes[:number]), disk.size_bytes, sum(sizes))
            try:
                facts = self._write(ctx, place, part, disk, share)
            except (DriverError, errors.BucketRefused, errors.UnsupportedImage):
                _source(ctx)  # what is told of a deleted image is that it was deleted
                raise
            done = {**ctx.memo.get("done", {}), str(part.index): facts}
            ctx.memo.put(done=done, writing=None, upload_id="")
            crashpoint("step.publish.kept")
        self._conclude(ctx, place, image, disks)
        crashpoint("step.publish.done")
        return None

    def undo(self, ctx: StepContext) -> Wait | None:
        """Give up what is unfinished, and take away the objects that were made."""
        return export_place.withdraw(ctx)

    def _write(
        self,
        ctx: StepContext,
        place: bucket.Bucket,
        part: export.Part,
        disk: ImageDisk,
        share: "_Share",
    ) -> dict[str, Any]:
        """One disk and its digest; what the manifest says of it."""
        mark = export_place.mark(ctx, part.index)
        replace = export_place.may_replace(ctx, place, part.key, mark)
        export_place.note(ctx, part.key)
        sha256 = hashlib.sha256()
        wanted = _wanted(ctx, disk)
        with (
            conversion.opened(ctx, disk, wanted, share.of(0.0, 0.5)) as source,
            bucket_upload.BucketUpload(
                place, part.key, size_bytes=source.size_bytes, mark=mark, replace=replace,
                beginning=lambda: export_place.note_others(ctx, place, part.key),
                begun=lambda upload_id: ctx.memo.put(upload_id=upload_id),
            ) as upload,
        ):  # fmt: skip
            done, tell = 0, share.of(0.5 if source.spooled else 0.0, 1.0)
            while block := source.reader.read(pipe.BLOCK_BYTES):
                upload.write(block)
                sha256.update(block)
                done += len(block)
                tell(done, source.size_bytes)
            _check_whole(ctx, disk, done, source.size_bytes)
            crashpoint("step.publish.sent")
            _source(ctx)  # whoever deleted the image, or shut it, did not want a copy made
            _check_wanted(ctx)
            upload.commit()
        crashpoint("step.publish.committed")
        digest = sha256.hexdigest()
        export_place.lay(ctx, place, part.key + DIGEST_SUFFIX, export.digest_text(part.key, digest))
        return {
            "index": disk.index, "role": disk.role, "key": part.key, "sha256": digest,
            "disk_format": wanted.disk_format if wanted else disk.disk_format,
            "size_bytes": source.size_bytes, "virtual_size_bytes": disk.virtual_size_bytes,
        }  # fmt: skip

    def _conclude(
        self,
        ctx: StepContext,
        place: bucket.Bucket,
        image: Image,
        disks: tuple[ImageDisk, ...],
    ) -> None:
        args = ctx.job.args
        objects = [ctx.memo["done"][number] for number in sorted(ctx.memo["done"], key=int)]
        result = {"objects": objects, "bucket": args["bucket"]}
        if export.is_whole(args, image, disks):
            key = ctx.memo["manifest"] = export.manifest_key(args)
            export_place.lay(ctx, place, key, export.manifest(image, objects))
            result["manifest"] = key
        ctx.memo["result"] = result


class _Share:
    """How far a disk is, as a part of all disks. A conversion to a file is half of the way."""

    def __init__(self, ctx: StepContext, before: int, size_bytes: int, total: int) -> None:
        self._ctx = ctx
        self._before = before
        self._size = size_bytes
        self._total = total

    def of(self, begin: float, end: float) -> Callable[[int, int], None]:
        """What is told (done, total) of the way from `begin` to `end`, 0 to 1."""

        def tell(done: int, total: int) -> None:
            way = begin + (end - begin) * min(done / max(total, 1), 1.0)
            self._ctx.progress(self._before + int(self._size * way), self._total)

        return tell


def _source(ctx: StepContext) -> tuple[Image, tuple[ImageDisk, ...]]:
    """The image, if the caller still may have its bytes. Raises ImageGone, Forbidden."""
    image_id = ctx.job.image_id or ""
    image = image_sight.visible(ctx, image_id)
    with ctx.service.database.read() as conn:
        disks = image_disk.list_for(conn, image_id)
    if not disks:
        raise errors.ImageGone(image_id=image_id)
    ctx.service.exports.check(ctx.caller, image)
    return image, disks


def _wanted(ctx: StepContext, disk: ImageDisk) -> Wanted | None:
    """What the disk becomes; None for the bytes as they are."""
    disk_format, variant = ctx.job.args["disk_format"], ctx.job.args["variant"]
    if disk_format is None or (disk_format == disk.disk_format and not variant):
        return None
    return Wanted(disk_format, variant or export_place.VARIANTS.get(disk_format, ""))


def _check_wanted(ctx: StepContext) -> None:
    """The last moment for whoever asked the job to stop. Raises Cancelled, LeaseLost."""
    ctx.check()
    with ctx.service.database.write() as conn:
        if job_rows.fence(conn, ctx.job):
            raise errors.Cancelled(job_id=ctx.job.id)


def _check_whole(ctx: StepContext, disk: ImageDisk, done: int, size_bytes: int) -> None:
    """All was read, before anybody can read it there. Raises IntegrityError."""
    if done != size_bytes:
        raise IntegrityError(
            "The store does not give back what was written.",
            f"disk {disk.index} of image {ctx.job.image_id} ends at byte {done}",
        )

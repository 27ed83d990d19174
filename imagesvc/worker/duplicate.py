"""The bytes of one disk of an image once more, proven against the digest of its row.

Nothing is taken on trust. Where the store copies by itself, or shares blocks, the copy is read back
once: rot of the source is rot of its copy, and the digest costs less than one that nobody can use.
Where the bytes come through here they are hashed on their way, as those of an upload are.
"""

import contextlib
import logging
from collections.abc import Callable

from imagesvc import errors
from imagesvc.crashpoint import crashpoint
from imagesvc.domain.image import ImageDisk
from imagesvc.interface.errors import DriverError, IntegrityError
from imagesvc.interface.storage import ObjectWriter, StorageCapability
from imagesvc.manager import disk_copy, disk_reader, image_copy
from imagesvc.stream import limit, pipe
from imagesvc.stream.digest import Digest
from imagesvc.worker import gradual_write, landing
from imagesvc.worker.flow import StepContext

LOG = logging.getLogger(__name__)

Progress = Callable[[int], None]
Place = tuple[str, str]  # store id, storage key


def by_store(ctx: StepContext, disk: ImageDisk, store_id: str) -> bool:
    """Whether that store has the disk's bytes and copies by itself, as far as is known."""
    driver = ctx.service.backends.storage(store_id)
    marked = any(one.store_id == store_id for one in disk.damages)
    able = StorageCapability.SERVER_SIDE_COPY in driver.info().capabilities
    return able and not marked and store_id in dict(disk.locations)


def let_store_copy(
    ctx: StepContext, disk: ImageDisk, place: Place, tell: Progress
) -> pipe.PipeResult | None:
    """Let the store copy to an announced place; None if that did not give the disk's bytes."""
    store_id, key = place
    store = ctx.service.backends.storage(store_id)
    try:
        store.copy(dict(disk.locations)[store_id], key)
        crashpoint("step.copy.duplicated")
        with store.open_read(key) as reader:
            return _proven(ctx, disk, reader, pipe.Nowhere(), tell)
    except errors.LeaseLost:
        store.delete(key)  # nobody will ever name it
        raise
    except (DriverError, errors.UnsupportedImage) as exc:  # another copy may be read
        LOG.warning("not copied by its store store=%s key=%s: %s", store_id, key, exc)
        with contextlib.suppress(DriverError):  # what stays is doomed by the next announcement
            store.delete(key)
        return None


def send(
    ctx: StepContext, image_id: str, disk: ImageDisk, place: Place, tell: Progress
) -> pipe.PipeResult:
    """Send the bytes of the first copy that has the right ones to an announced place.

    Raises ImageDamaged, IntegrityError if no copy has them, UnsupportedImage if they are the right
    ones and the rules take them no more.
    """
    copies = image_copy.sound(ctx.service.backends, image_id, disk)
    for number, copy in enumerate(copies):
        try:
            return _send(ctx, copies[number:], disk, place, tell)
        except IntegrityError as exc:
            LOG.warning("copy passed over %s: %s", copy, exc.operator_message)
        except errors.UnsupportedImage:
            if _is_whole(ctx, copies[number:], disk):
                raise
            LOG.warning("copy passed over %s: its bytes are of another format", copy)
    raise IntegrityError(
        "No copy of the image that was to be copied has the bytes that were stored: it is damaged.",
        f"disk {disk.index} of image {image_id}: no copy of {copies} has its digest",
    )


def go_on(
    ctx: StepContext, image_id: str, disk: ImageDisk, tell: Progress
) -> tuple[Place, pipe.PipeResult] | None:
    """End what another worker began to send; None if that has to begin anew.

    Raises ImageDamaged, and what the stores raise.
    """
    place = gradual_write.left(ctx, disk.index)
    if place is None:
        return None
    copies = image_copy.sound(ctx.service.backends, image_id, disk)
    try:
        with gradual_write.gone_on(ctx, place, disk.index) as writer:
            return place, _through(ctx, copies, disk, writer, tell, writer.heed)
    except (gradual_write.Lost, IntegrityError, errors.UnsupportedImage) as exc:
        LOG.warning("begins anew store=%s key=%s: %r", *place, exc)
        return None


def _send(
    ctx: StepContext,
    copies: tuple[image_copy.Copy, ...],
    disk: ImageDisk,
    place: Place,
    tell: Progress,
) -> pipe.PipeResult:
    store_id, key = place
    if gradual_write.is_for(ctx, store_id, disk.size_bytes):
        with gradual_write.begun(ctx, place, disk.index, disk.size_bytes) as gradual:
            return _through(ctx, copies, disk, gradual, tell, gradual.heed)
    store = ctx.service.backends.storage(store_id)
    with store.open_write(key, size=disk.size_bytes) as writer:
        return _through(ctx, copies, disk, writer, tell)


def _through(
    ctx: StepContext,
    copies: tuple[image_copy.Copy, ...],
    disk: ImageDisk,
    writer: gradual_write.GradualWrite | ObjectWriter,
    tell: Progress,
    begin: Callable[[Digest], None] | None = None,
) -> pipe.PipeResult:
    with disk_reader.DiskReader(ctx.service.backends, copies, disk.size_bytes) as reader:
        result = _proven(ctx, disk, reader, writer, tell, begin)
        crashpoint("step.copy.written")
        ctx.check()
        writer.commit()
    return result


def _proven(
    ctx: StepContext,
    disk: ImageDisk,
    reader: limit.Reader,
    writer: pipe.Writer,
    tell: Progress,
    begin: Callable[[Digest], None] | None = None,
) -> pipe.PipeResult:
    """Through the one pipe. Raises IntegrityError for other bytes than the disk's."""
    rules = ctx.service.rules
    algorithm, value = disk_copy.digest_of(disk) or ("", "")
    hashed = landing.Hashed(reader, {algorithm} - rules.algorithms - {""})
    result = rules.pump(
        hashed,
        writer,
        disk_format=disk.disk_format,
        container_format=ctx.job.args["container_format"],
        expected_bytes=disk.size_bytes,
        progress=tell,
        begin=begin,
    )
    found = {"md5": result.md5, result.hash_algorithm: result.hash_value, **hashed.digests()}
    if value and found[algorithm] != value:
        raise IntegrityError(
            "The store does not give back what was written.",
            f"disk {disk.index}: {algorithm} is {found[algorithm]}, not {value}",
        )
    return result


def _is_whole(ctx: StepContext, copies: tuple[image_copy.Copy, ...], disk: ImageDisk) -> bool:
    """Whether the bytes are the disk's, whatever they are."""
    with disk_reader.DiskReader(ctx.service.backends, copies, disk.size_bytes) as reader:
        return not disk_copy.difference(reader, disk, lambda _: ctx.check())

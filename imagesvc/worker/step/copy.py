"""The disks of an image once more, as those of another image."""

from collections.abc import Mapping
from typing import Any

from imagesvc import errors
from imagesvc.crashpoint import crashpoint
from imagesvc.db import image_disk
from imagesvc.domain import guest
from imagesvc.domain.image import Image, ImageDisk
from imagesvc.interface.errors import DriverError
from imagesvc.stream import pipe
from imagesvc.worker import duplicate, image_sight, intake
from imagesvc.worker.duplicate import Place, Progress
from imagesvc.worker.flow import Step, StepContext, Wait


class Copy(Step):
    """Write each disk to a fresh key; memo: writing (store_id, key), made (a dict a disk), and that
    of `GradualWrite`.

    By the store itself if it can and has the disk, and both are plain; else through here, where
    bytes are opened and sealed under a data key of the copy's own. A second run goes on with
    the disk at which the first ended, and with the bytes that the store lacks of it.
    """

    name = "copy"

    def run(self, ctx: StepContext) -> Wait | None:
        """Copy what is not there yet.

        Raises ImageGone, Forbidden if the source is not the caller's to read any more, ImageDamaged,
        IntegrityError, UnsupportedImage, KeyUnavailable.
        """
        crashpoint("step.copy.begin")
        indexes = ctx.job.args["indexes"]
        while len(made := ctx.memo.get("made", [])) < len(indexes):
            _copy(ctx, indexes[len(made)], made)
            crashpoint("step.copy.kept")
        crashpoint("step.copy.done")
        return None

    def undo(self, ctx: StepContext) -> Wait | None:
        """Give the bytes to the reaper, unless they are the image's by now."""
        intake.doom_all(ctx)
        return None


def _copy(ctx: StepContext, index: int, made: list[dict[str, Any]]) -> None:
    """Copy one disk, and keep what it is once nobody objects."""
    source, disks = _source(ctx)
    disk = disks[index]
    before, total = sum(each["size_bytes"] for each in made), ctx.job.args["size_bytes"]
    try:
        place, result = _write(ctx, source, disk, lambda done: ctx.progress(before + done, total))
    except (DriverError, errors.ImageDamaged, errors.UnsupportedImage):
        _source(ctx)  # what is told of a deleted image is that it was deleted
        raise
    crashpoint("step.copy.committed")
    _source(ctx)  # whoever deleted the image, or shut it, did not want a copy made
    facts = {"store_id": place[0], "key": place[1], **_facts(disk, result)}
    intake.keep(ctx, place, made=[*made, facts], under_way=None)


def _write(
    ctx: StepContext, source: Image, disk: ImageDisk, tell: Progress
) -> tuple[Place, pipe.PipeResult]:
    if done := duplicate.go_on(ctx, source.id, disk, tell):
        return done
    store_id, mark = ctx.job.args["store"], f"-{disk.index}"
    plain = not (source.encrypted or intake.image_of(ctx).encrypted)
    if plain and duplicate.by_store(ctx, disk, store_id):
        place = store_id, intake.announce(ctx, store_id, mark)
        crashpoint("step.copy.announced")
        result = duplicate.let_store_copy(ctx, disk, place, tell)
        if result is not None:
            return place, result
    place = store_id, intake.announce(ctx, store_id, f"{mark}-sent")
    return place, duplicate.send(ctx, source.id, disk, place, tell)


def _source(ctx: StepContext) -> tuple[Image, Mapping[int, ImageDisk]]:
    """The image and its disks by index, if the caller still may have its bytes.

    Asks the KMS of an encrypted one. Raises ImageGone, Forbidden, KeyUnavailable.
    """
    image_id = ctx.job.args["source_image_id"]
    image = image_sight.visible(ctx, image_id)
    with ctx.service.database.read() as conn:
        disks = {disk.index: disk for disk in image_disk.list_for(conn, image_id)}
    if not disks:
        raise errors.ImageGone(image_id=image_id)
    ctx.service.copies.check(ctx.caller, image)
    return image, disks


def _facts(disk: ImageDisk, result: pipe.PipeResult) -> dict[str, Any]:
    """What the memo keeps of a disk: what the source's row says of these bytes, and what it lacks."""
    facts = intake.facts(result)
    if disk.hash_value:
        facts |= {"hash_algorithm": disk.hash_algorithm, "hash_value": disk.hash_value}
    return {
        **facts,
        "index": disk.index,
        "role": disk.role,
        "disk_format": disk.disk_format,
        "md5": disk.md5 or facts["md5"],
        "guest": guest.plain(disk.guest),
    }

"""The captured images become active."""

from collections.abc import Mapping
from typing import Any

from imagesvc import errors
from imagesvc.crashpoint import crashpoint
from imagesvc.db import image as image_rows
from imagesvc.db import job as job_rows
from imagesvc.db import pending
from imagesvc.domain import capture, guest
from imagesvc.domain.capture import CapturedDisk
from imagesvc.domain.image import ImageDisk
from imagesvc.manager import image_bytes
from imagesvc.manager.operation import Step as AuditStep
from imagesvc.worker import adoption, intake
from imagesvc.worker.flow import Step, StepContext, Wait
from imagesvc.worker.step.store import stored

Disks = list[tuple[CapturedDisk, ImageDisk, Mapping[str, Any]]]  # with the memo's facts


class Activate(Step):
    """Publish the stored disks in one transaction that also ends the step; memo: result."""

    name = "activate"
    final = True

    def run(self, ctx: StepContext) -> Wait | None:
        """Insert the disks, importing -> active, quota, audit.

        Of several images those that were deleted meanwhile are left out.
        Raises Cancelled, StateConflict, ImageNotFound, QuotaExceeded.
        """
        images, consistency = _by_image(ctx), _consistency(ctx)
        ctx.memo["result"] = {"image_ids": list(images), **consistency}
        crashpoint("step.activate.begin")
        with ctx.service.database.write() as conn:
            if job_rows.fence(conn, ctx.job):
                raise errors.Cancelled(job_id=ctx.job.id)  # the last moment for it
            used: dict[str | None, int] = {}
            for image_id, disks in images.items():
                if len(images) > 1 and image_rows.get(conn, image_id, lock=True) is None:
                    for _, disk, _ in disks:
                        intake.doom(conn, *disk.locations[0])
                    continue
                owner = _publish(ctx, conn, image_id, disks, consistency)
                size_bytes = sum(disk.size_bytes for _, disk, _ in disks)
                used[owner] = used.get(owner, 0) + size_bytes
                _record(ctx, conn, image_id, size_bytes, consistency)
            for owner, size_bytes in used.items():
                ctx.service.quotas.settle(conn, (ctx.job.id,), owner, stored_bytes=size_bytes)
            if not used:
                raise errors.ImageGone(image_id=next(iter(images)))
            ctx.complete(conn)
        crashpoint("step.activate.done")
        return None


def _consistency(ctx: StepContext) -> dict[str, str]:
    """What the snapshot step found out about it, as a property."""
    known = ctx.results["snapshot"].get(capture.CONSISTENCY)
    return {capture.CONSISTENCY: known} if known else {}


def _by_image(ctx: StepContext) -> dict[str, Disks]:
    """Image id -> its disks by index."""
    found: dict[str, Disks] = {}
    disks = capture.disks(ctx.job)
    for disk, facts in zip(disks, stored(ctx.results["store"]), strict=True):
        found.setdefault(disk.image_id, []).append((disk, _disk(disk, facts), facts))
    return found


def _disk(disk: CapturedDisk, facts: Mapping[str, Any]) -> ImageDisk:
    return ImageDisk(
        index=disk.index,
        role=disk.role,
        disk_format=facts.get("disk_format") or "raw",
        size_bytes=facts["size_bytes"],
        virtual_size_bytes=facts["virtual_size_bytes"],
        md5=facts["md5"],
        hash_algorithm=facts["hash_algorithm"],
        hash_value=facts["hash_value"],
        locations=((facts["store_id"], facts["key"]),),
        guest=guest.of(facts.get("guest")),
    )


def _publish(
    ctx: StepContext, conn: Any, image_id: str, disks: Disks, consistency: dict[str, str]
) -> str | None:
    """All disks of one image; gives its owner."""
    first, *others = (adoption.take(ctx, conn, image_id, disk, facts) for _, disk, facts in disks)
    ctx.service.guests.fill(conn, image_id, first, own=True)
    owner = image_bytes.publish(conn, image_id, first, "import_done", others=tuple(others))
    image_rows.set_properties(conn, image_id, consistency, ())
    for _, disk, _ in disks:
        pending.remove(conn, *disk.locations[0])
    return owner


def _record(
    ctx: StepContext, conn: Any, image_id: str, size_bytes: int, consistency: dict[str, str]
) -> None:
    detail = {"size_bytes": size_bytes, "job_id": ctx.job.id, **consistency}
    audit = AuditStep(conn, image_id, owner=ctx.job.project_id, detail=detail)
    ctx.service.operation.record(conn, ctx.caller, "capture:complete", "image", audit, "success")

"""Snapshots that are images of this service already: the bytes stay where they are.

They were judged and hashed as every upload is. Until the last transaction of the job the record
is what it was; in that it goes, and its bytes are the captured image's.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from imagesvc.crashpoint import crashpoint
from imagesvc.db import image as image_rows
from imagesvc.db import image_disk
from imagesvc.domain import guest
from imagesvc.domain.capture import CapturedDisk
from imagesvc.domain.image import ImageDisk
from imagesvc.interface.compute import ComputeCapability
from imagesvc.manager import adoption
from imagesvc.manager.operation import SUCCESS
from imagesvc.manager.operation import Step as AuditStep
from imagesvc.worker import disk_source, intake
from imagesvc.worker.flow import StepContext


def find(ctx: StepContext, captured: CapturedDisk) -> dict[str, Any] | None:
    """What a memo keeps of a disk to be taken over; None where its bytes are to be read."""
    snapshot_id = disk_source.snapshot_of(ctx, captured)
    if snapshot_id is None:
        return None
    driver: Any = disk_source.driver(ctx)
    # Kinds of drivers spell the capability alike.
    if str(ComputeCapability.SNAPSHOT_IMAGE) not in map(str, driver.info().capabilities):
        return None
    image_id = driver.snapshot_image(snapshot_id)
    with ctx.service.database.read() as conn:
        image, disks = image_rows.get(conn, image_id), image_disk.list_for(conn, image_id)
        wanted = image_rows.get(conn, captured.image_id)
    if wanted is None or wanted.encrypted or (image is not None and image.encrypted):
        return None  # encrypted bytes are bound to their image, and plain ones are none of it
    disk = adoption.usable_disk(image, disks, ctx.job.project_id)
    if disk is None:
        return None
    store_id, key = disk.locations[0]
    facts = {name: getattr(disk, name) for name in intake.FACTS}
    return {
        "adopted": image_id,
        "store_id": store_id,
        "key": key,
        **facts,
        "guest": guest.plain(disk.guest),
    }


def take(
    ctx: StepContext, conn: Any, image_id: str, disk: ImageDisk, facts: Mapping[str, Any]
) -> ImageDisk:
    """The disk with all places of the record's bytes, in the caller's transaction."""
    if "adopted" not in facts:
        return disk
    detail = {"adopted_by": image_id, "job_id": ctx.job.id}
    op = AuditStep(conn, facts["adopted"], detail=detail)
    before, found = adoption.take(op, ctx.service.quotas, ctx.job.project_id, facts["hash_value"])
    ctx.service.operation.record(conn, ctx.caller, "image:delete", "image", op, SUCCESS)
    adoption.inherit(op, image_id, before, ctx.service.limits)
    crashpoint("step.activate.adopted")
    return dataclasses.replace(disk, locations=found.locations)

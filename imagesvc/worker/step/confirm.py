"""Another region has judged the bytes of an image: they are held against ours."""

from collections.abc import Mapping
from typing import Any

from imagesvc import errors
from imagesvc.crashpoint import crashpoint
from imagesvc.db import job as job_rows
from imagesvc.domain.image import Image, ImageDisk
from imagesvc.manager.operation import SUCCESS
from imagesvc.manager.operation import Step as AuditStep
from imagesvc.worker import copied_image, patience, region_peer
from imagesvc.worker.flow import Step, StepContext, Wait

_READY = frozenset({"active", "deactivated"})
_LACKING = frozenset({"queued", "uploading"})
_PAUSE_S = 1.0


class Confirm(Step):
    """Wait until the image is active there, compare, end; memo: result."""

    name = "confirm"
    final = True

    def run(self, ctx: StepContext) -> Wait | None:
        """Raises ImageGone, Forbidden, RegionAway, RegionRefused if it is not the same, Cancelled."""
        return patience.patient(ctx, lambda: _look(ctx))


def _look(ctx: StepContext) -> Wait | None:
    crashpoint("step.confirm.begin")
    image, disks = copied_image.source(ctx)
    with region_peer.session(ctx) as session:
        there = session.get_image(region_peer.token(ctx))
        name = session.name
    patience.heard(ctx)  # before the end, after which the step is not to be written any more
    if there["status"] == "killed":
        raise errors.RegionRefused(region=name, cause=there["cause"] or "it did not say why.")
    if there["status"] in _LACKING:
        raise errors.RegionRefused(region=name, cause="it has not all of the bytes any more.")
    if there["status"] not in _READY:
        ctx.check()
        text = f"Region {name} examines the image: {there['status']}."
        return Wait(_PAUSE_S, text)
    if there["image_id"] != ctx.results["introduce"]["image_id"]:
        raise errors.RegionRefused(region=name, cause="it tells of another image.")
    if not _same(disks, there["disks"]):
        raise errors.RegionRefused(region=name, cause="it has other bytes than were sent.")
    _end(ctx, image, name, there)
    crashpoint("step.confirm.done")
    return None


def _same(disks: tuple[ImageDisk, ...], there: list[Mapping[str, Any]]) -> bool:
    """Whether all disks have the size, role and format of ours, and the digest as it was verified."""
    ours = [
        (one.index, one.role, one.disk_format, one.size_bytes, one.hash_algorithm, one.hash_value)
        for one in disks
    ]
    theirs = [
        (
            one["index"], one["role"], one["disk_format"], one["stored_bytes"],
            one["hash_algorithm"], one["hash_value"],
        )
        for one in there
    ]  # fmt: skip
    return ours == theirs


def _end(ctx: StepContext, image: Image, name: str, there: Mapping[str, Any]) -> None:
    ctx.memo["result"] = {
        "region": name,
        "image_id": there["image_id"],
        "project_id": there["project_id"],
        "has_namesake": ctx.results["introduce"]["has_namesake"],
    }
    with ctx.service.database.write() as conn:
        if job_rows.fence(conn, ctx.job):
            raise errors.Cancelled(job_id=ctx.job.id)  # the last moment for it
        detail = {"job_id": ctx.job.id, **ctx.memo["result"]}
        audit = AuditStep(conn, image.id, owner=image.owner, detail=detail)
        ctx.service.operation.record(
            conn, ctx.caller, "region_copy:complete", "image", audit, SUCCESS
        )
        ctx.complete(conn)

"""The disks of a machine in the format that is kept, one after the other."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from imagesvc.crashpoint import crashpoint
from imagesvc.db import job as job_rows
from imagesvc.worker import conversion, intake, landing
from imagesvc.worker.conversion import Wanted
from imagesvc.worker.flow import Step, StepContext, Wait


class Rewrite(Step):
    """Write each disk that is of another format to a fresh key; memo: made (a dict a disk).

    A second run goes on with the disk at which the first ended. A scratch file, with room set
    aside beforehand, is of one disk and one run.
    """

    name = "rewrite"

    def run(self, ctx: StepContext) -> Wait | None:
        """Convert, and give what was before to the reaper. Raises UnsupportedImage, ImageGone,
        QuotaExceeded, ScratchFull, TooLarge."""
        disks = ctx.results["divide"]["disks"]
        wanted = ctx.job.args["target_format"]
        while len(made := ctx.memo.get("made", [])) < len(disks):
            source = disks[len(made)]
            if source["disk_format"] == wanted:
                ctx.memo["made"] = [*made, source]
            else:
                _convert(ctx, source, wanted, made)
            crashpoint("step.rewrite.kept")
        kept = {each["key"] for each in made}
        with ctx.service.database.write() as conn:
            job_rows.fence(conn, ctx.job)
            for each in disks:
                if each["key"] not in kept:
                    intake.doom(conn, each["store_id"], each["key"])
        crashpoint("step.rewrite.done")
        return None

    def undo(self, ctx: StepContext) -> Wait | None:
        """Give the bytes to the reaper, unless they are the image's by now."""
        intake.doom_all(ctx)
        return None


def _convert(
    ctx: StepContext, source: Mapping[str, Any], wanted: str, made: list[dict[str, Any]]
) -> None:
    store_id = ctx.job.args["stores"][0]
    key = intake.announce(ctx, store_id, f"-disk-{len(made)}")
    crashpoint("step.rewrite.begin")
    place = (source["store_id"], source["key"])
    disk = dataclasses.replace(intake.disk(source), index=len(made), locations=(place,))
    with conversion.opened(ctx, disk, Wanted(wanted)) as opened:
        result = landing.land(
            ctx,
            opened.reader,
            (store_id, key),
            intake.image_of(ctx),
            opened.size_bytes,
            disk_format=wanted,
            before_bytes=sum(each["size_bytes"] for each in made),
        )
    crashpoint("step.rewrite.committed")
    facts = {**intake.facts(result), "guest": source.get("guest")}  # it is the same guest
    intake.keep(ctx, (store_id, key), made=[*made, {"store_id": store_id, "key": key, **facts}])

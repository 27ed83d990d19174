"""What was stored is what was sent."""

import hashlib
from collections.abc import Mapping
from typing import Any

from imagesvc.crashpoint import crashpoint
from imagesvc.interface.errors import IntegrityError
from imagesvc.worker.flow import Step, StepContext, Wait
from imagesvc.worker.step.store import stored

BLOCK_BYTES = 1 << 20


class Verify(Step):
    """Read the stored bytes back and compare their digests; memo: verified (how many disks)."""

    name = "verify"

    def run(self, ctx: StepContext) -> Wait | None:
        """Read from the store. Raises IntegrityError."""
        crashpoint("step.verify.begin")
        disks = stored(ctx.results["store"])
        total = sum(disk["size_bytes"] for disk in disks)
        done = 0
        for number, disk in enumerate(disks):
            if number >= ctx.memo.get("verified", 0):
                _read(ctx, disk, done, total)
                ctx.memo["verified"] = number + 1
            done += disk["size_bytes"]
        crashpoint("step.verify.done")
        return None


def _read(ctx: StepContext, disk: Mapping[str, Any], before: int, total: int) -> None:
    digest = hashlib.new(disk["hash_algorithm"])
    done = 0
    driver = ctx.service.backends.storage(disk["store_id"])
    with driver.open_read(disk["key"]) as source:
        while block := source.read(BLOCK_BYTES):
            digest.update(block)
            done += len(block)
            ctx.progress(before + done, total)
    if done != disk["size_bytes"] or digest.hexdigest() != disk["hash_value"]:
        raise IntegrityError(
            "The store does not give back what was written.",
            f"object {disk['key']} in {disk['store_id']} differs from its digest",
        )

"""What was stored is what was sent."""

import hashlib

from imagesvc.crashpoint import crashpoint
from imagesvc.interface.errors import IntegrityError
from imagesvc.worker.flow import Step, StepContext, Wait

BLOCK_BYTES = 1 << 20


class Verify(Step):
    """Read the stored bytes back and compare their digest; keeps nothing."""

    name = "verify"

    def run(self, ctx: StepContext) -> Wait | None:
        """Read from the store. Raises IntegrityError."""
        stored = ctx.results["store"]
        digest = hashlib.new(stored["hash_algorithm"])
        done = 0
        crashpoint("step.verify.begin")
        driver = ctx.service.backends.storage(stored["store_id"])
        with driver.open_read(stored["key"]) as source:
            while block := source.read(BLOCK_BYTES):
                digest.update(block)
                done += len(block)
                ctx.progress(done, stored["size_bytes"])
        if done != stored["size_bytes"] or digest.hexdigest() != stored["hash_value"]:
            raise IntegrityError(
                "The store does not give back what was written.",
                f"object {stored['key']} in {stored['store_id']} differs from its digest",
            )
        crashpoint("step.verify.done")
        return None

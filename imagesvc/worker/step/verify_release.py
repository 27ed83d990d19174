"""An image of the catalog is held against what its source said of it."""

from imagesvc import errors
from imagesvc.worker.flow import Step, StepContext, Wait


class VerifyRelease(Step):
    """Read the stored bytes, the kept list and its signature; memo: result."""

    name = "verify"

    def run(self, ctx: StepContext) -> Wait | None:
        """Raises CatalogRefused with all that is wrong, ImageNotFound."""
        image_id = ctx.job.image_id or ""
        faults = ctx.service.catalog.verifier.verify(
            image_id, lambda done: ctx.progress(done, None)
        )
        if faults:
            raise errors.CatalogRefused(
                family=f"of image {image_id}", cause=f"{'; '.join(faults)}."
            )
        ctx.memo["result"] = {"image_id": image_id, "faults": []}
        return None

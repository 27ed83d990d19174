"""Data keys under the newest version of the key that wraps them; no byte of an image moves."""

from imagesvc.crashpoint import crashpoint
from imagesvc.db import image_key
from imagesvc.db import job as job_rows
from imagesvc.domain.encryption_key import ImageKey
from imagesvc.interface.encryption import EncryptionCapability, EncryptionDriver
from imagesvc.worker.flow import Step, StepContext, Wait

PAGE = 100


class RewrapKeys(Step):
    """Wrap anew what older versions of a key wrapped; memo: after (image and project of the last),
    rewrapped (how many).
    """

    name = "rewrap-keys"

    def run(self, ctx: StepContext) -> Wait | None:
        """A page at a time. Raises KeyUnavailable, IntegrityError, and what the KMS raises."""
        backend_id, key_id = ctx.job.args["backend_id"], ctx.job.args["key_id"]
        driver = ctx.service.backends.encryption(backend_id)
        while True:
            first, second = ctx.memo.get("after", ("", ""))
            with ctx.service.database.read() as conn:
                rows = image_key.page(conn, backend_id, key_id, (first, second), PAGE)
            if not rows:
                return None
            fresh = [(row, *_rewrap(driver, row)) for row in rows if self._is_old(ctx, row)]
            ctx.check()
            crashpoint("step.rewrap_keys.wrapped")
            with ctx.service.database.write() as conn:
                job_rows.fence(conn, ctx.job)
                done = sum(image_key.rewrap(conn, *one) for one in fresh)
            crashpoint("step.rewrap_keys.written")
            ctx.memo.put(
                after=[rows[-1].image_id, rows[-1].project_id],
                rewrapped=ctx.memo.get("rewrapped", 0) + done,
            )

    def _is_old(self, ctx: StepContext, row: ImageKey) -> bool:
        return row.version < int(ctx.job.args["version"])


def _rewrap(driver: EncryptionDriver, row: ImageKey) -> tuple[bytes, int]:
    if EncryptionCapability.REWRAP_VERSION in driver.info().capabilities:
        return driver.rewrap(row.key_id, row.wrapped, context=row.context)
    with (
        driver.decrypt_data_key(row.key_id, row.wrapped, context=row.context) as opened,
        driver.wrap_data_key(row.key_id, opened.plain, context=row.context) as made,
    ):
        return made.wrapped, made.version

"""Data keys under the newest version of the key that wraps them; no byte of an image moves."""

import datetime
import logging
from collections.abc import Sequence

from imagesvc.crashpoint import crashpoint
from imagesvc.db import image_key, metadata
from imagesvc.db import job as job_rows
from imagesvc.domain.encryption_key import ImageKey
from imagesvc.interface.encryption import EncryptionCapability, EncryptionDriver
from imagesvc.interface.errors import IntegrityError
from imagesvc.worker.flow import Step, StepContext, Wait

LOG = logging.getLogger(__name__)
PAGE = 100
Fresh = tuple[ImageKey, bytes, int]


class RewrapKeys(Step):
    """Wrap anew what older versions of a key wrapped; memo: after (image and project of the last),
    rewrapped (how many), bad (images whose wrapped key opens no more).

    Whoever wrapped a key just before the rotation may write it only now: all are looked at once
    more when a lease has passed since then.
    """

    name = "rewrap-keys"

    def run(self, ctx: StepContext) -> Wait | None:
        """A page at a time. Raises KeyUnavailable, IntegrityError naming what is lost, and what
        the KMS raises."""
        while rows := self._page(ctx):
            fresh, bad = _rewrapped(ctx, rows)
            ctx.check()
            crashpoint("step.rewrap_keys.wrapped")
            with ctx.service.database.write() as conn:
                job_rows.fence(conn, ctx.job)
                done = sum(image_key.rewrap(conn, *one) for one in fresh)
            crashpoint("step.rewrap_keys.written")
            ctx.memo.put(
                after=[rows[-1].image_id, rows[-1].project_id],
                rewrapped=ctx.memo.get("rewrapped", 0) + done,
                bad=sorted({*ctx.memo.get("bad", ()), *bad}),
            )
        left = _left_s(ctx)
        if left > 0:
            ctx.memo.put(after=["", ""])
            return Wait(left, "Keys that were on their way are looked at once more.")
        if lost := ctx.memo.get("bad"):
            raise IntegrityError(
                f"The wrapped keys of {len(lost)} images do not open: {', '.join(lost[:10])}."
            )
        return None

    def _page(self, ctx: StepContext) -> Sequence[ImageKey]:
        first, second = ctx.memo.get("after", ("", ""))
        with ctx.service.database.read() as conn:
            backend_id, key_id = ctx.job.args["backend_id"], ctx.job.args["key_id"]
            return image_key.page(conn, backend_id, key_id, (first, second), PAGE)


def _left_s(ctx: StepContext) -> float:
    """Seconds until nobody writes any more what was wrapped before the rotation."""
    patience = datetime.timedelta(seconds=ctx.service.conf.worker.lease_s)
    over = ctx.job.created_at + patience
    return max(0.0, (over - metadata.now()).total_seconds())


def _rewrapped(ctx: StepContext, rows: Sequence[ImageKey]) -> tuple[list[Fresh], list[str]]:
    """The rows that are old with their new wrappings, and the images whose keys are lost."""
    driver = ctx.service.backends.encryption(ctx.job.args["backend_id"])
    fresh: list[Fresh] = []
    bad: list[str] = []
    for row in rows:
        if row.version < int(ctx.job.args["version"]):
            try:
                fresh.append((row, *_rewrap(driver, row)))
            except IntegrityError as exc:  # one lost image keeps no other from its new version
                LOG.error("key not rewrapped image=%s: %s", row.image_id, exc.operator_message)
                bad.append(row.image_id)
    return fresh, bad


def _rewrap(driver: EncryptionDriver, row: ImageKey) -> tuple[bytes, int]:
    if EncryptionCapability.REWRAP_VERSION in driver.info().capabilities:
        return driver.rewrap(row.key_id, row.wrapped, context=row.context)
    with (
        driver.decrypt_data_key(row.key_id, row.wrapped, context=row.context) as opened,
        driver.wrap_data_key(row.key_id, opened.plain, context=row.context) as made,
    ):
        return made.wrapped, made.version

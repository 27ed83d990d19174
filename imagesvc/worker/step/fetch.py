"""Bytes of a URL or bucket into the first of the stores, by the one pipe."""

from collections.abc import Mapping
from typing import Any

from imagesvc import errors
from imagesvc.crashpoint import crashpoint
from imagesvc.domain import image_origin, image_property
from imagesvc.domain.job import JobType
from imagesvc.domain.state import ImageStatus
from imagesvc.errors import Reason
from imagesvc.stream import limit, pipe, sniff
from imagesvc.worker import intake, landing, origin
from imagesvc.worker.flow import Step, StepContext, Wait

# Jobs whose callers may leave it to the service to find out what the bytes are.
LOOKING = frozenset({JobType.CREATE_FROM_URL, JobType.CREATE_FROM_BUCKET})


class Fetch(Step):
    """Write what is there to a fresh key; memo: store_id, key, facts of the disk."""

    name = "fetch"

    def run(self, ctx: StepContext) -> Wait | None:
        """Fetch; a second run begins anew. Raises UnsupportedImage, ImageGone, QuotaExceeded."""
        if "hash_value" in ctx.memo:
            return None
        store_id = ctx.job.args["stores"][0]
        key = intake.announce(ctx, store_id)
        crashpoint("step.fetch.begin")
        result = _write(ctx, store_id, key)
        crashpoint("step.fetch.committed")
        intake.keep_disk(ctx, (store_id, key), result)
        crashpoint("step.fetch.done")
        return None

    def undo(self, ctx: StepContext) -> Wait | None:
        """Give the bytes to the reaper, unless they are the image's by now."""
        intake.withdraw_disk(ctx)
        return None


def _write(ctx: StepContext, store_id: str, key: str) -> pipe.PipeResult:
    image = intake.image_of(ctx)
    expected = expected_digests(ctx)
    with origin.open_body(ctx) as body:
        check_size(ctx, body.size)
        # A further copy of an active image is to be the same bytes.
        unpacking = image.status == ImageStatus.IMPORTING and landing.unpacks(ctx, image)
        came, reader, packed = landing.hashed(ctx, body, expected, unpacking=unpacking)
        of_bytes = landing.digest_check(expected, came)

        def check(result: pipe.PipeResult) -> None:
            check_size(ctx, came.count)
            of_bytes(result)

        found, disk_format = _declared(ctx, reader)
        size = None if packed else body.size
        return landing.land(
            ctx, found, (store_id, key), image, size, check, disk_format=disk_format
        )


def _declared(ctx: StepContext, reader: limit.Reader) -> tuple[limit.Reader, str | None]:
    """The bytes, and the format that they have to be of: as the caller said, or by their looks.

    Raises InvalidRequest if the image would be of a format that the operator does not take.
    """
    args = ctx.job.args
    if args.get("source_format") or ctx.job.type not in LOOKING:
        return reader, args.get("source_format")
    sniffer = sniff.Sniffer(reader)
    kept = image_origin.needs_conversion(args, sniffer.disk_format) or sniffer.disk_format
    image_property.check_disk_format(kept, ctx.service.limits)
    return sniffer, sniffer.disk_format


def check_size(ctx: StepContext, size_bytes: int | None) -> None:
    """Raise InvalidRequest (SIZE_MISMATCH) for another length than the caller said."""
    expected = _said(ctx).get("expected_bytes")
    if None not in (expected, size_bytes) and size_bytes != expected:
        raise errors.InvalidRequest(
            "There are {size} bytes, not the {expected} that were expected.",
            size=size_bytes,
            expected=expected,
            reason=Reason.SIZE_MISMATCH,
        )


def expected_digests(ctx: StepContext) -> dict[str, str]:
    """Algorithm -> hex value that the bytes must have."""
    return landing.said(_said(ctx))


def _said(ctx: StepContext) -> Mapping[str, Any]:
    """What the caller said of the bytes, and what a step before this one found out."""
    return {**ctx.job.args, **ctx.results.get("consult", {}), **ctx.results.get("resolve", {})}

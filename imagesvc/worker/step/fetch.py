"""Bytes of a URL into the first of the stores, by the one pipe."""

import contextlib
from collections.abc import Mapping
from typing import Any

from imagesvc.crashpoint import crashpoint
from imagesvc.domain.state import ImageStatus
from imagesvc.stream import fetch, pipe
from imagesvc.stream.unpacked import UnpackedReader
from imagesvc.worker import intake, landing
from imagesvc.worker.flow import Step, StepContext, Wait


class Fetch(Step):
    """Write what is at the URL to a fresh key; memo: store_id, key, facts of the disk."""

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
        found = intake.found(ctx, result, (store_id, key))
        facts = {**intake.facts(result), **found}
        intake.keep(ctx, (store_id, key), store_id=store_id, key=key, **facts)
        crashpoint("step.fetch.done")
        return None

    def undo(self, ctx: StepContext) -> Wait | None:
        """Give the bytes to the reaper, unless they are the image's by now."""
        made = {ctx.memo["store_id"]: ctx.memo["key"]} if "key" in ctx.memo else {}
        intake.withdraw(ctx, made)
        return None


def _write(ctx: StepContext, store_id: str, key: str) -> pipe.PipeResult:
    image = intake.image_of(ctx)
    remote = ctx.results.get("consult")
    expected = _expected(ctx, remote)
    with _source(ctx, remote) as body:
        # A further copy of an active image is to be the same bytes.
        unpacking = image.status == ImageStatus.IMPORTING and landing.unpacks(ctx, image)
        # What the pipe hashes anyway is not hashed twice, unless it hashes other bytes.
        apart = expected.keys() - (frozenset() if unpacking else ctx.service.rules.algorithms)
        came = landing.Hashed(body, apart)
        reader = landing.unpacked(ctx, came) if unpacking else came
        size = None if isinstance(reader, UnpackedReader) and reader.packed else body.size
        check = landing.digest_check(expected, came)
        return landing.land(ctx, reader, (store_id, key), image, size, check)


def _source(
    ctx: StepContext, remote: Mapping[str, Any] | None
) -> contextlib.AbstractContextManager[fetch.FetchedBody]:
    if remote is None:
        return ctx.service.urls.open(ctx.job.args["uri"])
    return ctx.service.remotes.open(ctx.job, remote["url"])


def _expected(ctx: StepContext, remote: Mapping[str, Any] | None) -> dict[str, str]:
    """Algorithm -> hex value that the bytes must have."""
    args = ctx.job.args
    digest = args.get("digest") if remote is None else remote["digest"]
    return {
        **({"md5": args["md5"]} if "md5" in args else {}),
        **({digest[0]: digest[1]} if digest else {}),
    }

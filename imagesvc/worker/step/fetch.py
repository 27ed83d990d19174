"""Bytes of a URL into the first of the stores, by the one pipe."""

import hashlib
from collections.abc import Sequence

from imagesvc import errors
from imagesvc.crashpoint import crashpoint
from imagesvc.stream import fetch, gate, pipe
from imagesvc.worker import intake
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
        intake.keep(ctx, (store_id, key), store_id=store_id, key=key, **intake.facts(result))
        crashpoint("step.fetch.done")
        return None

    def undo(self, ctx: StepContext) -> Wait | None:
        """Give the bytes to the reaper, unless they are the image's by now."""
        made = {ctx.memo["store_id"]: ctx.memo["key"]} if "key" in ctx.memo else {}
        intake.withdraw(ctx, made)
        return None


def _write(ctx: StepContext, store_id: str, key: str) -> pipe.PipeResult:
    image = intake.image_of(ctx)
    urls = ctx.service.urls
    store = ctx.service.backends.storage(store_id)
    with urls.open(ctx.job.args["uri"]) as body, store.open_write(key, size=body.size) as writer:
        within = _Within(ctx, body, image.owner, ctx.job.args.get("digest"))
        result = intake.pump(
            ctx,
            within,
            writer,
            disk_format=image.disk_format or "",
            container_format=image.container_format,
            total=body.size,
        )
        crashpoint("step.fetch.written")
        within.compare()
        ctx.check()
        converter = ctx.service.backends.converter()
        gate.commit(converter, result.facts, writer, store, key, result.size_bytes)
    return result


class _Within:
    """Gives the bytes of a body as long as the owner has room for them. Raises QuotaExceeded.

    `digest` is the algorithm and the hex value that the caller expects of them, if any.
    """

    def __init__(
        self,
        ctx: StepContext,
        body: fetch.FetchedBody,
        owner: str | None,
        digest: Sequence[str] | None,
    ) -> None:
        self._ctx = ctx
        self._body = body
        self._owner = owner
        self._count = 0
        self._expected = digest[1] if digest else None
        self._hash = hashlib.new(digest[0], usedforsecurity=False) if digest else None
        self._room = self._look(body.size or 0)

    def read(self, size: int, /) -> bytes:
        """Give at most `size` bytes; none at the end."""
        data = self._body.read(size)
        self._count += len(data)
        if self._hash is not None:
            self._hash.update(data)
        if self._room is not None and self._count > self._room:
            self._room = self._look(self._count)
        return data

    def compare(self) -> None:
        """Raise InvalidRequest if the bytes given so far are not the expected ones."""
        if self._hash is not None and self._hash.hexdigest() != self._expected:
            raise errors.InvalidRequest(
                "The bytes at the URL do not have the digest that was given."
            )

    def _look(self, wanted: int) -> int | None:
        with self._ctx.service.database.read() as conn:
            return self._ctx.service.quotas.room(conn, self._owner, wanted)

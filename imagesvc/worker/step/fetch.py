"""Bytes of a URL into the first of the stores, by the one pipe."""

import contextlib
import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

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
    store = ctx.service.backends.storage(store_id)
    remote = ctx.results.get("consult")
    expected = _expected(ctx, remote)
    with _source(ctx, remote) as body, store.open_write(key, size=body.size) as writer:
        # What the pipe hashes anyway is not hashed twice.
        apart = expected.keys() - ctx.service.rules.algorithms
        within = _Within(ctx, body, image.owner, apart)
        result = intake.pump(
            ctx,
            within,
            writer,
            disk_format=image.disk_format or "",
            container_format=image.container_format,
            total=body.size,
        )
        crashpoint("step.fetch.written")
        own = {"md5": result.md5, result.hash_algorithm: result.hash_value, **within.digests()}
        if any(own[algorithm] != value for algorithm, value in expected.items()):
            raise errors.InvalidRequest(
                "The bytes that came do not have the digest that was given."
            )
        ctx.check()
        converter = ctx.service.backends.converter()
        gate.commit(converter, result.facts, writer, store, key, result.size_bytes)
    return result


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


class _Within:
    """Gives the bytes of a body as long as the owner has room for them. Raises QuotaExceeded.

    They are hashed by `algorithms` as they pass.
    """

    def __init__(
        self,
        ctx: StepContext,
        body: fetch.FetchedBody,
        owner: str | None,
        algorithms: Iterable[str],
    ) -> None:
        self._ctx = ctx
        self._body = body
        self._owner = owner
        self._count = 0
        self._hashes = {one: hashlib.new(one, usedforsecurity=False) for one in algorithms}
        self._room = self._look(body.size or 0)

    def read(self, size: int, /) -> bytes:
        """Give at most `size` bytes; none at the end."""
        data = self._body.read(size)
        self._count += len(data)
        for one in self._hashes.values():
            one.update(data)
        if self._room is not None and self._count > self._room:
            self._room = self._look(self._count)
        return data

    def digests(self) -> dict[str, str]:
        """The hashes of what was given so far."""
        return {algorithm: one.hexdigest() for algorithm, one in self._hashes.items()}

    def _look(self, wanted: int) -> int | None:
        with self._ctx.service.database.read() as conn:
            return self._ctx.service.quotas.room(conn, self._owner, wanted)

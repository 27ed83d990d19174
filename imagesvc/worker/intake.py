"""What the steps of imports share: the pipe, the facts that it found, and objects under way."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from imagesvc import errors
from imagesvc.db import doomed, location, pending
from imagesvc.db import image as image_rows
from imagesvc.db import job as job_rows
from imagesvc.domain import guest, storage_key
from imagesvc.domain.image import Image, ImageDisk
from imagesvc.stream import limit, pipe
from imagesvc.worker.flow import StepContext

# Steps that store what comes from outside, by their names; a flow has one of them.
BROUGHT = ("inspect", "fetch", "join")
FACTS = ("disk_format", "size_bytes", "virtual_size_bytes", "md5", "hash_algorithm", "hash_value")


def image_of(ctx: StepContext) -> Image:
    """The image of the job. Raises ImageGone."""
    image_id = ctx.job.image_id or ""
    with ctx.service.database.read() as conn:
        image = image_rows.get(conn, image_id)
    if image is None:
        raise errors.ImageGone(image_id=image_id)
    return image


def pump(
    ctx: StepContext,
    source: limit.Reader,
    writer: pipe.Writer,
    *,
    disk_format: str,
    container_format: str | None,
    total: int | None,
) -> pipe.PipeResult:
    """All of `source` through gate one and the digests; as an upload is judged."""
    return ctx.service.rules.pump(
        source,
        writer,
        disk_format=disk_format,
        container_format=container_format,
        expected_bytes=total,
        progress=lambda done: ctx.progress(done, total),
    )


def facts(result: pipe.PipeResult) -> dict[str, Any]:
    """What a memo keeps of a pipe's result."""
    return {
        "disk_format": result.facts.disk_format,
        "size_bytes": result.size_bytes,
        "virtual_size_bytes": result.facts.virtual_size_bytes,
        "md5": result.md5,
        "hash_algorithm": result.hash_algorithm,
        "hash_value": result.hash_value,
    }


def found(ctx: StepContext, result: pipe.PipeResult, place: tuple[str, str]) -> dict[str, Any]:
    """What a memo keeps of a look into the disk that was stored at `place`."""
    return {"guest": guest.plain(ctx.service.guests.look(result, place))}


def disk(memo: Mapping[str, Any]) -> ImageDisk:
    """The disk that `facts` describe, without places."""
    return ImageDisk(
        index=0,
        role="system",
        guest=guest.of(memo.get("guest")),
        **{name: memo[name] for name in FACTS},
    )


def stored_disk(memo: Mapping[str, Any]) -> ImageDisk:
    """The disk that a step stored, where it is."""
    return dataclasses.replace(disk(memo), locations=((memo["store_id"], memo["key"]),))


def brought(ctx: StepContext) -> dict[str, Any]:
    """The memo of the step that stored what came from outside."""
    return next(ctx.results[name] for name in BROUGHT if name in ctx.results)


def announce(ctx: StepContext, store_id: str, mark: str = "") -> str:
    """A fresh key in a store, noted before the first byte; the one before it is doomed.

    `mark` tells the keys of steps apart that write to the same store.
    """
    image_id = ctx.job.image_id or ""
    name = f"{ctx.job.id}-{ctx.lease_token}{mark}"
    with ctx.service.database.write() as conn:
        job_rows.fence(conn, ctx.job)
        if ctx.memo.get("writing"):
            doom(conn, *ctx.memo["writing"])
        key = storage_key.make(image_id, name, encrypted=image_rows.is_encrypted(conn, image_id))
        pending.insert(conn, store_id, key, image_id, ctx.job.id)
    ctx.memo["writing"] = [store_id, key]
    return key


def keep(ctx: StepContext, place: tuple[str, str], **values: Any) -> None:
    """Put what is stored now into the memo; whoever lost the lease removes his bytes."""
    try:
        ctx.memo.put(writing=None, **values)
    except errors.LeaseLost:
        if not _is_known(ctx, place):
            ctx.service.backends.storage(place[0]).delete(place[1])  # nobody will ever name it
        raise


def _is_known(ctx: StepContext, place: tuple[str, str]) -> bool:
    """Whether another worker went on with the same bytes, or will: what it does not need it dooms."""
    with ctx.service.database.read() as conn:
        store_id, key = place
        return pending.is_noted(conn, *place) or bool(location.page(conn, store_id, "", 1, key=key))


def keep_disk(
    ctx: StepContext, place: tuple[str, str], result: pipe.PipeResult, **more: Any
) -> None:
    """Look into the disk that is at `place` now, and keep where it is and what it is."""
    values = {**facts(result), **found(ctx, result, place), **more}
    keep(ctx, place, store_id=place[0], key=place[1], **values)


def doom_all(ctx: StepContext) -> None:
    """Give everything that the job wrote to the reaper, but for what is an image's by now."""
    with ctx.service.database.write() as conn:
        job_rows.fence(conn, ctx.job)
        for place in pending.of(conn, ctx.job.id):
            doom(conn, *place)


def withdraw_disk(ctx: StepContext) -> None:
    """Give what `keep_disk` kept, or what is being written, to the reaper; not what is an image's."""
    withdraw(ctx, {ctx.memo["store_id"]: ctx.memo["key"]} if "key" in ctx.memo else {})


def withdraw(ctx: StepContext, objects: Mapping[str, str]) -> None:
    """Give what a step wrote to the reaper, unless it is an image's by now."""
    with ctx.service.database.write() as conn:
        job_rows.fence(conn, ctx.job)
        for place in (*objects.items(), tuple(ctx.memo.get("writing") or ())):
            if place:
                doom(conn, *place)


def doom(conn: Any, store_id: str, key: str) -> None:
    """Doom an object that is noted; without its note it was published, or is doomed already."""
    if pending.remove(conn, store_id, key):
        doomed.add(conn, store_id, key)

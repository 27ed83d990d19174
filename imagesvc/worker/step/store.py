"""Bytes of snapshots, or of a backup, into the store, by the one pipe."""

from collections.abc import Callable, Mapping
from typing import Any

from imagesvc import errors
from imagesvc.crashpoint import crashpoint
from imagesvc.db import image as image_rows
from imagesvc.db import job as job_rows
from imagesvc.db import pending
from imagesvc.domain import capture, storage_key
from imagesvc.domain.capture import CapturedDisk
from imagesvc.interface.storage import StorageDriver
from imagesvc.stream import pipe
from imagesvc.worker import adoption, disk_source, intake
from imagesvc.worker.flow import Step, StepContext, Wait


class Store(Step):
    """Write each raw disk to a fresh key, or take over what is an image here already; memo:
    writing (store_id, key), stored (a dict a disk).
    """

    name = "store"

    def run(self, ctx: StepContext) -> Wait | None:
        """Stream the disks that are not stored yet.

        A second run begins the disk anew at which the first ended, under a key of its own.
        """
        disks = capture.disks(ctx.job)
        total = sum(disk.size_bytes for disk in disks)
        while len(done := stored(ctx.memo)) < len(disks):
            before = sum(each["size_bytes"] for each in done)
            _store(ctx, disks[len(done)], before, total)
            crashpoint("step.store.kept")
        crashpoint("step.store.done")
        return None

    def undo(self, ctx: StepContext) -> Wait | None:
        """Give the bytes to the reaper, unless they are an image's by now."""
        places = [_place(each) for each in stored(ctx.memo)]
        with ctx.service.database.write() as conn:
            job_rows.fence(conn, ctx.job)
            for place in (*places, _writing(ctx.memo)):
                if place:
                    intake.doom(conn, *place)
        return None


def stored(memo: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What the memo of this step says of the disks that are stored, in order."""
    # A step that an earlier release ran kept its one disk in the memo itself.
    return list(memo.get("stored") or ([dict(memo)] if "size_bytes" in memo else []))


def _writing(memo: Mapping[str, Any]) -> tuple[str, str] | None:
    if memo.get("writing"):
        return tuple(memo["writing"])
    return _place(memo) if "key" in memo else None


def _place(facts: Mapping[str, Any]) -> tuple[str, str]:
    return facts["store_id"], facts["key"]


def _store(ctx: StepContext, disk: CapturedDisk, before: int, total: int) -> None:
    """Store one disk, `before` bytes of all `total` being stored already."""
    adopted = adoption.find(ctx, disk)
    if adopted is not None:
        ctx.memo.put(stored=[*stored(ctx.memo), adopted])
        return
    store_id = ctx.service.backends.default_id("storage") or ""
    name = f"{ctx.job.id}-{ctx.lease_token}"
    if disk.index:
        name += f"-{disk.index}"
    with ctx.service.database.write() as conn:
        job_rows.fence(conn, ctx.job)
        encrypted = image_rows.is_encrypted(conn, disk.image_id)
        key = storage_key.make(disk.image_id, name, encrypted=encrypted)
        if left := _writing(ctx.memo):
            intake.doom(conn, *left)
        pending.insert(conn, store_id, key, disk.image_id, ctx.job.id)
    ctx.memo["writing"] = [store_id, key]
    crashpoint("step.store.begin")
    store = ctx.service.backends.storage(store_id)
    result = _write(ctx, store, key, disk, lambda done: ctx.progress(before + done, total))
    crashpoint("step.store.committed")
    if before:
        crashpoint("step.store.further_committed")
    found = intake.found(ctx, result, (store_id, key))
    facts = {"store_id": store_id, "key": key, **intake.facts(result), **found}
    try:
        ctx.memo.put(stored=[*stored(ctx.memo), facts], writing=None)
    except errors.LeaseLost:
        store.delete(key)  # the winner has a key of its own; nobody will ever name this one
        raise


def _write(
    ctx: StepContext,
    store: StorageDriver,
    key: str,
    disk: CapturedDisk,
    progress: Callable[[int], None],
) -> pipe.PipeResult:
    with (
        disk_source.opened(ctx, disk) as (size_bytes, source),
        store.open_write(key, size=size_bytes) as writer,
    ):
        result = ctx.service.rules.pump(
            source,
            writer,
            disk_format="raw",
            container_format="bare",
            expected_bytes=size_bytes,
            progress=progress,
        )
        crashpoint("step.store.written")
        ctx.check()
        writer.commit()
    return result

"""Bytes of a snapshot into the store, by the one pipe."""

from typing import Any

from imagesvc import errors
from imagesvc.crashpoint import crashpoint
from imagesvc.db import doomed, pending
from imagesvc.db import job as job_rows
from imagesvc.domain import guest
from imagesvc.interface.storage import StorageDriver
from imagesvc.stream import pipe
from imagesvc.worker import disk_source
from imagesvc.worker.flow import Step, StepContext, Wait


class Store(Step):
    """Write the raw disk to a fresh key; memo: store_id, key, size_bytes, digests, guest."""

    name = "store"

    def run(self, ctx: StepContext) -> Wait | None:
        """Stream from the snapshot; a second run begins anew under a key of its own."""
        if "size_bytes" in ctx.memo:
            return None
        store_id = ctx.service.backends.default_id("storage") or ""
        key = f"{ctx.job.image_id}/{ctx.job.id}-{ctx.lease_token}"
        with ctx.service.database.write() as conn:
            job_rows.fence(conn, ctx.job)
            if "key" in ctx.memo:
                _doom(conn, ctx.memo["store_id"], ctx.memo["key"])
            pending.insert(conn, store_id, key, ctx.job.image_id or "", ctx.job.id)
        ctx.memo.put(store_id=store_id, key=key)
        crashpoint("step.store.begin")
        store = ctx.service.backends.storage(store_id)
        result = _write(ctx, store, key)
        crashpoint("step.store.committed")
        found = ctx.service.guests.look(result, (store_id, key))
        try:
            ctx.memo.put(
                size_bytes=result.size_bytes,
                virtual_size_bytes=result.facts.virtual_size_bytes,
                md5=result.md5,
                hash_algorithm=result.hash_algorithm,
                hash_value=result.hash_value,
                guest=guest.plain(found),
            )
        except errors.LeaseLost:
            store.delete(key)  # the winner has a key of its own; nobody will ever name this one
            raise
        crashpoint("step.store.done")
        return None

    def undo(self, ctx: StepContext) -> Wait | None:
        """Give the bytes to the reaper, unless they are an image's by now."""
        if "key" in ctx.memo:
            with ctx.service.database.write() as conn:
                job_rows.fence(conn, ctx.job)
                _doom(conn, ctx.memo["store_id"], ctx.memo["key"])
        return None


def _write(ctx: StepContext, store: StorageDriver, key: str) -> pipe.PipeResult:
    snapshot_id = ctx.results["snapshot"]["snapshot_id"]
    driver = disk_source.driver(ctx)
    total = driver.snapshot_size(snapshot_id)
    with (
        driver.open_snapshot(snapshot_id) as source,
        store.open_write(key, size=total) as writer,
    ):
        result = ctx.service.rules.pump(
            source,
            writer,
            disk_format="raw",
            container_format="bare",
            expected_bytes=total,
            progress=lambda done: ctx.progress(done, total),
        )
        crashpoint("step.store.written")
        ctx.check()
        writer.commit()
    return result


def _doom(conn: Any, store_id: str, key: str) -> None:
    # Without its note the object was published, or is doomed already.
    if pending.remove(conn, store_id, key):
        doomed.add(conn, store_id, key)

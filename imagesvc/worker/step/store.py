"""Bytes of a snapshot into the store, by the one pipe."""

from typing import Any

from imagesvc.crashpoint import crashpoint
from imagesvc.db import doomed, pending
from imagesvc.db import job as job_rows
from imagesvc.stream import pipe
from imagesvc.worker.flow import Step, StepContext, Wait


class Store(Step):
    """Write the raw disk to a fresh key; memo: store_id, key, size_bytes, digests."""

    name = "store"

    def run(self, ctx: StepContext) -> Wait | None:
        """Stream from the snapshot; a second run begins anew under a key of its own."""
        if "size_bytes" in ctx.memo:
            return None
        backends, database = ctx.service.backends, ctx.service.database
        snapshot_id = ctx.results["snapshot"]["snapshot_id"]
        compute = backends.compute(ctx.job.args["compute_id"])
        total = compute.snapshot_size(snapshot_id)
        store_id = backends.default_id("storage") or ""
        key = f"{ctx.job.image_id}/{ctx.job.id}-{ctx.lease_token}-{ctx.job.attempt}"
        with database.write() as conn:
            job_rows.fence(conn, ctx.job)
            if "key" in ctx.memo:
                _doom(conn, ctx.memo["store_id"], ctx.memo["key"])
            pending.insert(conn, store_id, key, ctx.job.image_id or "", ctx.job.id)
        ctx.memo["store_id"] = store_id
        ctx.memo["key"] = key
        crashpoint("step.store.begin")
        conf = ctx.service.conf
        with (
            compute.open_snapshot(snapshot_id) as source,
            backends.storage(store_id).open_write(key, size=total) as writer,
        ):
            result = pipe.pump(
                source,
                writer,
                disk_format="raw",
                cap_bytes=conf.limit.image_size_bytes,
                expected_bytes=total,
                hash_algorithm=conf.service.hashing_algorithm,
                md5=conf.service.legacy_md5,
                progress=lambda done: ctx.progress(done, total),
            )
            crashpoint("step.store.written")
            writer.commit()
        crashpoint("step.store.committed")
        ctx.memo["virtual_size_bytes"] = result.facts.virtual_size_bytes
        ctx.memo["md5"] = result.md5
        ctx.memo["hash_algorithm"] = result.hash_algorithm
        ctx.memo["hash_value"] = result.hash_value
        ctx.memo["size_bytes"] = result.size_bytes  # last: says that the rest is there
        crashpoint("step.store.done")
        return None

    def undo(self, ctx: StepContext) -> None:
        """Give the bytes to the reaper."""
        if "key" not in ctx.memo:
            return
        with ctx.service.database.write() as conn:
            job_rows.fence(conn, ctx.job)
            _doom(conn, ctx.memo["store_id"], ctx.memo["key"])


def _doom(conn: Any, store_id: str, key: str) -> None:
    doomed.add(conn, store_id, key)
    pending.remove(conn, store_id, key)

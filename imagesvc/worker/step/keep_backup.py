"""Bytes of snapshots into a backup, disk by disk."""

from typing import Any

from imagesvc import errors
from imagesvc.crashpoint import crashpoint
from imagesvc.db import job as job_rows
from imagesvc.domain import capture
from imagesvc.domain.capture import CapturedDisk
from imagesvc.domain.job import Job
from imagesvc.interface.backup import BackupDisk, BackupDriver, BackupSpec
from imagesvc.interface.compute import Consistency
from imagesvc.interface.errors import DriverError
from imagesvc.stream import digest, limit, pipe
from imagesvc.worker import backup_source, disk_source
from imagesvc.worker.flow import Step, StepContext, Wait


class KeepBackup(Step):
    """Hand all disks to a driver that takes them; memo: asked, backup_id, kept (size and digest of
    each disk in order), result.
    """

    name = "keep"
    final = True

    def applies(self, job: Job) -> bool:
        """Whether the service does not copy the server by itself."""
        return not job.args["ordered"]

    def run(self, ctx: StepContext) -> Wait | None:
        """Write the disks that are not kept yet, then make the backup whole.

        A second run begins the disk anew at which the first ended. Raises Cancelled.
        """
        driver = backup_source.driver(ctx)
        ctx.memo.once("asked", lambda: True)
        spec = spec_of(ctx.job)
        backup_id = ctx.memo.once("backup_id", lambda: driver.prepare(spec, ctx.request_token))
        disks = capture.disks(ctx.job)
        total = sum(disk.size_bytes for disk in disks)
        while len(kept := ctx.memo.get("kept", [])) < len(disks):
            before = sum(disk.size_bytes for disk in disks[: len(kept)])
            facts = _keep(ctx, driver, backup_id, disks[len(kept)], (before, total))
            ctx.memo["kept"] = [*kept, facts]
            crashpoint("step.keep.kept")
        with ctx.service.database.write() as conn:
            if job_rows.fence(conn, ctx.job):
                raise errors.Cancelled(job_id=ctx.job.id)  # the last moment for it
        driver.finish(backup_id, _kept(disks, kept), _consistency(ctx))
        crashpoint("step.keep.finished")
        ctx.memo["result"] = {"backup_id": backup_id}
        return None

    def undo(self, ctx: StepContext) -> Wait | None:
        """Remove what was written. Raises BackupInUse while others read a backup that is whole."""
        if "asked" not in ctx.memo:
            return None
        driver = backup_source.driver(ctx)
        spec = spec_of(ctx.job)
        try:
            # A kill may have come before the id was kept: the same token gives it again.
            backup_id = ctx.memo.once("backup_id", lambda: driver.prepare(spec, ctx.request_token))
        except DriverError as exc:
            if exc.retryable:
                raise
            return None  # refused for good: nothing was begun
        backup_source.take_back(ctx, backup_id)
        return None


def spec_of(job: Job) -> BackupSpec:
    """What the job backs up."""
    args = job.args
    return BackupSpec(
        name=args["name"],
        project_id=job.project_id,
        server_id=args["server_id"],
        os_type=args["os_type"],
        architecture=args["architecture"],
        memory_mib=args["memory_mib"],
        quiesce=args["quiesce"],
    )


def _keep(
    ctx: StepContext,
    driver: BackupDriver,
    backup_id: str,
    disk: CapturedDisk,
    share: tuple[int, int],
) -> dict[str, Any]:
    """Write one disk, so many bytes of all being kept already; its size and SHA-512."""
    before, total = share
    with (
        disk_source.opened(ctx, disk) as (size_bytes, stream),
        driver.open_write(backup_id, disk.disk_id) as writer,
        digest.Digest("sha512", md5=False) as hashes,
    ):
        source = limit.LimitedReader(stream, expected_bytes=size_bytes)
        while block := source.read(pipe.BLOCK_BYTES):
            hashes.update(block)
            writer.write(block)
            ctx.progress(before + source.count, total)
        ctx.check()
        writer.commit()
        return {"size_bytes": size_bytes, "digest": hashes.finish().value}


def _kept(disks: tuple[CapturedDisk, ...], kept: list[dict[str, Any]]) -> list[BackupDisk]:
    return [
        BackupDisk(disk.disk_id, boot=disk.role == "system", **facts)
        for disk, facts in zip(disks, kept, strict=True)
    ]


def _consistency(ctx: StepContext) -> Consistency:
    """What the snapshot step found out."""
    return Consistency(ctx.results["snapshot"].get(capture.CONSISTENCY, Consistency.CRASH))

"""Captures of backups: the image of a whole machine, made from a backup of a server."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

from imagesvc.backend.registry import Backends
from imagesvc.context import RequestContext
from imagesvc.db import attempt
from imagesvc.db import image as image_rows
from imagesvc.domain.capture import CONSISTENCY, CapturedDisk
from imagesvc.domain.image import Image, ImageKind, NewImage
from imagesvc.domain.job import Job, JobType
from imagesvc.interface.backup import Backup
from imagesvc.manager import backup_backend, backup_use, capture_image, project
from imagesvc.manager.capture_image import CaptureImages
from imagesvc.manager.image import ImageManager
from imagesvc.manager.job import JobManager
from imagesvc.manager.operation import Operation
from imagesvc.policy.check import Enforcer


class BackupCaptureManager:
    """Starts such captures; the worker carries them out."""

    def __init__(
        self,
        operation: Operation,
        enforcer: Enforcer,
        backends: Backends,
        images: ImageManager,
        jobs: JobManager,
    ) -> None:
        self._operation = operation
        self._enforcer = enforcer
        self._backends = backends
        self._made = CaptureImages(images, jobs)
        self._jobs = jobs

    def start(
        self,
        ctx: RequestContext,
        backup_id: str,
        *,
        idempotency_key: str | None = None,
        **described: Any,
    ) -> tuple[Image | None, Job]:
        """Make an image record and a job that fills it with all disks of a backup, in order.

        `described` is name, visibility, properties and tags of the image. The backup is kept until
        the job ends. A key that was used before gives the first job and its image, None if that
        was deleted since. Raises BackupNotFound, BackupInUse while a job deletes it, Forbidden,
        QuotaExceeded, Conflict if the key belongs to another kind of job.
        """

        def submit() -> Job:
            with self._operation.attempt(ctx, "capture:create", "backup", backup_id):
                self._enforcer.authorize(ctx, "capture:create")
                backend_id, found = backup_backend.find(
                    self._backends, project.require(ctx, "backups"), backup_id
                )
            new = capture_image.new_image(
                ImageKind.WHOLE_MACHINE,
                described,
                os_type=found.os_type,
                architecture=found.architecture,
            )
            with self._operation.attempt(ctx, "capture:create", "backup", backup_id):
                news = self._made.prepare(ctx, (new,))
            return self._submit(ctx, backend_id, found, news, idempotency_key)

        job = self._jobs.once(ctx, JobType.CAPTURE_BACKUP, idempotency_key, submit)
        with self._operation.database.read() as conn:
            return image_rows.get(conn, job.image_id or ""), job

    @attempt.again
    def _submit(
        self,
        ctx: RequestContext,
        backend_id: str,
        found: Backup,
        news: Sequence[NewImage],
        key: str | None,
    ) -> Job:
        with self._operation.write(ctx, "capture:create", "backup", found.backup_id) as op:
            backup_use.require_kept(op.conn, found.project_id, found.backup_id)

            def args(made: Sequence[Image]) -> dict[str, Any]:
                return {
                    "source_kind": "backup",
                    "backup_id": found.backup_id,
                    "backend_id": backend_id,
                    "size_bytes": sum(disk.size_bytes for disk in found.disks),
                    "disks": [dataclasses.asdict(one) for one in _places(found, made[0].id)],
                    CONSISTENCY: str(found.consistency),
                }

            return self._made.submit(
                op, ctx, JobType.CAPTURE_BACKUP, news, args, key, found.server_id
            )


def _places(found: Backup, image_id: str) -> Iterator[CapturedDisk]:
    """Which disk of the image each disk becomes."""
    for index, disk in enumerate(found.disks):
        role = "system" if disk.boot else "data"
        yield CapturedDisk(disk.disk_id, image_id, index, role, disk.size_bytes)

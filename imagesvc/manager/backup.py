"""Backups of servers: made, looked at, deleted, and made into servers again."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from imagesvc import errors
from imagesvc.backend.registry import Backends
from imagesvc.context import RequestContext
from imagesvc.db import attempt
from imagesvc.db import job as job_rows
from imagesvc.domain.capture import CapturedDisk
from imagesvc.domain.job import Job, JobType
from imagesvc.interface import backup
from imagesvc.interface.backup import BackupCapability
from imagesvc.interface.compute import ComputeCapability
from imagesvc.interface.errors import NotSupported
from imagesvc.manager import backup_backend, backup_use, project, server_backend, server_source
from imagesvc.manager.job import JobManager
from imagesvc.manager.operation import Operation
from imagesvc.policy.check import Enforcer

# Of a restored server, where nobody knows what it had.
_MEMORY_MIB = 64


class BackupManager:
    """Backups of the caller's project; those of others do not exist."""

    def __init__(
        self, operation: Operation, enforcer: Enforcer, backends: Backends, jobs: JobManager
    ) -> None:
        self._operation = operation
        self._enforcer = enforcer
        self._backends = backends
        self._jobs = jobs

    def create(
        self,
        ctx: RequestContext,
        *,
        server_id: str,
        name: str,
        quiesce: bool = False,
        compute_id: str | None = None,
        backend_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> Job:
        """Start a job that backs all disks of a server up, as they are at one instant.

        `quiesce` freezes the guest's file systems at that instant if it answers. Raises
        ServerNotFound, Forbidden, InvalidRequest if it has no disk of its own, NotSupported if the
        disks cannot be copied at one instant, Conflict if the key belongs to another kind of job.
        """

        def submit() -> Job:
            with self._operation.attempt(ctx, "backup:create", "server", server_id):
                self._enforcer.authorize(ctx, "backup:create")
                found = self._server(ctx, server_id, compute_id, backend_id)
            args = {"name": name, "quiesce": quiesce, **found}
            return self._submit(ctx, server_id, args, idempotency_key)

        return self._jobs.once(ctx, JobType.CREATE_BACKUP, idempotency_key, submit)

    def _server(
        self, ctx: RequestContext, server_id: str, compute_id: str | None, backend_id: str | None
    ) -> dict[str, Any]:
        """What the job keeps of the server, and who copies it."""
        wanted = backend_id or self._backends.default_id("backup")
        ordered = BackupCapability.SEES_SERVERS in self._backends.backup(wanted).info().capabilities
        found_id, server = server_backend.find(
            self._backends, project.require(ctx, "backups"), server_id, compute_id
        )
        if not server.disks and not ordered:
            raise errors.InvalidRequest(f"Server {server_id} has no disk of its own to back up.")
        if len(server.disks) > 1 and not ordered:
            server_source.require_capability(
                self._backends.compute(found_id),
                ComputeCapability.CONSISTENT_GROUP,
                "This compute backend cannot copy disks at one instant.",
            )
        disks = [
            CapturedDisk(
                disk.disk_id, "", index, "system" if disk.boot else "data", disk.size_bytes
            )
            for index, disk in enumerate(sorted(server.disks, key=lambda disk: not disk.boot))
        ]
        return {
            "server_id": server_id,
            "compute_id": found_id,
            "backend_id": wanted,
            "ordered": ordered,
            "os_type": server.os_type,
            "architecture": server.architecture,
            "memory_mib": server.memory_mib,
            "disks": [dataclasses.asdict(disk) for disk in disks],
        }

    @attempt.again
    def _submit(
        self, ctx: RequestContext, server_id: str, args: Mapping[str, Any], key: str | None
    ) -> Job:
        with self._operation.write(ctx, "backup:create", "server", server_id) as op:
            op.owner = ctx.project_id
            job = self._jobs.submit(op.conn, ctx, JobType.CREATE_BACKUP, args, idempotency_key=key)
            op.detail.update(name=args["name"], job_id=job.id)
            return job

    def list(
        self,
        ctx: RequestContext,
        *,
        backend_id: str | None = None,
        marker: str | None = None,
        limit: int = 100,
    ) -> Sequence[backup.Backup]:
        """Backups by id, those after `marker`, of one backup backend or of all."""
        with self._operation.look(ctx, "backup:list", "backup"):
            self._enforcer.authorize(ctx, "backup:list")
        return backup_backend.list_page(
            self._backends, project.require(ctx, "backups"), backend_id, marker, limit
        )

    def get(self, ctx: RequestContext, backup_id: str) -> backup.Backup:
        """Show one. Raises BackupNotFound."""
        with self._operation.look(ctx, "backup:get", "backup", backup_id):
            self._enforcer.authorize(ctx, "backup:get")
            return backup_backend.find(self._backends, project.require(ctx, "backups"), backup_id)[
                1
            ]

    def delete(self, ctx: RequestContext, backup_id: str) -> Job:
        """Start a job that removes a backup, or give the one that does already.

        Raises BackupNotFound, Forbidden, BackupInUse while a job reads it.
        """
        with self._operation.attempt(ctx, "backup:delete", "backup", backup_id):
            self._enforcer.authorize(ctx, "backup:delete")
            project_id = project.require(ctx, "backups")
            backend_id = backup_backend.find(self._backends, project_id, backup_id)[0]
        return self._submit_deletion(ctx, project_id, backup_id, backend_id)

    @attempt.again
    def _submit_deletion(
        self, ctx: RequestContext, project_id: str, backup_id: str, backend_id: str
    ) -> Job:
        with self._operation.write(ctx, "backup:delete", "backup", backup_id) as op:
            op.owner = project_id
            begun = backup_use.require_unread(op.conn, project_id, backup_id)
            job = job_rows.get(op.conn, begun) if begun else None
            if job is None:
                args = {"backup_id": backup_id, "backend_id": backend_id}
                job = self._jobs.submit(op.conn, ctx, JobType.DELETE_BACKUP, args)
            op.detail["job_id"] = job.id
            return job

    def restore(
        self,
        ctx: RequestContext,
        backup_id: str,
        *,
        name: str,
        memory_mib: int | None = None,
        vcpus: int = 1,
        compute_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> Job:
        """Start a job that makes a new server of a backup, with all its disks in order.

        Without `memory_mib` it has as much as the server had, if that is known. Raises
        BackupNotFound, Forbidden, BackupInUse while a job deletes it, NotSupported if
        neither the service nor imagesvc can make a server of it, or the compute backend not with as
        many disks, Conflict if the key belongs to
        another kind of job.
        """

        def submit() -> Job:
            with self._operation.attempt(ctx, "backup:restore", "backup", backup_id):
                self._enforcer.authorize(ctx, "backup:restore")
                self._enforcer.authorize(ctx, "server:create")
                backend_id, found = backup_backend.find(
                    self._backends, project.require(ctx, "backups"), backup_id
                )
                args = {
                    "backup_id": backup_id,
                    "backend_id": backend_id,
                    "ordered": self._restores(backend_id, found, compute_id),
                    "compute_id": compute_id or self._backends.default_id("compute"),
                    "name": name,
                    "memory_mib": memory_mib or found.memory_mib or _MEMORY_MIB,
                    "vcpus": vcpus,
                }
            return self._submit_restoration(ctx, args, idempotency_key)

        return self._jobs.once(ctx, JobType.RESTORE_BACKUP, idempotency_key, submit)

    def _restores(self, backend_id: str, found: backup.Backup, compute_id: str | None) -> bool:
        """Whether the service makes the server by itself. Raises NotSupported."""
        driver = self._backends.compute(compute_id)
        if BackupCapability.RESTORE in self._backends.backup(backend_id).info().capabilities:
            return True
        if not all(disk.digest for disk in found.disks):
            raise NotSupported(
                "This backup backend makes no servers, and the digests of the backup's disks are "
                "not known; make an image of it first."
            )
        if len(found.disks) > 1:
            server_source.require_data_disks(driver)
        return False

    @attempt.again
    def _submit_restoration(
        self, ctx: RequestContext, args: Mapping[str, Any], key: str | None
    ) -> Job:
        backup_id, project_id = args["backup_id"], project.require(ctx, "backups")
        with self._operation.write(ctx, "backup:restore", "backup", backup_id) as op:
            op.owner = project_id
            backup_use.require_kept(op.conn, project_id, backup_id)
            job = self._jobs.submit(op.conn, ctx, JobType.RESTORE_BACKUP, args, idempotency_key=key)
            op.detail.update(name=args["name"], job_id=job.id)
            return job

"""Rebuilds: servers get a new system disk from another image, their data disks kept."""

from collections.abc import Sequence

from imagesvc import errors
from imagesvc.backend.registry import Backends
from imagesvc.context import RequestContext
from imagesvc.db import attempt
from imagesvc.db import job as job_rows
from imagesvc.domain.image import Image
from imagesvc.domain.job import Job, JobType
from imagesvc.domain.server import GIB
from imagesvc.interface.compute import ComputeCapability, Server
from imagesvc.manager import server_backend, server_source
from imagesvc.manager.job import JobManager
from imagesvc.manager.operation import Operation
from imagesvc.policy.check import Enforcer

Found = tuple[str, Server]  # id of its backend, and the server

_LACK = "The compute backend of server {} cannot rebuild servers."


class RebuildManager:
    """Starts rebuilds of servers of the caller's project; the worker carries them out."""

    def __init__(
        self,
        operation: Operation,
        enforcer: Enforcer,
        backends: Backends,
        jobs: JobManager,
        count_max: int,
    ) -> None:
        self._operation = operation
        self._enforcer = enforcer
        self._backends = backends
        self._jobs = jobs
        self._count_max = count_max

    def start(
        self,
        ctx: RequestContext,
        *,
        server_ids: Sequence[str],
        image_id: str,
        compute_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> Job:
        """Start a job that rebuilds these servers; its result tells of each.

        Raises ServerNotFound if one of them is not there, ImageNotFound, Forbidden (also
        IMAGE_DEACTIVATED), StateConflict if the image is not active, InvalidRequest for an image
        that is no system disk, asks for a larger one or for other processors, NotSupported,
        Conflict if a server is to be captured first or the key belongs to another kind of job.
        """

        def submit() -> Job:
            if not 1 <= len(server_ids) <= self._count_max:
                raise errors.InvalidRequest(f"From 1 to {self._count_max} servers can be named.")
            if len(set(server_ids)) < len(server_ids):
                raise errors.InvalidRequest("server_ids names a server twice.")
            with self._operation.attempt(ctx, "server:rebuild", "image", image_id):
                self._enforcer.authorize(ctx, "server:rebuild")
                found = [self._find(ctx, each, compute_id) for each in server_ids]
            return self._submit(ctx, found, image_id, idempotency_key)

        return self._jobs.once(ctx, JobType.REBUILD_SERVERS, idempotency_key, submit)

    def _find(self, ctx: RequestContext, server_id: str, compute_id: str | None) -> Found:
        backend_id, server = server_backend.find(
            self._backends, ctx.project_id or "", server_id, compute_id
        )
        server_source.require_capability(
            self._backends.compute(backend_id), ComputeCapability.REBUILD, _LACK.format(server_id)
        )
        return backend_id, server

    @attempt.again
    def _submit(
        self,
        ctx: RequestContext,
        found: Sequence[Found],
        image_id: str,
        key: str | None,
    ) -> Job:
        servers = [
            {"server_id": server.server_id, "compute_id": backend_id}
            for backend_id, server in found
        ]
        asked = {"server_ids": [server.server_id for _, server in found]}
        with self._operation.write(ctx, "server:rebuild", "image", image_id, asked) as op:
            image = server_source.readable_image(op.conn, ctx, self._enforcer, image_id)
            op.owner = image.owner
            server_source.require_system(image, "rebuild")
            server_source.require_disk(image, "rebuild")
            unread = job_rows.unread_servers(op.conn, ctx.project_id or "")
            for _, server in found:
                _require_room(image, server)
                _require_memory(image, server)
                _require_processor(image, server)
                if server.server_id in unread:
                    raise errors.Conflict(
                        "Server {server_id} is being captured: wait until its disks are copied, or "
                        "cancel the capture.",
                        server_id=server.server_id,
                    )
            job = self._jobs.submit(
                op.conn,
                ctx,
                JobType.REBUILD_SERVERS,
                {"servers": servers, "image_bytes": image.size_bytes or 0},
                image_id=image_id,
                idempotency_key=key,
            )
            op.detail["job_id"] = job.id
            return job


def _require_room(image: Image, server: Server) -> None:
    """Raise InvalidRequest if the system disk is smaller than the image asks for."""
    sizes = [disk.size_bytes for disk in server.disks if disk.boot]
    if max([image.virtual_size_bytes or 0, *sizes]) < image.min_disk_gib * GIB:
        raise errors.InvalidRequest(
            "The system disk of server {server_id} is smaller than the {gib} GiB that the image "
            "asks for.",
            server_id=server.server_id,
            gib=image.min_disk_gib,
        )


def _require_memory(image: Image, server: Server) -> None:
    """Raise InvalidRequest if the server is known to have less than the image asks for."""
    if server.memory_mib is not None and server.memory_mib < image.min_ram_mib:
        raise errors.InvalidRequest(
            "Server {server_id} has {has} MiB of memory, the image asks for {wanted}.",
            server_id=server.server_id,
            has=server.memory_mib,
            wanted=image.min_ram_mib,
        )


def _require_processor(image: Image, server: Server) -> None:
    """Raise InvalidRequest for an image that says that it does not boot on such a server."""
    if image.architecture not in (None, server.architecture):
        raise errors.InvalidRequest(
            "Server {server_id} is {architecture}, the image for {wanted}.",
            server_id=server.server_id,
            architecture=server.architecture,
            wanted=image.architecture,
        )

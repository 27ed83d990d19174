"""Servers: made from images, and looked after as far as images need it."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from imagesvc import errors
from imagesvc.backend.registry import Backends
from imagesvc.context import RequestContext
from imagesvc.db import attempt
from imagesvc.domain.image import ImageKind
from imagesvc.domain.job import Job, JobType
from imagesvc.domain.server import DataDisk
from imagesvc.domain.server import data_disks as data_disks_of
from imagesvc.interface import compute
from imagesvc.interface.compute import ComputeCapability
from imagesvc.interface.errors import NotFound
from imagesvc.manager import project, server_backend, server_source
from imagesvc.manager.attachment import AttachmentManager
from imagesvc.manager.image import visible_image
from imagesvc.manager.job import JobManager
from imagesvc.manager.operation import Operation
from imagesvc.policy.check import Enforcer


class ServerManager:
    """Servers of the caller's project; those of others do not exist."""

    def __init__(
        self,
        operation: Operation,
        enforcer: Enforcer,
        backends: Backends,
        jobs: JobManager,
        count_max: int,
        attachments: AttachmentManager,
    ) -> None:
        self._operation = operation
        self._enforcer = enforcer
        self._backends = backends
        self._jobs = jobs
        self._count_max = count_max
        self._attachments = attachments

    def create(
        self,
        ctx: RequestContext,
        *,
        image_id: str,
        name: str,
        count: int = 1,
        memory_mib: int = 64,
        vcpus: int = 1,
        data_disks: Sequence[DataDisk] = (),
        compute_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> Job:
        """Start a job that creates `count` servers from an image, each with these data disks.

        An image of a whole machine brings all its disks, in order; `data_disks` come after them.
        Raises ImageNotFound, Forbidden (also IMAGE_DEACTIVATED), StateConflict if an image
        is not active, InvalidRequest, Conflict if the key belongs to another kind of job,
        NotSupported for an empty disk that the backend cannot make.
        """
        args = {
            "name": name,
            "count": count,
            "memory_mib": memory_mib,
            "vcpus": vcpus,
            "data_disks": [disk.to_args() for disk in data_disks],
            "compute_id": compute_id or self._backends.default_id("compute"),
        }
        return self._jobs.once(
            ctx,
            JobType.CREATE_SERVERS,
            idempotency_key,
            lambda: self._submit(ctx, image_id, args, idempotency_key),
        )

    @attempt.again
    def _submit(
        self, ctx: RequestContext, image_id: str, args: Mapping[str, Any], key: str | None
    ) -> Job:
        if not 1 <= args["count"] <= self._count_max:
            raise errors.InvalidRequest(f"count must be from 1 to {self._count_max}.")
        _require_project(ctx)
        driver, disks = self._backends.compute(args["compute_id"]), data_disks_of(args)
        if not all(disk.image_id for disk in disks):
            lack = "This compute backend makes no empty disks."
            server_source.require_capability(driver, ComputeCapability.EMPTY_DISK, lack)
        if any(disk.image_id for disk in disks):
            server_source.require_data_disks(driver)
        asked = {"name": args["name"], "count": args["count"]}
        with self._operation.write(ctx, "server:create", "image", image_id, asked) as op:
            image = visible_image(op.conn, ctx, image_id)
            op.owner = image.owner
            self._enforcer.authorize(ctx, "server:create")
            self._enforcer.authorize(ctx, "image_file:download", image)
            server_source.require_system(image, "server creation", args["memory_mib"])
            if image.kind == ImageKind.WHOLE_MACHINE:
                server_source.require_data_disks(driver)
            for wanted in (disk.image_id for disk in disks if disk.image_id):
                data = server_source.readable_image(op.conn, ctx, self._enforcer, wanted)
                server_source.require_disk(data, "server creation")
            job = self._jobs.submit(
                op.conn,
                ctx,
                JobType.CREATE_SERVERS,
                args,
                image_id=image_id,
                idempotency_key=key,
            )
            op.detail["job_id"] = job.id
            return job

    def list(
        self,
        ctx: RequestContext,
        *,
        compute_id: str | None = None,
        marker: str | None = None,
        limit: int = 100,
    ) -> Sequence[compute.Server]:
        """Servers by id, those after `marker`, of one compute backend or of all."""
        with self._operation.look(ctx, "server:list", "server"):
            self._enforcer.authorize(ctx, "server:list")
        return server_backend.list_page(
            self._backends, _require_project(ctx), compute_id, marker, limit
        )

    def get(
        self, ctx: RequestContext, server_id: str, *, compute_id: str | None = None
    ) -> compute.Server:
        """Show one, of the named compute backend or of any. Raises ServerNotFound."""
        with self._operation.look(ctx, "server:get", "server", server_id):
            self._enforcer.authorize(ctx, "server:get")
            return self._find(ctx, server_id, compute_id)[1]

    def start(self, ctx: RequestContext, server_id: str, *, compute_id: str | None = None) -> None:
        """Boot it; a running one is success. Raises ServerNotFound, Forbidden."""
        with self._action(ctx, "server:start", server_id, compute_id) as driver:
            driver.start_server(server_id, project_id=_require_project(ctx))

    def stop(self, ctx: RequestContext, server_id: str, *, compute_id: str | None = None) -> None:
        """Power it off; a stopped one is success. Raises ServerNotFound, Forbidden."""
        with self._action(ctx, "server:stop", server_id, compute_id) as driver:
            driver.stop_server(server_id, project_id=_require_project(ctx))

    def delete(self, ctx: RequestContext, server_id: str, *, compute_id: str | None = None) -> None:
        """End it and remove its disks; volumes stay. Raises ServerNotFound, Forbidden."""
        with self._action(ctx, "server:delete", server_id, compute_id) as driver:
            project_id = _require_project(ctx)
            volumes = driver.get_server(server_id, project_id=project_id).volumes
            driver.delete_server(server_id, project_id=project_id)
            self._attachments.release(project_id, server_id, volumes)

    def console_log(
        self,
        ctx: RequestContext,
        server_id: str,
        *,
        offset: int = 0,
        compute_id: str | None = None,
    ) -> bytes:
        """Read at most 1 MiB of the serial console from byte `offset`. Raises ServerNotFound."""
        action = "server:read_console"
        with self._operation.look(ctx, action, "server", server_id), _found(server_id):
            self._enforcer.authorize(ctx, action)
            driver = self._driver(ctx, server_id, compute_id)
            return driver.read_console(server_id, project_id=_require_project(ctx), offset=offset)

    def console_write(
        self, ctx: RequestContext, server_id: str, data: bytes, *, compute_id: str | None = None
    ) -> None:
        """Type on the serial console. Raises ServerNotFound, Forbidden, NotSupported."""
        with self._action(ctx, "server:write_console", server_id, compute_id) as driver:
            driver.write_console(server_id, data, project_id=_require_project(ctx))

    def _find(
        self, ctx: RequestContext, server_id: str, compute_id: str | None
    ) -> tuple[str, compute.Server]:
        return server_backend.find(self._backends, _require_project(ctx), server_id, compute_id)

    def _driver(
        self, ctx: RequestContext, server_id: str, compute_id: str | None
    ) -> compute.ComputeDriver:
        return self._backends.compute(self._find(ctx, server_id, compute_id)[0])

    @contextlib.contextmanager
    def _action(
        self, ctx: RequestContext, action: str, server_id: str, compute_id: str | None
    ) -> Iterator[compute.ComputeDriver]:
        """Authorize, act on the driver, then record; the driver is outside any transaction."""
        with self._operation.attempt(ctx, action, "server", server_id), _found(server_id):
            self._enforcer.authorize(ctx, action)
            yield self._driver(ctx, server_id, compute_id)
        with self._operation.write(ctx, action, "server", server_id) as op:
            op.owner = ctx.project_id


@contextlib.contextmanager
def _found(server_id: str) -> Iterator[None]:
    try:
        yield
    except NotFound as exc:
        raise errors.ServerNotFound(server_id=server_id) from exc


def _require_project(ctx: RequestContext) -> str:
    return project.require(ctx, "servers")

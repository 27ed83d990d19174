"""Servers: made from images, and looked after as far as images need it."""

import contextlib
from collections.abc import Iterator, Sequence

from imagesvc import errors
from imagesvc.backend.registry import Backends
from imagesvc.context import RequestContext
from imagesvc.domain.image import Image
from imagesvc.domain.job import Job, JobType
from imagesvc.domain.state import ImageStatus
from imagesvc.errors import Reason
from imagesvc.interface import compute
from imagesvc.interface.errors import NotFound
from imagesvc.manager.image import visible_image
from imagesvc.manager.job import JobManager
from imagesvc.manager.operation import Operation
from imagesvc.policy.check import Enforcer

COUNT_MAX = 100


class ServerManager:
    """Servers of the caller's project; those of others do not exist."""

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
        image_id: str,
        name: str,
        count: int = 1,
        memory_mib: int = 64,
        vcpus: int = 1,
        compute_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> Job:
        """Start a job that creates `count` servers from an image.

        Raises ImageNotFound, Forbidden (also IMAGE_DEACTIVATED), StateConflict if the image
        is not active, InvalidRequest.
        """
        known = self._jobs.known(ctx, JobType.CREATE_SERVERS, idempotency_key)
        if known is not None:
            return known
        if not 1 <= count <= COUNT_MAX:
            raise errors.InvalidRequest(f"count must be from 1 to {COUNT_MAX}.")
        _require_project(ctx)
        self._backends.compute(compute_id)
        args = {
            "name": name,
            "count": count,
            "memory_mib": memory_mib,
            "vcpus": vcpus,
            "compute_id": compute_id or self._backends.default_id("compute"),
        }
        with self._operation.write(
            ctx, "server:create", "image", image_id, {"name": name, "count": count}
        ) as op:
            image = visible_image(op.conn, ctx, image_id)
            op.owner = image.owner
            self._enforcer.authorize(ctx, "server:create")
            self._enforcer.authorize(ctx, "image_file:download", image)
            _require_usable(image, memory_mib)
            job = self._jobs.submit(
                op.conn,
                ctx,
                JobType.CREATE_SERVERS,
                args,
                image_id=image_id,
                idempotency_key=idempotency_key,
            )
            op.detail["job_id"] = job.id
            return job

    def list(
        self, ctx: RequestContext, *, marker: str | None = None, limit: int = 100
    ) -> Sequence[compute.Server]:
        """Servers by id, those after `marker`."""
        with self._operation.look(ctx, "server:list", "server"):
            self._enforcer.authorize(ctx, "server:list")
        return self._compute().list_servers(_require_project(ctx), after=marker, limit=limit)

    def get(self, ctx: RequestContext, server_id: str) -> compute.Server:
        """Show one. Raises ServerNotFound."""
        with self._operation.look(ctx, "server:get", "server", server_id), _found(server_id):
            self._enforcer.authorize(ctx, "server:get")
            return self._compute().get_server(server_id, project_id=_require_project(ctx))

    def start(self, ctx: RequestContext, server_id: str) -> None:
        """Boot it; a running one is success. Raises ServerNotFound, Forbidden."""
        with self._action(ctx, "server:start", server_id) as driver:
            driver.start_server(server_id, project_id=_require_project(ctx))

    def stop(self, ctx: RequestContext, server_id: str) -> None:
        """Power it off; a stopped one is success. Raises ServerNotFound, Forbidden."""
        with self._action(ctx, "server:stop", server_id) as driver:
            driver.stop_server(server_id, project_id=_require_project(ctx))

    def delete(self, ctx: RequestContext, server_id: str) -> None:
        """End it and remove its disks. Raises ServerNotFound, Forbidden."""
        with self._action(ctx, "server:delete", server_id) as driver:
            driver.get_server(server_id, project_id=_require_project(ctx))
            driver.delete_server(server_id, project_id=_require_project(ctx))

    def console_log(self, ctx: RequestContext, server_id: str, *, offset: int = 0) -> bytes:
        """Read at most 1 MiB of the serial console from byte `offset`. Raises ServerNotFound."""
        action = "server:read_console"
        with self._operation.look(ctx, action, "server", server_id), _found(server_id):
            self._enforcer.authorize(ctx, action)
            return self._compute().read_console(
                server_id, project_id=_require_project(ctx), offset=offset
            )

    def console_write(self, ctx: RequestContext, server_id: str, data: bytes) -> None:
        """Type on the serial console. Raises ServerNotFound, Forbidden, NotSupported."""
        with self._action(ctx, "server:write_console", server_id) as driver:
            driver.write_console(server_id, data, project_id=_require_project(ctx))

    def _compute(self) -> compute.ComputeDriver:
        return self._backends.compute()

    @contextlib.contextmanager
    def _action(
        self, ctx: RequestContext, action: str, server_id: str
    ) -> Iterator[compute.ComputeDriver]:
        """Authorize, act on the driver, then record; the driver is outside any transaction."""
        driver = self._compute()
        with self._operation.attempt(ctx, action, "server", server_id), _found(server_id):
            self._enforcer.authorize(ctx, action)
            yield driver
        with self._operation.write(ctx, action, "server", server_id) as op:
            op.owner = ctx.project_id


def _require_usable(image: Image, memory_mib: int) -> None:
    if image.status == ImageStatus.DEACTIVATED:
        raise errors.Forbidden("The image is deactivated.", reason=Reason.IMAGE_DEACTIVATED)
    if image.status != ImageStatus.ACTIVE:
        raise errors.StateConflict(
            noun="image",
            id=image.id,
            status=image.status,
            event="server creation",
            allowed="active",
        )
    if memory_mib < image.min_ram_mib:
        raise errors.InvalidRequest(
            f"memory_mib must be at least {image.min_ram_mib} for this image."
        )


@contextlib.contextmanager
def _found(server_id: str) -> Iterator[None]:
    try:
        yield
    except NotFound as exc:
        raise errors.ServerNotFound(server_id=server_id) from exc


def _require_project(ctx: RequestContext) -> str:
    if ctx.project_id is None:
        raise errors.Forbidden("The token names no project; servers belong to projects.")
    return ctx.project_id

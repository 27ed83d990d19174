"""Bare-metal nodes: images are deployed to their disks, and the disks are erased."""

from collections.abc import Mapping, Sequence
from typing import Any

from imagesvc import errors
from imagesvc.backend.registry import Backends
from imagesvc.context import RequestContext
from imagesvc.db import attempt, image_disk
from imagesvc.domain.job import Job, JobType
from imagesvc.interface import baremetal
from imagesvc.manager import image_use, node_backend, project
from imagesvc.manager.image import visible_image
from imagesvc.manager.job import JobManager
from imagesvc.manager.operation import Operation
from imagesvc.policy.check import Enforcer


class BaremetalManager:
    """Nodes that the caller's project may use; others do not exist."""

    def __init__(
        self, operation: Operation, enforcer: Enforcer, backends: Backends, jobs: JobManager
    ) -> None:
        self._operation = operation
        self._enforcer = enforcer
        self._backends = backends
        self._jobs = jobs

    def list(
        self, ctx: RequestContext, *, marker: str | None = None, limit: int = 100
    ) -> Sequence[baremetal.Node]:
        """Nodes by id, those after `marker`, of all bare-metal backends."""
        with self._operation.look(ctx, "node:list", "node"):
            self._enforcer.authorize(ctx, "node:list")
        project_id = project.require(ctx, "nodes")
        return node_backend.list_page(self._backends, project_id, marker, limit)

    def get(self, ctx: RequestContext, node_id: str) -> baremetal.Node:
        """Show one. Raises NodeNotFound."""
        with self._operation.look(ctx, "node:get", "node", node_id):
            self._enforcer.authorize(ctx, "node:get")
            project_id = project.require(ctx, "nodes")
            return node_backend.find(self._backends, project_id, node_id)[1]

    def deploy(
        self,
        ctx: RequestContext,
        node_id: str,
        *,
        image_id: str,
        disk: int = 0,
        idempotency_key: str | None = None,
    ) -> Job:
        """Start a job that writes one disk of an image to the node's disk and reads it back.

        What was on the disk is lost. Raises NodeNotFound, ImageNotFound, DiskNotFound, Forbidden
        (also IMAGE_DEACTIVATED), StateConflict if the image is not active, InvalidRequest if it
        is larger than the node's disk, Conflict if the key belongs to another kind of job.
        """

        def submit() -> Job:
            args = self._target(ctx, "node:deploy", node_id) | {"disk": disk}
            return self._submit_deploy(ctx, image_id, args, idempotency_key)

        return self._jobs.once(ctx, JobType.DEPLOY_NODE, idempotency_key, submit)

    def undeploy(
        self, ctx: RequestContext, node_id: str, *, idempotency_key: str | None = None
    ) -> Job:
        """Start a job that erases the node's disk and frees the node.

        Raises NodeNotFound, Forbidden, Conflict if the key belongs to another kind of job.
        """

        def submit() -> Job:
            args = self._target(ctx, "node:undeploy", node_id)
            return self._submit_undeploy(ctx, args, idempotency_key)

        return self._jobs.once(ctx, JobType.UNDEPLOY_NODE, idempotency_key, submit)

    def _target(self, ctx: RequestContext, action: str, node_id: str) -> dict[str, Any]:
        """The node and its backend, asked outside of any transaction."""
        with self._operation.attempt(ctx, action, "node", node_id):
            self._enforcer.authorize(ctx, action)
            project_id = project.require(ctx, "nodes")
            backend_id, found = node_backend.find(self._backends, project_id, node_id)
        return {"node_id": node_id, "backend_id": backend_id, "node_bytes": found.size_bytes}

    @attempt.again
    def _submit_deploy(
        self, ctx: RequestContext, image_id: str, args: Mapping[str, Any], key: str | None
    ) -> Job:
        node_id: str = args["node_id"]
        asked = {"image_id": image_id}
        with self._operation.write(ctx, "node:deploy", "node", node_id, asked) as op:
            op.owner = ctx.project_id
            image = visible_image(op.conn, ctx, image_id)
            self._enforcer.authorize(ctx, "node:deploy")
            self._enforcer.authorize(ctx, "image_file:download", image)
            image_use.require_usable(image, "deployment")
            image_use.require_key(op.conn, ctx, image)
            for found in image_disk.list_for(op.conn, image_id):
                if found.index == args["disk"]:
                    break
            else:
                raise errors.DiskNotFound(image_id=image_id, disk=args["disk"])
            if (found.virtual_size_bytes or found.size_bytes) > args["node_bytes"]:
                raise errors.InvalidRequest("The image's disk is larger than that of the node.")
            job = self._jobs.submit(
                op.conn, ctx, JobType.DEPLOY_NODE, args, image_id=image_id, idempotency_key=key
            )
            op.detail["job_id"] = job.id
            return job

    @attempt.again
    def _submit_undeploy(
        self, ctx: RequestContext, args: Mapping[str, Any], key: str | None
    ) -> Job:
        with self._operation.write(ctx, "node:undeploy", "node", args["node_id"]) as op:
            op.owner = ctx.project_id
            self._enforcer.authorize(ctx, "node:undeploy")
            job = self._jobs.submit(op.conn, ctx, JobType.UNDEPLOY_NODE, args, idempotency_key=key)
            op.detail["job_id"] = job.id
            return job

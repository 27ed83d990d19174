"""Quotas: what projects use, in the transactions of what uses it."""

from collections.abc import Collection, Mapping
from typing import Any

from imagesvc import errors
from imagesvc.context import RequestContext
from imagesvc.db import attempt
from imagesvc.db import quota as quota_rows
from imagesvc.domain.quota import Change, Quota, Resource
from imagesvc.manager.operation import Operation
from imagesvc.policy.check import Enforcer


class QuotaManager:
    """Counts images, stored bytes and uploads of each project, and keeps them within limits.

    The methods that take a connection belong to the caller's transaction. They come after its
    changes of images and jobs, and with `images` before `stored_bytes`: whoever keeps the order
    waits for others, but never in a circle. A project of None has no quota. Whatever is counted
    while there is no limit is right when one is set.
    """

    def __init__(
        self, operation: Operation, enforcer: Enforcer, defaults: Mapping[Resource, int]
    ) -> None:
        self._operation = operation
        self._enforcer = enforcer
        self._defaults = {str(resource): limit for resource, limit in defaults.items()}

    def count(
        self, conn: Any, project_id: str | None, *, images: int = 0, stored_bytes: int = 0
    ) -> None:
        """The project uses so much more, or less. Raises QuotaExceeded."""
        quota_rows.change(conn, _changes(project_id, images, stored_bytes), self._defaults)

    def move(
        self, conn: Any, source: str | None, target: str | None, *, images: int, stored_bytes: int
    ) -> None:
        """What one project used, another does. Raises QuotaExceeded for the latter."""
        gone = _changes(source, -images, -stored_bytes)
        come = _changes(target, images, stored_bytes)
        quota_rows.change(conn, gone + come, self._defaults)

    def reserve(
        self,
        conn: Any,
        project_id: str | None,
        token: str,
        *,
        stored_bytes: int = 0,
        uploads: int = 0,
    ) -> None:
        """Set room aside until `settle` or `release` of the token; twice is once.

        Raises QuotaExceeded. A token that no open job, upload or pending object bears is
        released by the reaper.
        """
        if project_id is None:
            return
        amounts = ((Resource.STORED_BYTES, stored_bytes), (Resource.UPLOADS, uploads))
        wanted = [
            Change(project_id, resource, reserved=amount) for resource, amount in amounts if amount
        ]
        quota_rows.reserve(conn, token, wanted, self._defaults)

    def settle(
        self,
        conn: Any,
        tokens: Collection[str],
        project_id: str | None,
        *,
        images: int = 0,
        stored_bytes: int = 0,
    ) -> None:
        """End reservations and count what came of them.

        Raises QuotaExceeded if that is more than was reserved, and does not fit.
        """
        changes = _changes(project_id, images, stored_bytes)
        quota_rows.end(conn, tokens, changes, self._defaults)

    def release(self, conn: Any, token: str) -> None:
        """End a reservation of which nothing came; an unknown token is no error."""
        quota_rows.end(conn, (token,), (), self._defaults)

    def room(self, conn: Any, project_id: str | None, taken_bytes: int = 0) -> int | None:
        """Bytes that the project may still store, None if there is no limit.

        Raises QuotaExceeded if `taken_bytes`, which are counted nowhere yet, are more.
        """
        if project_id is None:
            return None
        found = quota_rows.usage(conn, project_id, self._defaults)
        present = next(one for one in found if one.resource is Resource.STORED_BYTES)
        if present.room is not None and taken_bytes > max(present.room, 0):
            raise quota_rows.exceeded(present, taken_bytes)
        return present.room

    def show(self, ctx: RequestContext, project_id: str) -> tuple[Quota, ...]:
        """Every resource of a project. Raises ProjectNotFound for another's, Forbidden."""
        self._authorize(ctx, "quota:get", project_id)
        with self._operation.database.read() as conn:
            return quota_rows.usage(conn, project_id, self._defaults)

    @attempt.again
    def set_limits(
        self, ctx: RequestContext, project_id: str, limits: Mapping[Resource, int | None]
    ) -> tuple[Quota, ...]:
        """Set limits of a project: -1 is none, None the default; others stay.

        A limit below what is used refuses what comes, and takes nothing away.
        Raises ProjectNotFound, Forbidden.
        """
        with self._operation.write(ctx, "quota:set", "project", project_id) as op:
            self._authorize(ctx, "quota:set", project_id)
            op.owner = project_id
            for resource, maximum in limits.items():
                quota_rows.set_limit(op.conn, project_id, resource, maximum)
                op.detail[str(resource)] = maximum
            return quota_rows.usage(op.conn, project_id, self._defaults)

    def _authorize(self, ctx: RequestContext, action: str, project_id: str) -> None:
        if self._enforcer.allows(ctx, action, {"owner": project_id}):
            return
        if ctx.project_id != project_id:
            raise errors.ProjectNotFound(project=project_id)
        raise errors.Forbidden(action=action)


def _changes(project_id: str | None, images: int, stored_bytes: int) -> list[Change]:
    if project_id is None:
        return []
    amounts = ((Resource.IMAGES, images), (Resource.STORED_BYTES, stored_bytes))
    return [Change(project_id, resource, used=amount) for resource, amount in amounts if amount]

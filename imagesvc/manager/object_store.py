"""Object stores of a project: the keys by which the service reads and writes its buckets."""

import uuid
from collections.abc import Mapping
from typing import Any

from imagesvc.context import RequestContext
from imagesvc.db import attempt, metadata
from imagesvc.db import object_store as object_store_rows
from imagesvc.domain import object_store as domain
from imagesvc.domain.object_store import NewObjectStore, ObjectStore
from imagesvc.manager.bucket import Buckets
from imagesvc.manager.operation import Operation
from imagesvc.policy.check import Enforcer

_NOUN = "object_store"


class ObjectStoreManager:
    """Keep, show, list, change, forget; the secret key never comes out again."""

    def __init__(self, operation: Operation, enforcer: Enforcer, buckets: Buckets) -> None:
        self._operation = operation
        self._enforcer = enforcer
        self._buckets = buckets

    @attempt.again
    def create(self, ctx: RequestContext, new: NewObjectStore) -> ObjectStore:
        """Keep a key. No request is made with it.

        Raises Forbidden, InvalidRequest (also URL_REFUSED), Conflict for a name that is taken.
        """
        store_id = str(uuid.uuid4())
        with self._operation.write(ctx, f"{_NOUN}:create", _NOUN, store_id) as op:
            self._enforcer.authorize(ctx, f"{_NOUN}:create")
            now = metadata.now()
            store = ObjectStore(
                id=store_id,
                project_id=_project(ctx),
                name=new.name,
                endpoint=self._buckets.check_endpoint(new.endpoint),
                region=new.region,
                buckets=tuple(domain.check_bucket(one) for one in new.buckets),
                access_key=self._buckets.check_access_key(new.access_key),
                sealed_key=self._buckets.seal(store_id, new.secret_key),
                created_at=now,
                updated_at=now,
            )
            object_store_rows.insert(op.conn, store)
            op.detail.update(name=store.name, endpoint=store.endpoint)
            return store

    def get(self, ctx: RequestContext, store_id: str) -> ObjectStore:
        """Show one of the caller's project. Raises ObjectStoreNotFound, Forbidden."""
        with self._operation.look(ctx, f"{_NOUN}:get", _NOUN, store_id):
            self._enforcer.authorize(ctx, f"{_NOUN}:get")
            with self._operation.database.read() as conn:
                return object_store_rows.get(conn, store_id, _project(ctx))

    def list(
        self, ctx: RequestContext, *, marker: str | None = None, limit: int = 25
    ) -> tuple[ObjectStore, ...]:
        """Those of the caller's project by name; `marker` is a name. Raises Forbidden."""
        with self._operation.look(ctx, f"{_NOUN}:list", _NOUN):
            self._enforcer.authorize(ctx, f"{_NOUN}:list")
        with self._operation.database.read() as conn:
            return object_store_rows.list_page(conn, _project(ctx), marker, limit)

    @attempt.again
    def update(self, ctx: RequestContext, store_id: str, changes: Mapping[str, Any]) -> ObjectStore:
        """Change name, region, buckets, or `access_key` and `secret_key`; the endpoint stays.

        Raises ObjectStoreNotFound, Forbidden, InvalidRequest, Conflict.
        """
        with self._operation.write(ctx, f"{_NOUN}:update", _NOUN, store_id) as op:
            self._enforcer.authorize(ctx, f"{_NOUN}:update")
            object_store_rows.get(op.conn, store_id, _project(ctx))
            values = dict(changes)
            if "buckets" in values:
                values["buckets"] = tuple(domain.check_bucket(one) for one in values["buckets"])
            if "access_key" in values:
                self._buckets.check_access_key(values["access_key"])
                values["sealed_key"] = self._buckets.seal(store_id, values.pop("secret_key"))
            op.detail["fields"] = sorted(changes)
            return object_store_rows.update(op.conn, store_id, _project(ctx), values)

    @attempt.again
    def delete(self, ctx: RequestContext, store_id: str) -> None:
        """Forget it; jobs that still need it fail. Raises ObjectStoreNotFound, Forbidden."""
        with self._operation.write(ctx, f"{_NOUN}:delete", _NOUN, store_id) as op:
            self._enforcer.authorize(ctx, f"{_NOUN}:delete")
            object_store_rows.delete(op.conn, store_id, _project(ctx))


def _project(ctx: RequestContext) -> str:
    return ctx.project_id or ""

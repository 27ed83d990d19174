"""How the managers of metadata definitions come at a namespace."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from imagesvc import errors
from imagesvc.context import RequestContext
from imagesvc.db import metadef_namespace as namespace_rows
from imagesvc.domain.metadef import Namespace
from imagesvc.manager.operation import Operation
from imagesvc.policy import metadef_visibility
from imagesvc.policy.check import Enforcer

TARGET = "metadef_namespace"


class NamespaceAccess:
    """A namespace that the caller sees, for what the caller may do there."""

    def __init__(self, operation: Operation, enforcer: Enforcer) -> None:
        self._operation = operation
        self._enforcer = enforcer

    @contextlib.contextmanager
    def read(self, ctx: RequestContext, action: str, name: str) -> Iterator[tuple[Any, Namespace]]:
        """A connection for reading, and the namespace. Raises MetadefNotFound, Forbidden."""
        with self._operation.database.read() as conn:
            namespace = _visible(conn, ctx, name)
            self._enforcer.authorize(ctx, action, _facts(namespace))
            yield conn, namespace

    @contextlib.contextmanager
    def write(
        self,
        ctx: RequestContext,
        action: str,
        name: str,
        detail: Mapping[str, Any] | None = None,
        *,
        deletes: bool = False,
    ) -> Iterator[tuple[Any, Namespace]]:
        """An audited transaction, and the namespace, which nobody else changes meanwhile.

        Raises MetadefNotFound, Forbidden, also if it `deletes` in a protected namespace.
        """
        with self._operation.write(ctx, action, TARGET, name, detail) as op:
            namespace = _visible(op.conn, ctx, name, lock=True)
            op.owner = namespace.owner
            self._enforcer.authorize(ctx, action, _facts(namespace))
            if deletes and namespace.protected:
                raise errors.Forbidden(
                    "The namespace {name} is protected: nothing in it can be deleted.", name=name
                )
            yield op.conn, namespace


def _visible(conn: Any, ctx: RequestContext, name: str, *, lock: bool = False) -> Namespace:
    namespace = namespace_rows.get(conn, name, metadef_visibility.predicate(ctx), lock=lock)
    if namespace is None:
        raise errors.MetadefNotFound(noun="namespace", name=name)
    return namespace


def _facts(namespace: Namespace) -> Mapping[str, Any]:
    return {"owner": namespace.owner, "visibility": str(namespace.visibility)}

"""Namespaces of metadata definitions, with what is in them as a whole."""

import dataclasses
import enum
import uuid
from typing import Any

from imagesvc import errors
from imagesvc.context import RequestContext
from imagesvc.db import (
    attempt,
    metadata,
    metadef_object,
    metadef_property,
    metadef_resource_type,
    metadef_tag,
)
from imagesvc.db import metadef_namespace as namespace_rows
from imagesvc.domain.metadef import (
    Content,
    Namespace,
    NamespaceFields,
    NamespacePage,
    NamespaceQuery,
    TagQuery,
    Visibility,
    prefixed,
)
from imagesvc.manager.metadef_access import TARGET, NamespaceAccess
from imagesvc.manager.operation import Operation
from imagesvc.policy import metadef_visibility
from imagesvc.policy.check import Enforcer


class Loaded(enum.StrEnum):
    """What became of a namespace that was to be loaded."""

    ADDED = "added"
    KEPT = "kept"
    REPLACED = "replaced"


class MetadefNamespaceManager:
    """The namespaces; `MetadefObjectManager` and its neighbours change what is in them."""

    def __init__(self, operation: Operation, enforcer: Enforcer, access: NamespaceAccess) -> None:
        self._operation = operation
        self._enforcer = enforcer
        self._access = access

    def list(self, ctx: RequestContext, query: NamespaceQuery) -> NamespacePage:
        """A page of the namespaces that the caller sees. Raises MetadefNotFound for the marker."""
        self._enforcer.authorize(ctx, "get_metadef_namespaces")
        with self._operation.database.read() as conn:
            return namespace_rows.list_page(conn, query, metadef_visibility.predicate(ctx))

    def get(
        self, ctx: RequestContext, name: str, *, resource_type: str | None = None
    ) -> tuple[Namespace, Content]:
        """A namespace and what is in it, named as on `resource_type`, if one is given.

        Raises MetadefNotFound, Forbidden.
        """
        with self._access.read(ctx, "get_metadef_namespace", name) as (conn, namespace):
            content = Content(
                associations=metadef_resource_type.associations(conn, namespace.id),
                properties=metadef_property.list(conn, namespace.id),
                objects=metadef_object.list(conn, namespace.id),
                tags=metadef_tag.list(conn, namespace.id, TagQuery()),
            )
        return namespace, prefixed(content, resource_type) if resource_type else content

    @attempt.again
    def create(
        self, ctx: RequestContext, fields: NamespaceFields, content: Content
    ) -> tuple[Namespace, Content]:
        """Make a namespace with all that is to be in it, or nothing.

        Raises Forbidden, also for another project's name as owner, Conflict if its name is
        taken or something in it is named twice.
        """
        action = "add_metadef_namespace"
        fields = self._owned(ctx, fields)
        with self._operation.write(ctx, action, TARGET, fields.name) as op:
            self._enforcer.authorize(ctx, action, {"owner": fields.owner})
            op.owner = fields.owner
            return _insert(op.conn, fields, content)

    @attempt.again
    def replace(self, ctx: RequestContext, name: str, fields: NamespaceFields) -> Namespace:
        """Give all plain fields new values; what is in the namespace stays.

        Raises MetadefNotFound, Forbidden, Conflict if the new name is taken.
        """
        action, detail = "modify_metadef_namespace", {"name": fields.name}
        with self._access.write(ctx, action, name, detail) as (conn, namespace):
            return namespace_rows.update(conn, namespace.id, self._owned(ctx, fields))

    @attempt.again
    def delete(self, ctx: RequestContext, name: str) -> None:
        """Delete a namespace and all in it; types of resources stay known.

        Raises MetadefNotFound, Forbidden.
        """
        action = "delete_metadef_namespace"
        with self._access.write(ctx, action, name, deletes=True) as (conn, namespace):
            namespace_rows.delete(conn, namespace.id)

    def load(
        self,
        ctx: RequestContext,
        fields: NamespaceFields,
        content: Content,
        *,
        replace: bool = False,
    ) -> Loaded:
        """Make a namespace that is not there; one that is stays as it is, or is replaced whole.

        For operators: neither the owner nor protection stands in the way. Raises Conflict.
        """
        if not replace:
            with self._operation.database.read() as conn:
                if namespace_rows.get(conn, fields.name) is not None:
                    return Loaded.KEPT
        with self._operation.write(ctx, "add_metadef_namespace", TARGET, fields.name) as op:
            op.owner = fields.owner
            old = namespace_rows.get(op.conn, fields.name, lock=True)
            if old is not None and replace:
                namespace_rows.delete(op.conn, old.id)
                op.detail["replaced"] = True
            _insert(op.conn, fields, content)
        return Loaded.ADDED if old is None else Loaded.REPLACED

    def _owned(self, ctx: RequestContext, fields: NamespaceFields) -> NamespaceFields:
        if fields.owner is None:
            return dataclasses.replace(fields, owner=ctx.project_id)
        if fields.owner != ctx.project_id and not ctx.is_admin:
            raise errors.Forbidden("Only an administrator names another project as owner.")
        return fields


def _insert(conn: Any, fields: NamespaceFields, content: Content) -> tuple[Namespace, Content]:
    now = metadata.now()
    namespace = Namespace(
        id=str(uuid.uuid4()),
        name=fields.name,
        display_name=fields.display_name,
        description=fields.description,
        visibility=Visibility(fields.visibility),
        protected=fields.protected,
        owner=fields.owner,
        created_at=now,
        updated_at=now,
    )
    times: dict[str, Any] = {"created_at": now, "updated_at": now}
    born = Content(
        associations=tuple(dataclasses.replace(one, **times) for one in content.associations),
        properties=content.properties,
        objects=tuple(dataclasses.replace(one, **times) for one in content.objects),
        tags=tuple(dataclasses.replace(one, **times) for one in content.tags),
    )
    namespace_rows.insert(conn, namespace)
    metadef_resource_type.associate(conn, namespace.id, born.associations)
    metadef_property.insert(conn, namespace.id, born.properties)
    metadef_object.insert(conn, namespace.id, born.objects)
    metadef_tag.insert(conn, namespace.id, born.tags)
    return namespace, born

"""Types of resources, and which namespaces of metadata definitions are meant for them."""

import dataclasses

from imagesvc.context import RequestContext
from imagesvc.db import metadata
from imagesvc.db import metadef_resource_type as resource_type_rows
from imagesvc.domain.metadef import Association, ResourceType
from imagesvc.manager.metadef_access import NamespaceAccess
from imagesvc.manager.operation import Operation
from imagesvc.policy.check import Enforcer


class MetadefResourceTypeManager:
    """A type is born by its first association, and stays."""

    def __init__(self, operation: Operation, enforcer: Enforcer, access: NamespaceAccess) -> None:
        self._operation = operation
        self._enforcer = enforcer
        self._access = access

    def list(self, ctx: RequestContext) -> tuple[ResourceType, ...]:
        """All types by name. Raises Forbidden."""
        self._enforcer.authorize(ctx, "list_metadef_resource_types")
        with self._operation.database.read() as conn:
            return resource_type_rows.list(conn)

    def associations(self, ctx: RequestContext, namespace: str) -> tuple[Association, ...]:
        """The associations of a namespace. Raises MetadefNotFound, Forbidden."""
        with self._access.read(ctx, "list_metadef_resource_types", namespace) as (conn, found):
            return resource_type_rows.associations(conn, found.id)

    def associate(self, ctx: RequestContext, namespace: str, new: Association) -> Association:
        """Associate a namespace with a type.

        Raises MetadefNotFound, Forbidden, Conflict if it is already.
        """
        action, detail = "add_metadef_resource_type_association", {"resource_type": new.name}
        with self._access.write(ctx, action, namespace, detail) as (conn, found):
            now = metadata.now()
            born = dataclasses.replace(new, created_at=now, updated_at=now)
            resource_type_rows.associate(conn, found.id, (born,))
            return born

    def dissociate(self, ctx: RequestContext, namespace: str, name: str) -> None:
        """End an association. Raises MetadefNotFound, Forbidden, also if it is protected."""
        action, detail = "remove_metadef_resource_type_association", {"resource_type": name}
        with self._access.write(ctx, action, namespace, detail, deletes=True) as (conn, found):
            resource_type_rows.dissociate(conn, found.id, name)

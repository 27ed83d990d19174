"""Objects of metadata definitions: groups of properties in a namespace."""

import dataclasses

from imagesvc.context import RequestContext
from imagesvc.db import metadata
from imagesvc.db import metadef_object as object_rows
from imagesvc.domain.metadef import Object
from imagesvc.manager.metadef_access import NamespaceAccess


class MetadefObjectManager:
    """Every method raises MetadefNotFound for a namespace that the caller does not see."""

    def __init__(self, access: NamespaceAccess) -> None:
        self._access = access

    def list(self, ctx: RequestContext, namespace: str) -> tuple[Object, ...]:
        """All objects, newest first. Raises Forbidden."""
        with self._access.read(ctx, "get_metadef_objects", namespace) as (conn, found):
            return object_rows.list(conn, found.id)

    def get(self, ctx: RequestContext, namespace: str, name: str) -> Object:
        """One object. Raises MetadefNotFound, Forbidden."""
        with self._access.read(ctx, "get_metadef_object", namespace) as (conn, found):
            return object_rows.get(conn, found.id, name)

    def create(self, ctx: RequestContext, namespace: str, new: Object) -> Object:
        """Add an object. Raises Forbidden, Conflict if the name is taken."""
        detail = {"object": new.name}
        with self._access.write(ctx, "add_metadef_object", namespace, detail) as (conn, found):
            now = metadata.now()
            born = dataclasses.replace(new, created_at=now, updated_at=now)
            object_rows.insert(conn, found.id, (born,))
            return born

    def replace(self, ctx: RequestContext, namespace: str, name: str, new: Object) -> Object:
        """Put another in the place of an object, perhaps with another name.

        What `new` leaves out is left out of the answer. Raises MetadefNotFound, Forbidden,
        Conflict if the new name is taken.
        """
        detail = {"object": name, "name": new.name}
        with self._access.write(ctx, "modify_metadef_object", namespace, detail) as (conn, found):
            kept = object_rows.update(conn, found.id, name, new)
            return dataclasses.replace(new, created_at=kept.created_at, updated_at=kept.updated_at)

    def delete(self, ctx: RequestContext, namespace: str, name: str) -> None:
        """Delete an object. Raises MetadefNotFound, Forbidden, also if it is protected."""
        action, detail = "delete_metadef_object", {"object": name}
        with self._access.write(ctx, action, namespace, detail, deletes=True) as (conn, found):
            object_rows.delete(conn, found.id, name)

    def clear(self, ctx: RequestContext, namespace: str) -> None:
        """Delete all objects. Raises Forbidden, also if the namespace is protected."""
        action, detail = "delete_metadef_namespace", {"all": "objects"}
        with self._access.write(ctx, action, namespace, detail, deletes=True) as (conn, found):
            object_rows.clear(conn, found.id)

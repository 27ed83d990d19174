"""Properties of metadata definitions that stand in a namespace itself."""

from imagesvc import errors
from imagesvc.context import RequestContext
from imagesvc.db import metadef_property as property_rows
from imagesvc.db import metadef_resource_type
from imagesvc.domain.metadef import Property
from imagesvc.manager.metadef_access import NamespaceAccess


class MetadefPropertyManager:
    """Every method raises MetadefNotFound for a namespace that the caller does not see."""

    def __init__(self, access: NamespaceAccess) -> None:
        self._access = access

    def list(self, ctx: RequestContext, namespace: str) -> tuple[Property, ...]:
        """All properties by name. Raises Forbidden."""
        with self._access.read(ctx, "get_metadef_properties", namespace) as (conn, found):
            return property_rows.list(conn, found.id)

    def get(
        self, ctx: RequestContext, namespace: str, name: str, *, resource_type: str | None = None
    ) -> Property:
        """One property; with `resource_type` its name is given as it is there, with the prefix.

        Raises MetadefNotFound, also if the type is not associated or the prefix is not there,
        Forbidden.
        """
        with self._access.read(ctx, "get_metadef_property", namespace) as (conn, found):
            if resource_type is not None:
                known = metadef_resource_type.associations(conn, found.id)
                prefix = next((one.prefix for one in known if one.name == resource_type), None)
                if not prefix or not name.startswith(prefix):
                    raise errors.MetadefNotFound(noun="property", name=name)
                name = name.removeprefix(prefix)
            return property_rows.get(conn, found.id, name)

    def create(self, ctx: RequestContext, namespace: str, new: Property) -> Property:
        """Add a property. Raises Forbidden, Conflict if the name is taken."""
        detail = {"property": new.name}
        with self._access.write(ctx, "add_metadef_property", namespace, detail) as (conn, found):
            property_rows.insert(conn, found.id, (new,))
            return new

    def replace(self, ctx: RequestContext, namespace: str, name: str, new: Property) -> Property:
        """Put another in the place of a property, perhaps with another name.

        Raises MetadefNotFound, Forbidden, Conflict if the new name is taken.
        """
        action, detail = "modify_metadef_property", {"property": name, "name": new.name}
        with self._access.write(ctx, action, namespace, detail) as (conn, found):
            property_rows.update(conn, found.id, name, new)
            return new

    def delete(self, ctx: RequestContext, namespace: str, name: str) -> None:
        """Delete a property. Raises MetadefNotFound, Forbidden, also if it is protected."""
        action, detail = "remove_metadef_property", {"property": name}
        with self._access.write(ctx, action, namespace, detail, deletes=True) as (conn, found):
            property_rows.delete(conn, found.id, name)

    def clear(self, ctx: RequestContext, namespace: str) -> None:
        """Delete all properties. Raises Forbidden, also if the namespace is protected."""
        action, detail = "delete_metadef_namespace", {"all": "properties"}
        with self._access.write(ctx, action, namespace, detail, deletes=True) as (conn, found):
            property_rows.clear(conn, found.id)

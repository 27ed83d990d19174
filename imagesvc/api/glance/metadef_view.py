"""Metadata definitions -> Glance JSON. What was not set, and what is empty, is left out."""

from typing import Any
from urllib import parse

from imagesvc.api.glance import image_view
from imagesvc.domain import metadef

NAMESPACES = "/v2/metadefs/namespaces"
# Characters that a segment of a path may hold as they are (RFC 3986, 3.3).
_SEGMENT = ":@!$&'()*+,;=~"


def path(namespace: str, *more: str) -> str:
    """The path of a namespace, or of something in it."""
    return "/".join([NAMESPACES, *(parse.quote(one, safe=_SEGMENT) for one in (namespace, *more))])


def namespace(
    one: metadef.Namespace, content: metadef.Content, *, lists: bool = False
) -> dict[str, Any]:
    """A namespace with what is in it; a list shows its associations alone."""
    view: dict[str, Any] = {
        "namespace": one.name,
        "display_name": one.display_name,
        "description": one.description,
        "visibility": str(one.visibility),
        "protected": one.protected,
        "owner": one.owner,
        **_times(one),
        "self": path(one.name),
        "schema": "/v2/schemas/metadefs/namespace",
        "resource_type_associations": [association(found) for found in content.associations]
        or None,
    }
    if not lists:
        view["properties"] = {found.name: found.definition for found in content.properties} or None
        view["objects"] = [object_(one.name, found) for found in content.objects] or None
        view["tags"] = [{"name": found.name} for found in content.tags] or None
    return _present(view)


def object_(namespace_name: str, one: metadef.Object) -> dict[str, Any]:
    """An object."""
    return _present(
        {
            "name": one.name,
            "description": one.description,
            "required": one.required,
            "properties": one.properties,
            **_times(one),
            "self": path(namespace_name, "objects", one.name),
            "schema": "/v2/schemas/metadefs/object",
        }
    )


def property_(one: metadef.Property) -> dict[str, Any]:
    """A property with its name."""
    return {"name": one.name, **one.definition}


def association(one: metadef.Association) -> dict[str, Any]:
    """An association."""
    return _present(
        {
            "name": one.name,
            "prefix": one.prefix,
            "properties_target": one.properties_target,
            **_times(one),
        }
    )


def named(one: metadef.Tag | metadef.ResourceType) -> dict[str, Any]:
    """A tag or a type of resource."""
    return _present({"name": one.name, **_times(one)})


def _times(
    one: metadef.Namespace
    | metadef.Object
    | metadef.Association
    | metadef.Tag
    | metadef.ResourceType,
) -> dict[str, str | None]:
    return {
        "created_at": image_view.time(one.created_at) if one.created_at else None,
        "updated_at": image_view.time(one.updated_at) if one.updated_at else None,
    }


def _present(view: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in view.items() if value is not None}

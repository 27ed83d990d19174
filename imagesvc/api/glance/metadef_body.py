"""What callers send of metadata definitions. Nothing is kept that a path could not name."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

from imagesvc import errors
from imagesvc.api import validate
from imagesvc.domain import metadef
from imagesvc.errors import Reason

_READ_ONLY = ("self", "schema", "created_at", "updated_at")
_NESTED = ("resource_type_associations", "properties", "objects", "tags")
_UNREACHABLE = frozenset({"", ".", ".."})

_Name = Annotated[str, msgspec.Meta(max_length=metadef.NAME_LENGTH_MAX)]
_Description = Annotated[str, msgspec.Meta(max_length=metadef.DESCRIPTION_LENGTH_MAX)]
_Owner = Annotated[str, msgspec.Meta(max_length=metadef.OWNER_LENGTH_MAX)]
_Count = Annotated[int, msgspec.Meta(ge=0)]
_Type = Literal["array", "boolean", "integer", "number", "object", "string"]
_Unset = msgspec.UnsetType


class _Shape(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A body: what is left out is UNSET, and null is refused."""


class _Items(_Shape):
    type: _Type | _Unset = msgspec.UNSET
    enum: list[Any] | _Unset = msgspec.UNSET


class _Property(_Shape, rename="camel"):
    """A property; JSON values in it are kept as they come."""

    title: str
    type: _Type
    name: _Name | _Unset = msgspec.UNSET
    description: str | _Unset = msgspec.UNSET
    operators: list[str] | _Unset = msgspec.UNSET
    enum: list[Any] | _Unset = msgspec.UNSET
    default: Any = msgspec.UNSET
    readonly: bool | _Unset = msgspec.UNSET
    minimum: int | float | _Unset = msgspec.UNSET
    maximum: int | float | _Unset = msgspec.UNSET
    min_length: _Count | _Unset = msgspec.UNSET
    max_length: _Count | _Unset = msgspec.UNSET
    pattern: str | _Unset = msgspec.UNSET
    items: _Items | _Unset = msgspec.UNSET
    min_items: _Count | _Unset = msgspec.UNSET
    max_items: _Count | _Unset = msgspec.UNSET
    unique_items: bool | _Unset = msgspec.UNSET
    additional_items: bool | _Unset = msgspec.UNSET


class _Object(_Shape):
    name: _Name
    description: str | _Unset = msgspec.UNSET
    required: list[str] | _Unset = msgspec.UNSET
    properties: dict[str, Any] | _Unset = msgspec.UNSET


class _Association(_Shape):
    name: _Name
    prefix: _Name | _Unset = msgspec.UNSET
    properties_target: _Name | _Unset = msgspec.UNSET


class _Tag(_Shape):
    name: _Name


class _Tags(_Shape):
    tags: list[Any]


class _Namespace(_Shape):
    namespace: _Name
    display_name: _Name | _Unset = msgspec.UNSET
    description: _Description | _Unset = msgspec.UNSET
    visibility: metadef.Visibility = metadef.Visibility.PRIVATE
    protected: bool = False
    owner: _Owner | _Unset = msgspec.UNSET


class _Nested(_Shape):
    resource_type_associations: list[Any] = []
    properties: dict[str, Any] = {}
    objects: list[Any] = []
    tags: list[Any] = []


def namespace(body: Any) -> tuple[metadef.NamespaceFields, metadef.Content]:
    """A namespace with all that is to be in it. Raises Forbidden, InvalidRequest."""
    fields = namespace_fields(body)
    parts = validate.struct({key: body[key] for key in _NESTED if key in body}, _Nested)
    content = metadef.Content(
        associations=tuple(association(one) for one in parts.resource_type_associations),
        properties=tuple(
            metadef.Property(_reachable("property", name), _definition(name, found))
            for name, found in parts.properties.items()
        ),
        objects=tuple(object_(one) for one in parts.objects),
        tags=tuple(map(tag, parts.tags)),
    )
    return fields, content


def namespace_fields(body: Any) -> metadef.NamespaceFields:
    """The plain fields alone; what else there is in it is not looked at."""
    plain = {key: value for key, value in _mapping(body).items() if key not in _NESTED}
    found = _struct(plain, _Namespace)
    return metadef.NamespaceFields(
        name=_reachable("namespace", found.namespace),
        display_name=_given(found.display_name),
        description=_given(found.description),
        visibility=found.visibility,
        protected=found.protected,
        owner=_given(found.owner),
    )


def object_(body: Any) -> metadef.Object:
    """An object. Raises Forbidden, InvalidRequest."""
    found = _struct(body, _Object)
    if found.required and len(set(found.required)) < len(found.required):
        raise _invalid("required names a property twice.")
    return metadef.Object(
        name=_reachable("object", found.name),
        description=_given(found.description),
        required=None if found.required is msgspec.UNSET else tuple(found.required),
        properties=None
        if found.properties is msgspec.UNSET
        else {name: _definition(name, one) for name, one in found.properties.items()},
    )


def property_(body: Any) -> metadef.Property:
    """A property with its name. Raises Forbidden, InvalidRequest."""
    name = _mapping(body).get("name")
    if not isinstance(name, str):
        raise _invalid("A property needs a name.")
    for key in _READ_ONLY[1:]:  # self is no more than an unknown key here
        _writable(key, body)
    return metadef.Property(_reachable("property", name), _definition(name, body))


def association(body: Any) -> metadef.Association:
    """An association with a type of resource. Raises Forbidden, InvalidRequest."""
    found = _struct(body, _Association)
    name = _reachable("resource type", found.name)
    return metadef.Association(name, _given(found.prefix), _given(found.properties_target))


def tag(body: Any) -> metadef.Tag:
    """A tag. Raises Forbidden, InvalidRequest."""
    return metadef.Tag(_reachable("tag", _struct(body, _Tag).name))


def tag_names(body: Any) -> tuple[str, ...]:
    """The names of a list of tags. Raises Forbidden, InvalidRequest."""
    return tuple(tag(one).name for one in _struct(body, _Tags).tags)


def tag_name(name: str) -> str:
    """A tag that a path names. Raises InvalidRequest."""
    return tag({"name": name}).name


def _definition(name: str, body: Any) -> Mapping[str, Any]:
    """A property without its name, which may stand in it again. As it came: nothing is added."""
    found = validate.struct(body, _Property)
    if found.name not in (msgspec.UNSET, name):
        raise _invalid(f"The property {name} is named {found.name} inside.")
    return {key: value for key, value in body.items() if key != "name"}


def _struct(body: Any, shape: type[validate.T]) -> validate.T:
    for key in _READ_ONLY:
        _writable(key, _mapping(body))
    return validate.struct(body, shape)


def _mapping(body: Any) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise _invalid("A JSON object is needed here.")
    return body


def _writable(key: str, body: Mapping[str, Any]) -> None:
    if key in body:
        raise errors.Forbidden(f"{key} is read-only.", reason=Reason.READ_ONLY)


def _reachable(noun: str, name: str) -> str:
    if name in _UNREACHABLE or "/" in name or len(name) > metadef.NAME_LENGTH_MAX:
        raise _invalid(
            f"The name of a {noun} has 1 to {metadef.NAME_LENGTH_MAX} characters, none of them a "
            "slash, and is not . or .."
        )
    return name


def _given(value: str | _Unset) -> str | None:
    return None if isinstance(value, _Unset) else value


def _invalid(text: str) -> errors.InvalidRequest:
    return errors.InvalidRequest(text, reason=Reason.MALFORMED)

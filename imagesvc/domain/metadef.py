"""Metadata definitions: which names and values projects may put on images, flavors and others.

A namespace holds properties, objects (groups of properties) and tags, and says for which types of
resources they are meant. Nothing in the service enforces them: clients show and offer them.
"""

import dataclasses
import datetime
import enum
from collections.abc import Mapping
from typing import Any

NAME_LENGTH_MAX = 80
DESCRIPTION_LENGTH_MAX = 500
OWNER_LENGTH_MAX = 255
LIMIT_DEFAULT = 25
LIMIT_MAX = 1000


class Visibility(enum.StrEnum):
    """Who sees a namespace and all that is in it."""

    PUBLIC = "public"
    PRIVATE = "private"


@dataclasses.dataclass(frozen=True, slots=True)
class NamespaceFields:
    """The plain fields of a namespace, as a caller sends them; `owner` None: the caller's project."""

    name: str
    display_name: str | None = None
    description: str | None = None
    visibility: Visibility = Visibility.PRIVATE
    protected: bool = False
    owner: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Namespace:
    """A namespace without what is in it. Its name is unique; `id` stays when it is renamed.

    A protected namespace is not deleted, nor is anything in it.
    """

    id: str
    name: str
    display_name: str | None
    description: str | None
    visibility: Visibility
    protected: bool
    owner: str | None
    created_at: datetime.datetime
    updated_at: datetime.datetime


@dataclasses.dataclass(frozen=True, slots=True)
class Property:
    """A property: `definition` is what a caller sent of it, without the name."""

    name: str
    definition: Mapping[str, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Object:
    """A group of properties: name -> definition. None is what a caller left out.

    `required` names properties, of which nothing says that they are there. The times are None
    until it is kept.
    """

    name: str
    description: str | None = None
    required: tuple[str, ...] | None = None
    properties: Mapping[str, Mapping[str, Any]] | None = None
    created_at: datetime.datetime | None = None
    updated_at: datetime.datetime | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Tag:
    """A word to be offered to users."""

    name: str
    created_at: datetime.datetime | None = None
    updated_at: datetime.datetime | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Association:
    """That a namespace is meant for a type of resource, for instance OS::Nova::Flavor.

    `prefix` stands before the names of its properties there; `properties_target` says where on
    the resource they belong, if it has more than one place.
    """

    name: str
    prefix: str | None = None
    properties_target: str | None = None
    created_at: datetime.datetime | None = None
    updated_at: datetime.datetime | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class ResourceType:
    """A type of resource that some namespace was once associated with."""

    name: str
    created_at: datetime.datetime
    updated_at: datetime.datetime


@dataclasses.dataclass(frozen=True, slots=True)
class Content:
    """What is in a namespace."""

    associations: tuple[Association, ...] = ()
    properties: tuple[Property, ...] = ()
    objects: tuple[Object, ...] = ()
    tags: tuple[Tag, ...] = ()


class SortKey(enum.StrEnum):
    """By what namespaces are sorted: fields of Namespace."""

    ID = "id"
    NAME = "name"
    DISPLAY_NAME = "display_name"
    DESCRIPTION = "description"
    VISIBILITY = "visibility"
    PROTECTED = "protected"
    OWNER = "owner"
    CREATED_AT = "created_at"
    UPDATED_AT = "updated_at"


class TagSortKey(enum.StrEnum):
    """By what tags are sorted: fields of Tag."""

    NAME = "name"
    CREATED_AT = "created_at"
    UPDATED_AT = "updated_at"


@dataclasses.dataclass(frozen=True, slots=True)
class NamespaceQuery:
    """A page of namespaces behind the one named `marker`; with any of `resource_types`, if given."""

    visibility: Visibility | None = None
    resource_types: tuple[str, ...] = ()
    sort_key: SortKey = SortKey.CREATED_AT
    descending: bool = True
    marker: str | None = None
    limit: int = LIMIT_DEFAULT


@dataclasses.dataclass(frozen=True, slots=True)
class NamespacePage:
    """Namespaces in order, each with its associations; `full` says that a next page may exist."""

    namespaces: tuple[tuple[Namespace, tuple[Association, ...]], ...]
    full: bool


@dataclasses.dataclass(frozen=True, slots=True)
class TagQuery:
    """Tags behind the one named `marker`; `limit` None: all."""

    sort_key: TagSortKey = TagSortKey.CREATED_AT
    descending: bool = True
    marker: str | None = None
    limit: int | None = None


def prefixed(content: Content, resource_type: str) -> Content:
    """The content as it is named on a type of resource; unchanged if that is not associated."""
    prefix = next((one.prefix for one in content.associations if one.name == resource_type), None)
    if not prefix:
        return content
    return dataclasses.replace(
        content,
        properties=tuple(
            dataclasses.replace(one, name=prefix + one.name) for one in content.properties
        ),
        objects=tuple(
            dataclasses.replace(
                one,
                required=tuple(prefix + name for name in one.required or ()),
                properties={prefix + name: found for name, found in (one.properties or {}).items()},
            )
            for one in content.objects
        ),
    )

"""The published schemas of metadata definitions; glanceclient checks answers by them."""

from typing import Any

from imagesvc.domain import metadef

_TYPES = ["array", "boolean", "integer", "number", "object", "string"]
_COUNT = {"$ref": "#/definitions/positiveInteger"}
_COUNT_0 = {"$ref": "#/definitions/positiveIntegerDefault0"}
_WORDS = {"$ref": "#/definitions/stringArray"}
_PROPERTIES = {"$ref": "#/definitions/property"}
_LINKS = [
    {"rel": "first", "href": "{first}"},
    {"rel": "next", "href": "{next}"},
    {"rel": "describedby", "href": "{schema}"},
]


def _text(description: str, maximum: int | None = None, **more: Any) -> dict[str, Any]:
    found = {"type": "string", "description": description, **more}
    return found if maximum is None else {**found, "maxLength": maximum}


def _name(description: str) -> dict[str, Any]:
    return _text(description, metadef.NAME_LENGTH_MAX)


_TIMES = {
    "created_at": _text("When it was made, in UTC", readOnly=True, format="date-time"),
    "updated_at": _text("When it was last changed, in UTC", readOnly=True, format="date-time"),
}
_PATHS = {
    "schema": _text("Path of this schema", readOnly=True),
    "self": _text("Path of this", readOnly=True),
}
_PROPERTY = {
    "name": _name("Name of the property"),
    "title": _text("Name to show to people"),
    "description": _text("What the property means"),
    "operators": {"type": "array", "items": {"type": "string"}},
    "type": {"type": "string", "enum": _TYPES},
    "minimum": {"type": "number"},
    "maximum": {"type": "number"},
    "maxLength": _COUNT,
    "minLength": _COUNT_0,
    "pattern": {"type": "string", "format": "regex"},
    "enum": {"type": "array"},
    "readonly": {"type": "boolean"},
    "default": {},
    "items": {
        "type": "object",
        "properties": {"type": {"type": "string", "enum": _TYPES}, "enum": {"type": "array"}},
    },
    "maxItems": _COUNT,
    "minItems": _COUNT_0,
    "uniqueItems": {"type": "boolean", "default": False},
    "additionalItems": {"type": "boolean"},
}
_DEFINITIONS = {
    "positiveInteger": {"type": "integer", "minimum": 0},
    "positiveIntegerDefault0": {"allOf": [_COUNT, {"default": 0}]},
    "stringArray": {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
    "property": {
        "type": "object",
        "additionalProperties": {
            "type": "object",
            "required": ["title", "type"],
            "properties": _PROPERTY,
        },
    },
}
_ASSOCIATION = {
    "name": _name("Type of resource, for instance OS::Nova::Flavor"),
    "prefix": _name("What stands before the names of properties on such a resource"),
    "properties_target": _name("Where on the resource the properties belong"),
}
_NAMESPACE = {
    "namespace": _name("Unique name of the namespace"),
    "display_name": _name("Name to show to people"),
    "description": _text("What the namespace is for", metadef.DESCRIPTION_LENGTH_MAX),
    "visibility": _text("Who sees the namespace", enum=[str(one) for one in metadef.Visibility]),
    "protected": {
        "type": "boolean",
        "description": "Whether the namespace and what is in it cannot be deleted",
    },
    "owner": _text("Project that owns the namespace", metadef.OWNER_LENGTH_MAX),
    **_TIMES,
    **_PATHS,
    "resource_type_associations": {
        "type": "array",
        "items": {"type": "object", "properties": {**_ASSOCIATION, **_TIMES}},
    },
    "properties": _PROPERTIES,
    "objects": {
        "type": "array",
        "items": {
            "type": "object",
            "properties": {
                "name": _name("Name of the object"),
                "description": _text("What the object means"),
                "required": _WORDS,
                "properties": _PROPERTIES,
            },
        },
    },
    "tags": {
        "type": "array",
        "items": {"type": "object", "properties": {"name": _name("The tag")}},
    },
}
_OBJECT = {
    "name": _name("Name of the object"),
    "description": _text("What the object means"),
    "required": _WORDS,
    "properties": _PROPERTIES,
    **_PATHS,
    **_TIMES,
}
# Path -> name of the thing, its properties, which are required, whether they use definitions.
_SINGLE = {
    "namespace": ("namespace", _NAMESPACE, ["namespace"], True),
    "resource_type": (
        "resource_type_association", {**_ASSOCIATION, **_TIMES}, ["name"], False,
    ),
    "property": ("property", _PROPERTY, ["type", "title", "name"], True),
    "object": ("object", _OBJECT, ["name"], True),
    "tag": ("tag", {"name": _name("The tag"), **_TIMES}, ["name"], False),
}  # fmt: skip
_PLURAL = {"property": "properties"}


def _definitions(wanted: bool) -> dict[str, Any]:
    return {"definitions": _DEFINITIONS} if wanted else {}


def _one(kind: str) -> dict[str, Any]:
    name, properties, required, _ = _SINGLE[kind]
    return {
        "name": name,
        "properties": properties,
        "additionalProperties": False,
        "required": required,
    }


def _many(kind: str) -> dict[str, Any]:
    name = _PLURAL.get(kind, _SINGLE[kind][0] + "s")
    items: dict[str, Any] = {"type": "array", "items": _one(kind)}
    if kind == "property":  # listed by name, which is therefore not required inside
        items = {
            "type": "object",
            "additionalProperties": {**_one(kind), "required": ["type", "title"]},
        }
    return {
        "name": name,
        "properties": {
            name: items,
            "first": {"type": "string"},
            "next": {"type": "string"},
            "schema": {"type": "string"},
        },
        "links": _LINKS,
    }


SCHEMAS: dict[str, dict[str, Any]] = {
    **{kind: {**_one(kind), **_definitions(_SINGLE[kind][3])} for kind in _SINGLE},
    **{
        _PLURAL.get(kind, kind + "s"): {**_many(kind), **_definitions(_SINGLE[kind][3])}
        for kind in _SINGLE
    },
}
